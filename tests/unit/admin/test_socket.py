from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.bus import acceptor
from netmap_actors.bus.admission import Origin
from netmap_actors.bus.loop import Loop
from netmap_actors.wire import internal_pb2
from netmap_supervisor.admin.server import MAX_CONNECTIONS, MAX_OF_ONE, AdminServer
from netmap_supervisor.admin.socket import (
    LENGTH_PREFIX,
    MAX_ADMIN_REQUEST,
    AdminClient,
    AdminError,
    NotRunning,
    Request,
    admin_path,
    framed,
)
from netmap_supervisor.system import peer_process
from netmap_supervisor.system.peer_process import descends_from, has_ended, parent_of
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 20.0
BIG = 8 << 20
"""Bytes of a reply: more than any socket holds."""


class Daemon:
    """The admin socket of a daemon, on a loop in a thread of this process."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.peer = 0
        """The pid the kernel gives for the next connection; 0: another one each time."""
        self.uid = os.geteuid()
        self.ours: set[int] = set()
        self.kept: list[Request] = []
        self._next = 1000
        self._over = False
        monkeypatch.setattr(acceptor, "origin_of", self._origin_of)
        monkeypatch.setattr("netmap_supervisor.admin.socket.is_locked", lambda _: True)
        self.loop = Loop()
        self.viewer = 0
        self.server = AdminServer(
            self.loop, directory, self._handle, lambda pid: pid in self.ours, lambda: self.viewer
        )
        self._thread = threading.Thread(target=self.loop.run, args=(lambda: self._over,))
        self._thread.start()

    def _origin_of(self, _: socket.socket) -> Origin:
        self._next += 1
        return Origin(self.uid, self.peer or self._next)

    def _handle(self, request: Request) -> None:
        match request.command:
            case "echo" | "status":
                request.answer(request.arguments)
            case "big":
                request.answer("x" * BIG)
            case "later":
                self.kept.append(request)
            case other:
                raise AdminError(f"cannot do {other!r}: no such command")

    def connect(self, data: bytes = b"") -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(admin_path(self.directory)))
        one.settimeout(LIMIT)
        with contextlib.suppress(BrokenPipeError):
            one.sendall(data)
        return one

    def ask(self, command: str = "echo", limit: float = LIMIT, **arguments: Any) -> Any:
        return AdminClient(self.directory, limit).request(command, **arguments)

    def in_loop(self, call: Any) -> None:
        done = threading.Event()
        self.loop.call_soon(lambda: (call(), done.set()))
        assert done.wait(LIMIT)

    def close(self) -> None:
        self.in_loop(self.server.close)
        self._over = True
        self.loop.call_soon(lambda: None)
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        self.loop.close()


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="nm-") as path:
        made = Daemon(Path(path), monkeypatch)
        yield made
        made.close()
        assert not admin_path(made.directory).exists()


def is_cut(one: socket.socket) -> bool:
    """The daemon has let go of it, without an answer to anything."""
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_request_is_answered_or_refused_with_a_sentence(daemon: Daemon) -> None:
    assert daemon.ask(a=1, b=[None, "ü"]) == {"a": 1, "b": [None, "ü"]}
    with pytest.raises(AdminError, match="cannot do 'x': no such command"):
        daemon.ask("x")
    assert (admin_path(daemon.directory).stat().st_mode & 0o777) == 0o600


@pytest.mark.parametrize("many", [1000, 12_000])
def test_idle_connections_of_one_process_disturb_nobody(
    daemon: Daemon, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is the crowd that is cut, not the late.
    monkeypatch.setattr("netmap_supervisor.admin.server.REQUEST_LIMIT", 10 * LIMIT)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, many + 1000), hard), hard))
    daemon.peer = 7
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        # Those that were let go are kept open at our end.
        for _ in range(many):
            stack.enter_context(daemon.connect())
        wait_for(lambda: daemon.server.refused == many - MAX_OF_ONE, LIMIT, "the rest is cut")
        daemon.peer = 0
        assert daemon.ask(a=1) == {"a": 1}


def test_idle_connections_of_many_processes_make_room_for_who_asks(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netmap_supervisor.admin.server.REQUEST_LIMIT", 10 * LIMIT)
    idle = [daemon.connect() for _ in range(3 * MAX_CONNECTIONS)]
    assert daemon.ask(a=1) == {"a": 1}
    wait_for(lambda: daemon.server.refused >= 2 * MAX_CONNECTIONS, LIMIT, "the oldest are cut")
    assert is_cut(idle[0])
    for one in idle:
        one.close()


def test_who_waits_for_an_answer_is_not_pushed_out(daemon: Daemon) -> None:
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(daemon.ask("later")))
    asking.start()
    wait_for(lambda: daemon.kept, LIMIT, "the request has come")
    idle = [daemon.connect() for _ in range(2 * MAX_CONNECTIONS)]
    assert daemon.ask(a=1) == {"a": 1}
    daemon.in_loop(lambda: daemon.kept[0].answer("here"))
    asking.join(LIMIT)
    assert answers == ["here"]
    for one in idle:
        one.close()


def test_without_a_free_descriptor_nobody_is_let_in_and_nothing_ends(daemon: Daemon) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        lowest_free = {*range(highest + 10)} - {int(path.name) for path in Path("/proc/self/fd").iterdir()}
        held = [os.dup(0) for _ in lowest_free]
        stack.callback(lambda: [os.close(fd) for fd in held])
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
            for one in waiting:
                one.settimeout(LIMIT)
                one.connect(str(admin_path(daemon.directory)))
            assert all(is_cut(one) for one in waiting)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert daemon.ask(a=1) == {"a": 1}
    assert daemon.server.refused == len(waiting)


def test_who_does_not_ask_in_time_is_cut(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netmap_supervisor.admin.server.REQUEST_LIMIT", 0.2)
    for begun in (b"", b"\0", LENGTH_PREFIX.pack(10) + b"x"):
        with daemon.connect(begun) as one:
            assert is_cut(one)


def test_who_does_not_take_the_reply_is_cut_and_keeps_nobody_waiting(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netmap_supervisor.admin.server.REPLY_LIMIT", 1.0)
    with daemon.connect(framed(internal_pb2.AdminRequest(command="big"))):
        assert daemon.ask(a=1) == {"a": 1}
        assert len(daemon.ask("big")) == BIG
        wait_for(lambda: daemon.server.refused, LIMIT, "it is cut")


@pytest.mark.parametrize(
    "data", [LENGTH_PREFIX.pack(MAX_ADMIN_REQUEST + 1), b"\xff" * 9, LENGTH_PREFIX.pack(2**32 - 1)]
)
def test_a_length_out_of_bounds_is_cut_at_once(daemon: Daemon, data: bytes) -> None:
    with daemon.connect(data) as one:
        assert is_cut(one)
    assert daemon.server.refused == 1


def test_bytes_that_are_no_request_are_told_so(daemon: Daemon) -> None:
    with daemon.connect(LENGTH_PREFIX.pack(3) + b"\xff\xff\xff") as one:
        assert b"cannot read the request" in one.recv(1000)


@pytest.mark.parametrize(
    "arguments",
    [b"", b"{", b"[]", b"null", b'"a"', b"NaN", b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\\ud800"}', b'{"a":"\xff"}',
     b'{"a":' + b"1" * 5000 + b"}", b"[" * 5000, b'{"a":' * 5000],
    ids=lambda given: given[:12],
)  # fmt: skip
def test_arguments_that_are_none_are_refused_in_a_sentence(daemon: Daemon, arguments: bytes) -> None:
    request = internal_pb2.AdminRequest(command="echo", arguments=arguments)
    with daemon.connect(framed(request)) as one:
        answer = one.recv(4000)
    assert (b'{"error":"cannot read the request: ' in answer) is bool(arguments)
    assert daemon.ask(a=1) == {"a": 1}


def test_a_word_that_is_no_unicode_is_not_sent(daemon: Daemon) -> None:
    with pytest.raises(AdminError, match=r"^cannot ask for that: a word of it is no text in UTF-8$"):
        daemon.ask(peer="\udcff")


def test_the_view_may_ask_for_the_status_and_for_nothing_else(daemon: Daemon) -> None:
    daemon.peer, daemon.ours, daemon.viewer = 7, {7, 8}, 7
    assert daemon.ask("status", of="all") == {"of": "all"}
    for command in ("echo", "big", "stop"):
        with pytest.raises(AdminError, match="the daemon started it, and it has none to give"):
            daemon.ask(command)
    assert daemon.server.refused == 3
    daemon.peer = 8
    with pytest.raises(AdminError, match="the daemon started it"):
        daemon.ask("status")
    daemon.peer, daemon.viewer = 0, 0


def test_who_is_ours_or_somebody_elses_gives_no_orders(daemon: Daemon) -> None:
    daemon.peer, daemon.ours = 7, {7}
    with pytest.raises(AdminError, match="cannot take orders of process 7: the daemon started it"):
        daemon.ask()
    daemon.peer, daemon.uid = 8, 65534
    with pytest.raises(AdminError, match="cannot take orders of user 65534"):
        daemon.ask()
    daemon.uid = 0
    assert daemon.ask(a=1) == {"a": 1}
    assert daemon.server.refused == 2


def test_a_daemon_that_is_not_there_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netmap_supervisor.admin.socket.is_locked", lambda _: True)
    with pytest.raises(NotRunning, match=r"no answer within 0\.2 s"):
        AdminClient(tmp_path, 0.2).request("status")


def test_a_daemon_that_is_stopped_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections, as many as its backlog, and says nothing."""
    monkeypatch.setattr("netmap_supervisor.admin.socket.is_locked", lambda _: True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("netmap_supervisor.admin.socket.admin_path", lambda _: Path("admin.sock"))
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        listener.bind("admin.sock")
        listener.listen(1)
        for _ in range(4):
            with pytest.raises(NotRunning, match=r"no answer within 0\.2 s"):
                AdminClient(tmp_path, 0.2).request("status")
            full = stack.enter_context(socket.socket(socket.AF_UNIX))
            full.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                full.connect("admin.sock")


@given(
    st.dictionaries(st.integers(2, 30), st.integers(0, 30)), st.integers(2, 30), st.sets(st.integers(2, 30))
)
def test_a_process_is_ours_if_one_of_ours_is_among_its_parents(
    parents: dict[int, int], pid: int, children: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer_process, "parent_of", lambda one: parents.get(one, 0))
        found = descends_from(lambda: children)(pid)
    chain = [pid]
    while chain[-1] > 1 and len(chain) < 40:
        chain.append(parents.get(chain[-1], 0))
    endless = len(chain) == 40
    assert found == (endless or bool(children & set(chain)))


@pytest.mark.parametrize(
    ("own", "parents", "pid", "ours"),
    [
        (50, {60: 50}, 60, True),
        (50, {70: 60, 60: 50}, 70, True),
        (50, {80: 70, 70: 60}, 80, True),
        (50, {80: 50}, 80, True),
        (50, {80: 1}, 80, False),
        (50, {80: 40, 40: 1}, 80, False),
        (50, {}, 80, False),
        (50, {50: 60}, 50, False),
        # Every orphan is a child of the first process of a container, an operator's shell as well.
        (1, {80: 1}, 80, False),
        (1, {80: 60, 60: 1}, 80, True),
    ],
)
def test_what_a_child_started_is_ours_and_what_was_left_to_us_is_not(
    own: int, parents: dict[int, int], pid: int, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_process, "parent_of", lambda one: parents.get(one, 0))
    monkeypatch.setattr(os, "getpid", lambda: own)
    assert descends_from(lambda: {60})(pid) is ours


def test_the_kernel_tells_whose_child_we_are() -> None:
    assert parent_of(os.getpid()) == os.getppid()
    assert parent_of(2**22 + 1) == 0
    assert not descends_from(list)(os.getpid())
    assert descends_from(lambda: [os.getppid()])(os.getpid()) is False, "never ourselves"


ASK = """
import socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[1])
one.sendall(bytes.fromhex(sys.argv[2]))
sys.stdin.read()
"""
"""Connects, asks, and ends on request."""


@pytest.mark.parametrize("known", [True, False], ids=["by its pidfd", "by its pid, before Linux 6.5"])
def test_who_has_ended_is_known_to_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    if not known:
        monkeypatch.setattr(peer_process, "_SO_PEERPIDFD", 9999)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("door")
        listener.listen()
        with subprocess.Popen([sys.executable, "-c", ASK, "door", ""], stdin=subprocess.PIPE) as asker:
            connection, _ = listener.accept()
            with connection:
                assert not has_ended(connection, asker.pid)
                asker.communicate()
                assert has_ended(connection, asker.pid)
                assert not has_ended(connection, 0), "of a namespace that we do not see into: none of ours"


def test_an_order_of_somebody_who_has_ended_meanwhile_is_none(daemon: Daemon) -> None:
    """It may have been a process of the daemon's: its parents are unknown."""
    asked = framed(internal_pb2.AdminRequest(command="later", arguments=b"{}"))
    held, reached = threading.Event(), threading.Event()
    daemon.loop.call_soon(lambda: (reached.set(), held.wait(LIMIT)))
    assert reached.wait(LIMIT), "the daemon is busy"
    words = [sys.executable, "-c", ASK, str(admin_path(daemon.directory)), asked.hex()]
    for _ in range(3):
        subprocess.run(words, stdin=subprocess.DEVNULL, check=True, timeout=LIMIT)
    held.set()
    wait_for(lambda: daemon.server.refused == 3, LIMIT, "the refusals")
    assert daemon.kept == []
    assert daemon.ask(alive=1) == {"alive": 1}
