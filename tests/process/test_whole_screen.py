"""`watch` on the whole of a terminal: what is on it, and that it is given back however the view ends."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import running_publisher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes.publisher_process import PublisherProcess

LIMIT = 30.0
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A pseudo-terminal with the command on it. What it shows is kept as a grid, as a terminal keeps it."""

    def __init__(self, *words: str, lines: int = 12, columns: int = 60, **environment: str) -> None:
        self.written = b""
        self.ended = False
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "COLUMNS": "", "LINES": ""} | environment)
            command = [sys.executable, "-P", "-m", "netmap_supervisor", "watch", *words]
            os.execv(sys.executable, command)
        self.resize(lines, columns)
        self.modes = termios.tcgetattr(self.fd)

    def resize(self, lines: int, columns: int) -> None:
        termios.tcsetwinsize(self.fd, (lines, columns))

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def until(self, wanted: Any, what: str) -> None:
        """Read until `wanted()` holds."""
        deadline = time.monotonic() + LIMIT
        while not wanted():
            if self.ended or time.monotonic() > deadline:
                raise AssertionError(f"never {what}: {self.written[-2000:]!r}")
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 1 << 16)
                except OSError:
                    data = b""
                self.ended = not data
                self.written += data

    def screen(self) -> list[str]:
        """The lines of the alternate screen, without colours. Each is written whole, at its place."""
        grid: dict[int, str] = {}
        drawn = self.written.rpartition(ENTER)[2]
        for row, text in re.findall(rb"\x1b\[(\d+);1H([^\r]*?)(?=\x1b\[\d+;1H|\x1b\[\?|$)", drawn):
            grid[int(row)] = re.sub(rb"\x1b\[[0-9;]*[mKJ]", b"", text).decode()
        return [grid.get(number, "") for number in range(1, max(grid, default=0) + 1)]

    def shows(self, text: str) -> None:
        self.until(lambda: any(text in line for line in self.screen()), f"showed {text!r}")

    def end(self) -> int:
        """The wait status, once it has ended."""
        with contextlib.suppress(AssertionError):
            self.until(lambda: self.ended, "ended")
        return os.waitpid(self.pid, 0)[1]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture(scope="module")
def publisher() -> Iterator[PublisherProcess]:
    with running_publisher() as publisher:
        publisher.new_session(full(*(node(number) for number in range(2, 42))))
        publisher.statistics(peers=40)
        yield publisher


@contextlib.contextmanager
def terminal(publisher: PublisherProcess, *words: str, **given: Any) -> Iterator[Terminal]:
    made = Terminal(f"--runtime-dir={publisher.runtime_dir}", *words, **given)
    try:
        yield made
    finally:
        made.close()


def test_it_takes_all_lines_scrolls_and_follows_the_size(publisher: PublisherProcess) -> None:
    with terminal(publisher, "--sort=name") as it:
        it.shows("these are 1 to")
        assert it.screen()[-1].startswith("q ends this view")
        assert len(it.screen()) == 12
        it.type(b"G")
        it.shows("to 40")
        it.type(b"gj")
        it.shows("these are 2 to")
        it.resize(60, 40)
        it.until(lambda: len(it.screen()) == 60, "60 lines")
        assert all(len(line) <= 40 for line in it.screen())
        assert not any("more peers" in line for line in it.screen())
        it.type(b"q")
        assert it.end() == 0


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 0), (signal.SIGTERM, signal.SIGTERM), (signal.SIGHUP, signal.SIGHUP)],
)
def test_a_signal_that_ends_it_gives_the_terminal_back(
    publisher: PublisherProcess, number: signal.Signals, status: int
) -> None:
    with terminal(publisher) as it:
        it.shows("node2")
        assert not termios.tcgetattr(it.fd)[3] & termios.ECHO
        os.kill(it.pid, number)
        it.until(lambda: LEAVE in it.written, "given back")
        assert termios.tcgetattr(it.fd) == it.modes
        assert it.end() == status


def test_stopped_it_gives_the_terminal_back_and_goes_on_with_it(publisher: PublisherProcess) -> None:
    with terminal(publisher) as it:
        it.shows("node2")
        # A group of its own whose parent is in another session is orphaned, and the kernel would not stop it.
        os.kill(it.pid, signal.SIGTSTP)
        it.until(lambda: LEAVE in it.written, "given back")
        it.until(lambda: it.written.count(ENTER) == 2, "taken again")
        it.shows("node2")
        it.type(b"q")
        assert it.end() == 0


@pytest.mark.parametrize("encoding", ["iso-8859-1", "ascii", "utf-8"])
def test_a_line_is_as_long_as_the_terminal_in_every_encoding(
    publisher: PublisherProcess, encoding: str
) -> None:
    named = node(41) | {
        "Name": "büro-漢-with-a-long-long-name-indeed.example.",
        "Tags": ["tag:a-long-tag-indeed"],
    }
    publisher.map_response({"PeersChanged": [named]})
    with terminal(publisher, "--match=long", columns=40, PYTHONIOENCODING=encoding) as it:
        it.until(lambda: b"indeed" in it.written, "its name")
        it.type(b"q")
        assert it.end() == 0
        shown = it.written.decode(encoding)
    lines = re.findall(r"\x1b\[\d+;1H([^\r\x1b]*)", re.sub(r"\x1b\[[0-9;]*[mK]", "", shown))
    assert max(map(len, lines)) <= 40
    assert {"iso-8859-1": "büro-\\u6", "ascii": "b\\xfcro-", "utf-8": "büro-漢"}[encoding] in shown


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_terminal_that_cannot_redraw_gets_lines(publisher: PublisherProcess, kind: str) -> None:
    with terminal(publisher, TERM=kind) as it:
        it.until(lambda: b"40 peers" in it.written, "a line")
        assert b"\x1b" not in it.written
