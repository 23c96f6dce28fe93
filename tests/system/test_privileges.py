"""What the processes of a running daemon may do, as the kernel tells it; and where a service's auth key goes."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.confinement.permissions import ROWS
from tests.support.availability import unavailable
from tests.support.servers.scripted import Control
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.processes.daemon import Daemon

ACTORS = set(ROWS) - {"supervisor", "view"}


def pids(daemon: Daemon) -> dict[str, int]:
    status = daemon.status()
    assert status is not None
    return {row["name"]: row["pid"] for row in status["actors"] if row["name"] in ACTORS and row["pid"]}


def limits(pid: int) -> dict[str, tuple[str, str]]:
    """Soft and hard limits by name."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): (line[26:47].strip(), line[47:68].strip()) for line in lines}


def test_every_child_has_given_up_what_it_does_not_need(
    daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    url = tmp_path / "url"
    url.touch(mode=0o600)
    url.write_text("http://127.0.0.1:1/")
    hook = f'[[webhook]]\nname = "nobody"\nurl = "file:{url}"\n'
    running = daemon(f"--http-listen=unix:{tmp_path}/http.sock", "--history-keep=7d", config=hook)
    for actor in ("history", "webhooks"):
        running.wait_event("actor_ready", actor=actor)
    running.wait_fresh()
    most = limits(os.getpid())["Max open files"][1]
    found = pids(running)
    assert set(found) == ACTORS
    for name, pid in found.items():
        allowed = limits(pid)
        files = str(min(ROWS[name].max_files, int(most)))
        assert allowed["Max open files"] == (files, files), name
        assert allowed["Max core file size"] == ("0", "0"), name
        assert allowed["Max address space"][1] != "unlimited", name
        assert "\nNoNewPrivs:\t1\n" in Path(f"/proc/{pid}/status").read_text(), name
        # Far from the limit: a connection more or less must not matter.
        held = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        assert held <= ROWS[name].max_files // 3, f"{name} holds {held}"


def test_no_socket_is_left_by_processes_that_may_remove_none(
    daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    http = tmp_path / "http.sock"
    running = daemon(f"--http-listen=unix:{http}")
    running.wait_fresh()
    public = running.runtime_dir / "pub"
    assert {path.name for path in public.iterdir()} >= {"updates.sock", "requests.sock"}
    wait_for(http.is_socket, 20.0, "the HTTP endpoint")
    assert running.terminate() == 0
    left = [path for path in (*running.runtime_dir.rglob("*"), http) if path.is_socket()]
    assert left == []
    assert not [event for event in running.events() if event["event"] == "system_call_refused"]


def test_a_child_that_is_allowed_fewer_files_says_so_and_lives(daemon: Callable[..., Daemon]) -> None:
    running = daemon(prefix=("prlimit", "--nofile=512:512"))
    running.wait_fresh()
    told = {event["actor"]: event["allowed"] for event in running.events("few_files_allowed")}
    assert told == {"publisher": 512, "liveness": 512, "dev_control": 512}


# Who reads the keys

_FAN_CLASS_NOTIF, _FAN_CLOEXEC, _FAN_NONBLOCK = 0x0, 0x1, 0x2
_FAN_MARK_ADD, _FAN_OPEN, _FAN_EVENT_ON_CHILD = 0x1, 0x20, 0x08000000
_AT_FDCWD = -100
_EVENT = struct.Struct("=IBBHQii")


class Openings:
    """Tells which processes open files of some directories (fanotify(7)); only root may ask."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.fanotify_init(_FAN_CLASS_NOTIF | _FAN_CLOEXEC | _FAN_NONBLOCK, os.O_RDONLY)
        if self._fd < 0:
            unavailable(f"seeing who opens a file needs fanotify: {os.strerror(ctypes.get_errno())}")

    def watch(self, directory: Path) -> None:
        mask = ctypes.c_uint64(_FAN_OPEN | _FAN_EVENT_ON_CHILD)
        path = os.fsencode(directory)
        if self._libc.fanotify_mark(self._fd, _FAN_MARK_ADD, mask, _AT_FDCWD, path) != 0:
            unavailable(f"cannot watch {directory}: {os.strerror(ctypes.get_errno())}")

    def take(self) -> set[tuple[int, str]]:
        """(process id, name of the file) of everything opened since the last call."""
        found: set[tuple[int, str]] = set()
        while True:
            try:
                data = os.read(self._fd, 64 * 1024)
            except BlockingIOError:
                return found
            while data:
                length, _, _, _, _, fd, pid = _EVENT.unpack_from(data)
                found.add((pid, Path(f"/proc/self/fd/{fd}").readlink().name))
                os.close(fd)
                data = data[length:]

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def openings() -> Iterator[Openings]:
    made = Openings()
    yield made
    made.close()


def test_only_the_connection_opens_the_nodes_keys_and_the_auth_key(
    daemon: Callable[..., Daemon], control: Control, openings: Openings, tmp_path: Path
) -> None:
    """Before and after every kind of restart; the auth key comes as systemd's LoadCredential= delivers it."""
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o500)
    credentials.chmod(0o700)
    (credentials / "auth_key").write_text(control.key_file.read_text())
    (credentials / "auth_key").chmod(0o400)
    openings.watch(credentials)
    running = daemon(f"--control-url={control.url}", env={"CREDENTIALS_DIRECTORY": str(credentials)})
    running.wait_fresh()
    (state,) = [path for path in running.state_dir.iterdir() if (path / "node.json").exists()]
    openings.watch(state)
    connections = {pids(running)["control_connection"]}
    for name in ("control_connection", "publisher", "liveness"):
        killed = running.signal_actor(name)
        running.wait_status(
            lambda status, killed=killed: (
                status["netmap"]["state"] == "fresh"
                and killed not in {row["pid"] for row in status["actors"]}
            ),
            what=f"a fresh netmap after the death of {name}",
        )
        connections.add(pids(running)["control_connection"])
    opened = openings.take()
    assert {name for _, name in opened} >= {"node.json", "registration.json", "auth_key"}
    assert {pid for pid, _ in opened} >= connections, "each of them was seen"
    strangers = {(pid, name) for pid, name in opened if pid not in connections and pid != os.getpid()}
    assert strangers == set()


def test_a_credential_of_the_service_manager_is_the_auth_key_and_goes_nowhere_else(
    daemon: Callable[..., Daemon], control: Control, tmp_path: Path
) -> None:
    key = control.key_file.read_text()
    (tmp_path / "auth_key").write_text(f"{key}\n")
    running = daemon(f"--control-url={control.url}", env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    running.wait_fresh()
    for pid in running.tree():
        for place in ("environ", "cmdline"):
            assert key.encode() not in Path(f"/proc/{pid}/{place}").read_bytes()
    assert key not in running.log_path.read_text()
    status = wait_for(running.status, 10.0, "a status")
    assert status["netmap"]["self"]["name"].startswith(os.uname().nodename.split(".")[0].lower()[:20])


def test_a_credential_that_is_no_key_is_named_and_not_repeated(
    daemon: Callable[..., Daemon], control: Control, tmp_path: Path
) -> None:
    (tmp_path / "auth_key").write_text("devkey-auth-of-another-server")
    running = daemon(f"--control-url={control.url}", env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert running.wait(20.0) == 77
    assert "devkey-auth-of" not in running.log_path.read_text()
