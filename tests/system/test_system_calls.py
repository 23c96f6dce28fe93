"""What the kernel still does for the real processes of a run once they are up, and what the daemon says of the rest."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import signal
import textwrap
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from netmap_actors.confinement import landlock
from tests.support.host.free_ports import free_port
from tests.support.processes.daemon import Daemon
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

ACTORS = ("control_connection", "dev_control", "http_endpoint", "liveness", "publisher")

PROBE = """
    import ctypes, fcntl, json, os, resource, socket, sys, threading, time
    from pathlib import Path

    def probe(actor):
        out = os.open(f"{os.environ['PYTHONPATH']}/{actor}.json", os.O_WRONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        NUMBERS = {"x86_64": (165, 101, 321, 310, 272), "aarch64": (40, 117, 280, 270, 97)}
        MOUNT, PTRACE, BPF, READ_MEMORY, UNSHARE = NUMBERS[os.uname().machine]

        def call(number, *arguments):
            if libc.syscall(number, *arguments) < 0:
                raise OSError(ctypes.get_errno(), "refused")

        def attempts():
            yield "execve", lambda: os.execv("/bin/true", ["true"])
            yield "fork", lambda: os.fork() or os._exit(0)
            yield "kill", lambda: os.kill(os.getppid(), 0)
            yield "raw socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            yield "audit", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
            yield "inet", lambda: socket.socket(socket.AF_INET).close()
            yield "unix", lambda: socket.socket(socket.AF_UNIX).close()
            yield "limits", lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            yield "own limits", lambda: resource.getrlimit(resource.RLIMIT_CORE)
            yield "io_uring", lambda: call(425, 1, ctypes.create_string_buffer(256))
            yield "mount", lambda: call(MOUNT, 0, 0, 0, 0, 0)
            yield "ptrace", lambda: call(PTRACE, 16, 0, 0, 0)
            yield "bpf", lambda: call(BPF, 0, 0, 0)
            yield "memory", lambda: call(READ_MEMORY, os.getppid(), 0, 0, 0, 0, 0)
            yield "unshare", lambda: call(UNSHARE, 0x4000000)
            yield "thread", lambda: threading.Thread(target=lambda: None).start()
            yield "file", lambda: open("/dev/null", "rb").close()
            # isatty(3) of glibc from 2.42 on, which this machine need not have: no terminal is ENOTTY.
            yield "TCGETS2", lambda: fcntl.ioctl(out, 0x802C542A, bytearray(44))

        def look():
            while "Seccomp_filters:\\t2" not in Path("/proc/self/status").read_text():
                time.sleep(0.02)
            told = {}
            for name, work in attempts():
                try:
                    work()
                    told[name] = "done"
                except (OSError, RuntimeError) as error:
                    told[name] = error.errno if isinstance(error, OSError) else "refused"
                except ValueError:
                    told[name] = 1  # setrlimit has a word of its own for EPERM
            os.write(out, json.dumps(told).encode() + b"\\n")

        threading.Thread(target=look, daemon=True).start()

    if {"netmap_actors", "run"} & set(sys.orig_argv):
        from netmap_actors.process import bootstrap

        main = bootstrap.main

        def hooked(actor, boot_fd):
            probe(actor)
            main(actor, boot_fd)

        bootstrap.main = hooked
"""

REFUSED = {
    "execve", "fork", "kill", "raw socket", "audit", "limits", "io_uring", "mount", "ptrace", "bpf", "memory",
    "unshare",
}  # fmt: skip


def filters(pid: int) -> list[str]:
    """Mode and number of filters of every thread: proc_pid_status(5)."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)
        found.append(f"{lines['Seccomp']} {lines['Seccomp_filters']}")
    return found


REFUSED_BY_ALL = {"execve", "mount", "ptrace", "io_uring_setup", "unshare"}


def test_no_process_can_do_what_it_never_does_and_the_daemon_counts_what_it_tried(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(PROBE))
    # Not files: none of them may write one.
    pipes = {}
    for actor in ACTORS:
        os.mkfifo(tmp_path / f"{actor}.json")
        pipes[actor] = os.open(tmp_path / f"{actor}.json", os.O_RDONLY | os.O_NONBLOCK)
    texts = dict.fromkeys(ACTORS, b"")
    listen = f"--http-listen=127.0.0.1:{free_port()}"
    with Daemon("--control-url=embedded", listen, env={"PYTHONPATH": str(tmp_path)}).start() as daemon:
        daemon.wait_fresh()

        def told() -> dict[str, dict[str, object]] | None:
            for actor, pipe in pipes.items():
                with contextlib.suppress(BlockingIOError):
                    texts[actor] += os.read(pipe, 65536)
            if not all(text.endswith(b"\n") for text in texts.values()):
                return None
            return {actor: json.loads(text.splitlines()[0]) for actor, text in texts.items()}

        probed = wait_for(told, 20, "what every process was refused")
        for pipe in pipes.values():
            os.close(pipe)
        for actor, results in probed.items():
            assert {name for name in REFUSED if results[name] == 1} == REFUSED, (actor, results)
            assert results["file"] == results["own limits"] == "done", (actor, results)
            assert results["TCGETS2"] == errno.ENOTTY, (actor, results)
        done = {
            name: {actor for actor in ACTORS if probed[actor][name] == "done"}
            for name in ("inet", "unix", "thread")
        }
        assert done["inet"] == {"control_connection", "http_endpoint"}
        assert done["unix"] == {"control_connection", "http_endpoint"}
        assert done["thread"] == {"control_connection"}
        status = daemon.wait_status(
            lambda status: all(
                row["refused_calls"].keys() >= REFUSED_BY_ALL
                for row in status["actors"]
                if row["name"] in ACTORS
            )
        )
        for row in status["actors"]:
            if row["name"] in ACTORS:
                assert row["refused_calls"]["execve"] == 1, row
                # Nor may the Supervisor, whose filter they inherit: it takes no refusal away from their own.
                assert row["refused_calls"].keys() >= REFUSED_BY_ALL, row
                refused = functools.partial(
                    daemon.events, "system_call_refused", actor=row["name"], call="execve", generation=1
                )
                wait_for(refused, 10, f"a line about what {row['name']} was refused")
        assert "execve 1" in daemon.command("status").stdout
        page = (
            urllib.request.urlopen(f"http://{listen.partition('=')[2]}/metrics", timeout=10).read().decode()
        )
        assert 'netmap_actor_refused_system_calls_total{actor="publisher",call="execve"} 1.0' in page
        assert daemon.wait_fresh()["netmap"]["state"] == "fresh"


ELSEWHERE = """
    import os
    here = os.uname()
    os.uname = lambda: os.uname_result((*here[:4], "riscv64"))
"""


def test_on_a_machine_without_a_table_of_calls_nothing_is_filtered_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(ELSEWHERE))
    with Daemon("--control-url=embedded", env={"PYTHONPATH": str(tmp_path)}).start() as daemon:
        daemon.wait_fresh()
        status = daemon.wait_status(
            lambda status: all(row["system_calls"] == "off" for row in status["actors"]),
            what="a word from each",
        )
        rows = {row["name"]: row["pid"] for row in status["actors"]}
        assert rows.keys() == {*ACTORS, "supervisor"} - {"http_endpoint"}
        for name, pid in rows.items():
            told = daemon.wait_event("system_calls_not_filtered", actor=name)
            assert told["detail"] == "there is no table of system calls for riscv64"
            assert set(filters(pid)) == {"0 0"}, name
        said = daemon.command("status").stdout
        assert "may make any system call" in said
        # What does not depend on the machine's calls still holds.
        held = {row["confinement"]["landlock"] for row in daemon.wait_reported()["actors"]}
        assert held == {landlock.abi()}
        assert daemon.terminate() == 0


def test_a_long_run_with_everything_on_is_refused_nothing() -> None:
    remote, http = free_port(2), free_port()
    options = (
        "--control-url=embedded",
        f"--listen=tcp://127.0.0.1:{remote}",
        f"--http-listen=127.0.0.1:{http}",
        "--dev-churn=20",
    )
    with Daemon(*options, config="").start() as daemon:
        daemon.wait_status(all_counted)
        daemon.wait_fresh()
        for path in ("metrics?peers=true", "netmap", "sd", "healthz", "nothing"):
            fetch(http, path)
        for name in ("publisher", "liveness", "http_endpoint", "control_connection", "dev_control"):
            before = daemon.actor(name)["generation"]
            daemon.signal_actor(name, signal.SIGKILL)
            daemon.wait_status(lambda status, name=name, before=before: generation(status, name) > before)
            daemon.wait_fresh()
        assert daemon.command("reload").returncode == 0
        assert daemon.command("fault", "freeze", "publisher", "--for", "1s").returncode == 0
        assert daemon.command("reconnect").returncode == 0
        daemon.wait_fresh()
        status = daemon.wait_status(all_counted)
        pids = {row["name"]: row["pid"] for row in status["actors"]}
        for name in ACTORS:
            assert set(filters(pids[name])) == {"2 2"}, name
        assert set(filters(daemon.pid)) == {"2 1"}
        assert {row["name"]: row["refused_calls"] for row in status["actors"] if row["refused_calls"]} == {}
        assert daemon.terminate() == 0
        assert daemon.events("system_call_refused") == []


def fetch(port: int, path: str) -> None:
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10).read()


def all_counted(status: dict) -> bool:
    """As long as the word has no place in the report, nobody is."""
    return all(row.get("system_calls") == "counted" for row in status["actors"] if row["name"] in ACTORS)


def generation(status: dict, name: str) -> int:
    up = (row["generation"] for row in status["actors"] if row["name"] == name and row["state"] == "active")
    return next(up, 0)
