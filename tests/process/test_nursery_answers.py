"""What a nursery answers: a new child of ours is taken, everything else is refused and leaves nothing open."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_supervisor.system.nursery_process import NurseryFailed, NurseryProcess
from netmap_supervisor.system.os_process import Execution, held_child

if TYPE_CHECKING:
    from collections.abc import Iterator


class Children:
    """Processes by what they are to this one."""

    def __init__(self) -> None:
        self.new, self.ended, self.other = (
            os.posix_spawn("/bin/sleep", ["sleep", "60"], {}) for _ in range(3)
        )
        os.kill(self.ended, signal.SIGKILL)
        self.us = os.getpid()
        # Its grandchild, whose parent lives.
        self._parent = subprocess.Popen(
            ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True
        )
        assert self._parent.stdout is not None
        self.grandchild = int(self._parent.stdout.readline())

    def close(self) -> None:
        for pid in (self.new, self.other, self.ended):
            # A test may have reaped it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        os.kill(self.grandchild, signal.SIGKILL)
        self._parent.communicate()


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children()
    yield made
    made.close()


@pytest.fixture
def line() -> Iterator[tuple[NurseryProcess, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield NurseryProcess(types.SimpleNamespace(line=ours), -1), theirs  # type: ignore[arg-type]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def answered(line: tuple[NurseryProcess, socket.socket], text: bytes, files: int, held: set[int]):
    """What the Supervisor makes of this answer, which waits already; `files`: how many descriptors come along."""
    process, theirs = line
    given = [os.open(os.devnull, os.O_RDONLY) for _ in range(files)]
    socket.send_fds(theirs, [text], given)
    for fd in given:
        os.close(fd)
    try:
        return process.fork(Execution("liveness", {}, [0], 1), held)
    finally:
        while True:
            # The order's descriptors lie in the socket until it is read.
            try:
                theirs.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break


@pytest.mark.parametrize("who", ["new", "ended"])
def test_a_child_of_ours_is_taken_whether_it_lives_or_has_ended(line, children: Children, who: str) -> None:
    pid = getattr(children, who)
    started = answered(line, b'{"pid":%d}' % pid, 2, {children.other})
    assert started.pid == pid
    assert len(started.files) == 2
    for fd in started.files:
        assert not os.get_inheritable(fd)
        os.close(fd)
    # Nothing was taken of how it ended.
    assert os.waitid(os.P_PID, children.ended, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("files", [0, 1, 3])
def test_descriptors_that_are_not_two_are_none(line, children: Children, files: int) -> None:
    before = open_files()
    started = answered(line, b'{"pid":%d}' % children.new, files, set())
    # Of more the kernel gives those that there is room for.
    assert len(started.files) == (2 if files == 3 else 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = held_child(started, ours)
        assert child.waited(0.0) >= 0.0
        child.send(signal.SIGKILL)
        child.wait()
    assert open_files() == before


@pytest.mark.parametrize("files", [0, 2])
@pytest.mark.parametrize(
    "text",
    [
        '{"pid":OTHER}',
        '{"pid":US}',
        '{"pid":GRANDCHILD}',
        '{"pid":1}',
        '{"pid":0}',
        '{"pid":-1}',
        '{"pid":4194305}',
        '{"pid":99999999999}',
        '{"pid":99999999999999999999999}',
        '{"pid":"1"}',
        '{"error":"\udcff"}',
        "[]",
        "{",
        " ",
    ],
)
def test_what_names_no_new_child_of_ours_is_refused(line, children: Children, text: str, files: int) -> None:
    for word, pid in (("OTHER", children.other), ("US", children.us), ("GRANDCHILD", children.grandchild)):
        text = text.replace(word, str(pid))
    before = open_files()
    with pytest.raises(NurseryFailed, match=r"cannot fork liveness: ."):
        answered(line, text.encode(errors="surrogateescape"), files, {children.other})
    assert open_files() == before
    os.kill(children.other, 0)


def test_an_end_is_no_answer(line) -> None:
    line[1].shutdown(socket.SHUT_WR)
    with pytest.raises(NurseryFailed, match="cannot fork liveness"):
        line[0].fork(Execution("liveness", {}, [0], 1), ())
    line[1].close()
    with pytest.raises(NurseryFailed, match="cannot fork liveness"):
        line[0].fork(Execution("liveness", {}, [0], 1), ())
