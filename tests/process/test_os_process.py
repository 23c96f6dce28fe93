"""Real processes: spawned with what they need and nothing else, signalled and reaped without losing a status."""

from __future__ import annotations

import os
import select
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

from netmap_supervisor.system import os_process
from netmap_supervisor.system.os_process import MAX_BOOT, ChildProcess, ExitStatus, spawn
from tests.support.availability import unavailable
from tests.support.waiting import Stopwatch, wait_for

LIMIT = 20.0


@pytest.fixture
def children(tmp_path, monkeypatch):
    """Starts children whose `netmap_actors` is the program given; ends what is left of them."""
    started: list[ChildProcess] = []
    log_read, log_write = os.pipe2(os.O_CLOEXEC)

    def start(program: str, *, boot: bytes = b"boot", inherited=(), environment=None) -> ChildProcess:
        (tmp_path / "netmap_actors").mkdir(exist_ok=True)
        (tmp_path / "netmap_actors" / "__init__.py").touch()
        (tmp_path / "netmap_actors" / "__main__.py").write_text(textwrap.dedent(program))
        environment = {"PYTHONPATH": str(tmp_path)} | (environment or {})
        process = spawn("actor", boot, environment=environment, inherited=inherited, log_fd=log_write)
        started.append(process)
        return process

    def output(until: bytes) -> bytes:
        seen = b""
        while until not in seen:
            assert select.select([log_read], [], [], LIMIT)[0], f"nothing more after {seen!r}"
            seen += os.read(log_read, 65536)
        return seen

    start.output = output
    yield start
    for process in started:
        try:
            process.send(signal.SIGKILL)
            ended(process)
        except OSError:
            continue  # reaped by its test
    os.close(log_read)
    os.close(log_write)


def ended(process: ChildProcess) -> ExitStatus:
    assert select.select([process.pidfd], [], [], LIMIT)[0], "it does not end"
    status = process.reap()
    assert status is not None
    return status


def descriptors() -> list[int]:
    found = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    # The directory itself was open while it was read.
    return [fd for fd in found if Path(f"/proc/self/fd/{fd}").exists()]


@pytest.mark.parametrize("status", [0, 1, 41, 78, 255])
def test_an_exit_status_comes_through(children, status) -> None:
    assert ended(children(f"import os; os._exit({status})")) == ExitStatus(status, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_comes_through(children, number) -> None:
    process = children("import signal; print('up', flush=True); signal.pause()")
    children.output(b"up")
    assert process.reap() is None, "it runs"
    process.send(number)
    assert ended(process) == ExitStatus(None, number)


def test_a_stopped_child_is_killed_all_the_same(children) -> None:
    process = children("import signal; print('up', flush=True); signal.pause()")
    children.output(b"up")
    process.send(signal.SIGSTOP)
    process.send(signal.SIGKILL)
    assert ended(process) == ExitStatus(None, signal.SIGKILL)


def test_a_signal_to_one_that_has_ended_is_nothing(children) -> None:
    process = children("import os; os._exit(3)")
    assert select.select([process.pidfd], [], [], LIMIT)[0]
    process.send(signal.SIGKILL)
    assert ended(process) == ExitStatus(3, None)


def test_the_boot_record_comes_through_a_pipe_and_the_arguments_hold_nothing_of_it(children) -> None:
    boot = b"b" * MAX_BOOT
    children(
        """
        import os, sys
        with os.fdopen(int(sys.argv[sys.argv.index("--boot-fd") + 1]), "rb") as pipe:
            print(len(pipe.read()), sys.argv[1:], flush=True)
        """,
        boot=boot,
    )
    seen = children.output(b"\n").decode()
    assert seen.startswith(f"{MAX_BOOT} ['actor', '--boot-fd', ")


def test_a_boot_record_that_no_pipe_holds_is_refused_before_anything_is_started(children) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        children("", boot=b"b" * (MAX_BOOT + 1))


def test_a_child_has_its_standard_descriptors_and_what_it_inherits_and_no_other(children) -> None:
    kept = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    other = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    children(
        """
        import os, sys
        boot_fd = int(sys.argv[-1])
        here = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
        here = [fd for fd in here if fd != boot_fd and os.path.exists(f"/proc/self/fd/{fd}")]
        print(*here, os.readlink("/proc/self/fd/0"), "end", flush=True)
        """,
        inherited=[kept],
    )
    *seen, standard_input, _ = children.output(b"end").decode().split()
    # Whoever started the tests may have left descriptors open for everybody.
    foreign = {fd for fd in descriptors() if fd > 2 and os.get_inheritable(fd)}
    os.close(kept)
    os.close(other)
    assert {int(fd) for fd in seen} - foreign == {0, 1, 2, kept}
    assert standard_input == "/dev/null"


def test_a_child_has_the_environment_it_is_given_and_default_signals(children) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        children(
            """
            import os, signal
            print(sorted(os.environ), signal.getsignal(signal.SIGINT) is signal.default_int_handler,
                  signal.pthread_sigmask(signal.SIG_BLOCK, []), "end", flush=True)
            """,
            environment={"LANG": "C"},
        )
        seen = children.output(b"end").decode()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen.strip() == "['LANG', 'LC_CTYPE', 'PYTHONPATH'] True set() end"


def test_a_child_that_cannot_be_watched_does_not_live(children, monkeypatch) -> None:
    """No descriptor left for its pidfd: nobody would see its end, and a second one would be started beside it."""
    pids: list[int] = []
    real = os.posix_spawn

    def noted(*args, **options) -> int:
        pids.append(real(*args, **options))
        return pids[-1]

    def refused(pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os_process.os, "posix_spawn", noted)
    monkeypatch.setattr(os_process.os, "pidfd_open", refused)
    with pytest.raises(OSError, match="Too many"):
        children("import signal; signal.pause()")
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


SPIN = """
    import os
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print("spinning", flush=True)
    while True:
        pass
"""


def test_a_child_that_shares_its_processor_waits_for_it_and_one_that_is_stopped_does_not(children) -> None:
    if not Path("/proc/self/schedstat").exists():
        unavailable("this kernel does not count who waits for a processor")
    child = children(SPIN)
    children(SPIN)  # its rival
    children.output(b"spinning\nspinning")

    def waited() -> float:
        return child.waited(time.monotonic())

    before = waited()
    wait_for(lambda: waited() > before + 0.3, LIMIT, "it waits while the other runs")
    child.send(signal.SIGSTOP)
    wait_for(lambda: state(child) == "T", LIMIT, "it is stopped")
    stopped, at = waited(), time.monotonic()
    wait_for(lambda: time.monotonic() > at + 0.5, LIMIT, "half a second has passed")
    assert waited() == pytest.approx(stopped, abs=0.05)
    child.send(signal.SIGCONT)
    child.send(signal.SIGKILL)
    ended(child)
    assert waited() >= stopped, "of one that is gone the last word counts"


def state(process: ChildProcess) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0]


def test_spawning_and_reaping_many_leaks_no_descriptor(children) -> None:
    ended(children("pass"))
    before = len(descriptors())
    for _ in range(20):
        ended(children("import os; os._exit(0)"))
    assert len(descriptors()) == before


def test_a_program_that_is_not_there_leaks_no_descriptor(children, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = len(descriptors())
    with pytest.raises(FileNotFoundError):
        children("pass")
    assert len(descriptors()) == before


def test_a_spawn_does_not_wait_for_the_child(children) -> None:
    watch = Stopwatch()
    children("import signal; signal.pause()")
    assert watch.seconds() < 1.0
