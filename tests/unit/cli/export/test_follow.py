"""When an export is written and its command runs, and what a file is after a write that failed."""

from __future__ import annotations

import itertools
import os
import signal
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.export.change_command import ChangeCommand
from netmap_supervisor.cli.export.output_file import OutputFile
from netmap_supervisor.cli.export.pacing import LONG_RUN, RETRY, WRITE_INTERVAL, CommandRuns, Writing
from netmap_supervisor.cli.process.interruption import Interruption
from tests.support.availability import unavailable
from tests.support.waiting import wait_for

# When it is written


def test_without_a_change_there_is_nothing_to_write() -> None:
    writing = Writing()
    assert writing.due_in(5.0) is None
    assert not writing.pending


def test_the_first_change_is_written_at_once_and_those_that_follow_together() -> None:
    writing = Writing()
    writing.changed()
    assert writing.due_in(5.0) == 0
    writing.attempted(5.0, ok=True)
    assert writing.due_in(5.0) is None
    writing.changed()
    writing.changed()
    assert writing.due_in(5.25) == pytest.approx(WRITE_INTERVAL - 0.25)
    assert writing.due_in(5.0 + WRITE_INTERVAL) == 0
    writing.attempted(5.0 + WRITE_INTERVAL, ok=True)
    assert not writing.pending


def test_a_write_that_failed_is_tried_again_at_intervals_and_at_the_next_change() -> None:
    writing = Writing()
    writing.changed()
    writing.attempted(5.0, ok=False)
    assert writing.pending
    assert writing.due_in(5.0) == RETRY
    writing.changed()
    assert writing.due_in(5.0) == WRITE_INTERVAL
    writing.attempted(6.0, ok=False)
    assert writing.due_in(6.0) == RETRY
    writing.attempted(6.0 + RETRY, ok=True)
    assert not writing.pending


steps = st.lists(
    st.tuples(st.sampled_from(["change", "wait"]), st.floats(0.0, 3.0, allow_subnormal=False), st.booleans()),
    max_size=60,
)


@given(steps)
def test_writes_are_a_gap_apart_and_the_last_netmap_is_always_written(
    steps: list[tuple[str, float, bool]],
) -> None:
    writing, now, netmap, in_file = Writing(), 100.0, 0, 0
    attempts: list[float] = []

    def attempt(ok: bool) -> None:
        nonlocal in_file
        if writing.due_in(now) == 0:
            attempts.append(now)
            in_file = netmap if ok else in_file
            writing.attempted(now, ok=ok)

    for kind, pause, ok in steps:
        if kind == "change":
            netmap += 1
            writing.changed()
        else:
            now += pause
        attempt(ok)
        due = writing.due_in(now)
        assert (due is None) == (netmap == in_file), "it sleeps exactly when the file says what is"
        assert writing.pending == (due is not None)
        assert due is None or due < RETRY + 1e-6
    while (due := writing.due_in(now)) is not None:
        # As the shell does: rounded up.
        now += due + 0.001
        attempt(ok=True)
    assert in_file == netmap
    assert all(later - earlier > WRITE_INTERVAL - 1e-6 for earlier, later in itertools.pairwise(attempts))


# When the command runs


def test_the_command_runs_once_for_each_written_change_that_no_run_has_seen() -> None:
    runs = CommandRuns()
    assert not runs.due
    runs.written()
    assert runs.due
    runs.started(1.0)
    assert runs.running
    assert not runs.due
    runs.written()
    runs.written()
    assert not runs.due, "one at a time"
    runs.ended()
    assert runs.due
    runs.started(2.0)
    runs.ended()
    assert not runs.due


def test_a_run_that_keeps_another_waiting_is_told_of_once() -> None:
    runs = CommandRuns()
    runs.written()
    runs.started(1.0)
    assert runs.overdue_in(1.0 + LONG_RUN) is None, "it keeps nobody waiting"
    runs.written()
    assert runs.overdue_in(2.0) == LONG_RUN - 1.0
    assert runs.overdue_in(1.0 + LONG_RUN) == 0
    runs.reported()
    assert runs.overdue_in(2.0 + LONG_RUN) is None
    runs.ended()
    runs.started(100.0)
    runs.written()
    assert runs.overdue_in(100.0) == LONG_RUN


@given(st.lists(st.sampled_from(["written", "ended"]), max_size=30))
def test_every_written_change_is_seen_by_a_run_that_began_after_it(steps: list[str]) -> None:
    runs, change, seen = CommandRuns(), 0, 0
    for step in [*steps, "ended", "ended"]:
        if step == "written":
            change += 1
            runs.written()
        elif runs.running:
            runs.ended()
        if runs.due:
            runs.started(0.0)
            seen = change
    assert seen == change


# The file


def equal(old: bytes, new: bytes) -> bool:
    return old == new


def test_a_file_is_written_only_when_it_has_changed(tmp_path: Path) -> None:
    file = OutputFile(tmp_path / "hosts")
    assert file.update(b"one\n", equal)
    first = file.path.stat()
    assert not file.update(b"one\n", equal)
    second = file.path.stat()
    # Not the time of the last access: it is read to be compared.
    assert (second.st_ino, second.st_mtime_ns, second.st_ctime_ns) == (
        first.st_ino,
        first.st_mtime_ns,
        first.st_ctime_ns,
    )
    assert file.update(b"two\n", equal)
    assert file.path.read_bytes() == b"two\n"
    assert file.path.stat().st_ino != first.st_ino, "whoever reads the old one reads it to its end"
    assert not file.update(b"three\n", lambda old, new: True)
    assert [path.name for path in tmp_path.iterdir()] == ["hosts"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_usual_mode(tmp_path: Path, umask: int, mode: int) -> None:
    file = OutputFile(tmp_path / "hosts")
    before = os.umask(umask)
    try:
        file.update(b"one\n", equal)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640])
def test_the_mode_and_the_owner_of_an_old_file_are_kept(tmp_path: Path, mode: int) -> None:
    file = OutputFile(tmp_path / "hosts")
    file.path.write_bytes(b"old\n")
    file.path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(file.path, 12345, 54321)
    before = file.path.stat()
    assert file.update(b"new\n", equal)
    after = file.path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_neither_a_link_nor_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"somebody else's\n")
    link = tmp_path / "hosts"
    link.symlink_to(target)
    with pytest.raises(CommandFailed, match=r"cannot write .*: it is a symbolic link; name the file"):
        OutputFile(link).update(b"new\n", equal)
    assert link.readlink() == target
    assert target.read_bytes() == b"somebody else's\n"


def test_what_is_no_file_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(CommandFailed, match=r"cannot write .*: it is no regular file"):
            OutputFile(path).update(b"new\n", equal)
    assert pipe.is_fifo()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CommandFailed, match=r"cannot write .*/gone/hosts: there is no directory .*/gone; make"
    ):
        OutputFile(tmp_path / "gone" / "hosts").update(b"new\n", equal)


def test_a_directory_that_takes_no_file_is_not_said_to_be_missing() -> None:
    """/proc is there, and the kernel says of every new file in it that something is not."""
    with pytest.raises(CommandFailed, match=r"cannot write /proc/hosts: no file can be made in /proc; name"):
        OutputFile(Path("/proc/hosts")).update(b"new\n", equal)


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_is_cut_off_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    file = OutputFile(tmp_path / "hosts")
    file.update(b"old\n", equal)

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(f"netmap_supervisor.cli.export.output_file.os.{step}", fail)
        with pytest.raises((CommandFailed, KeyboardInterrupt)) as raised:
            file.update(b"new\n", equal)
    assert isinstance(raised.value, KeyboardInterrupt) or str(raised.value) == (
        f"cannot write {file.path}: No space left on device"
    )
    assert file.path.read_bytes() == b"old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["hosts"]


# The command


def test_a_command_gets_the_file_and_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        "python3", "-c", "import os, sys; open(sys.argv[1], 'w').write(os.environ['NETMAP_EXPORT_FILE'])", "$HOME;x"
    ]  # fmt: skip
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    command = ChangeCommand(words, tmp_path / "hosts")
    command.start()
    assert command.finish(20.0)
    assert (tmp_path / "work" / "$HOME;x").read_text() == str(tmp_path / "hosts")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["false"], "`false` ended with exit status 1"),
        (["sh", "-c", "kill -9 $$"], "ended by signal 9"),
        (["/nonexistent/reload"], "cannot run `/nonexistent/reload`: No such file"),
    ],
)
def test_how_a_command_failed_is_told(tmp_path: Path, words: list[str], said: str) -> None:
    command = ChangeCommand(words, tmp_path / "hosts")
    with pytest.raises(CommandFailed, match=said):
        command.start()
        command.finish(20.0)
    assert command.finish(0.0), "the next run may begin"


def test_a_command_that_runs_is_not_waited_for_longer_than_asked(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = ChangeCommand(["cat", str(fifo)], tmp_path / "hosts")
    command.start()
    assert not command.finish(0.0)
    fifo.write_bytes(b"")
    assert command.finish(20.0)


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_something_to_wait_for(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption.asked
        signal.pthread_kill(threading.main_thread().ident or 0, number)
        wait_for(lambda: interruption.asked, 5.0, "the signal")
        assert os.read(interruption.fileno(), 1) == bytes([number])
        interruption.drain()
        assert interruption.asked
    assert signal.getsignal(number) == before


def test_the_end_of_a_child_wakes_up_and_ends_nothing(tmp_path: Path) -> None:
    with Interruption() as interruption:
        command = ChangeCommand(["true"], tmp_path / "hosts")
        command.start()
        assert command.finish(20.0)
        assert os.read(interruption.fileno(), 1) == bytes([signal.SIGCHLD])
        interruption.drain()
        assert not interruption.asked


def test_a_directory_behind_a_link_to_another_file_system_is_no_mount_of_the_file(tmp_path: Path) -> None:
    """As /var/run leads to /run: what lies there is replaced as a whole."""
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        unavailable("there is one file system only")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        (tmp_path / "link").symlink_to(other)
        told: list[str] = []
        file = OutputFile(tmp_path / "link" / "hosts", told.append)
        assert file.update(b"old\n", equal)
        inode = file.path.stat().st_ino
        assert file.update(b"new\n", equal)
        assert file.path.read_bytes() == b"new\n"
        assert (file.path.stat().st_ino != inode, told) == (True, [])
