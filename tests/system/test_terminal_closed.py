"""A daemon started in a terminal: what becomes of it when the terminal is closed, and what SIGHUP means before."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import termios
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes.daemon import PROGRAM, children_of, clean_environment
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """`run` with a controlling terminal of its own, which can be closed."""

    def __init__(self, directory: Path, prefix: Sequence[str] = ()) -> None:
        self._env = clean_environment(directory, {"TERM": "xterm-256color"})
        self._place = f"--runtime-dir={directory}/r"
        self._master, terminal = os.openpty()
        command = [*prefix, *PROGRAM, "run", "--view=plain", f"--state-dir={directory}/s", self._place]
        self.process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=self._env,
            cwd=directory,
            start_new_session=True,
            # No other thread of ours runs in it: it becomes the terminal's first process and is replaced.
            preexec_fn=_take_terminal,  # noqa: PLW1509
        )
        os.close(terminal)
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Show nobody what it prints, so that it never waits for us."""
        with contextlib.suppress(OSError):
            while not self._closing.is_set():
                if select.select([self._master], [], [], 0.05)[0]:
                    os.read(self._master, 65536)

    def command(self, *arguments: str) -> int:
        command = [*PROGRAM, *arguments, self._place]
        done = subprocess.run(command, env=self._env, capture_output=True, timeout=30, check=False)
        print(done.stdout.decode(), done.stderr.decode(), self.process.poll())
        return done.returncode

    def wait_fresh(self) -> list[int]:
        """Its children's processes."""
        wait_for(lambda: self.command("wait", "--for=fresh", "--timeout=5s") == 0, 30.0, "a fresh netmap")
        return children_of(self.process.pid)

    def close(self) -> None:
        """As a terminal emulator does whose window is closed: the kernel sends SIGHUP."""
        if not self._closing.is_set():
            self._closing.set()
            self._reader.join()
            os.close(self._master)

    def end(self) -> None:
        self.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nmt-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def test_it_ends_in_order_when_its_terminal_is_closed(place: Path) -> None:
    terminal = Terminal(place)
    try:
        children = terminal.wait_fresh()
        assert len(children) >= 4
        terminal.process.send_signal(signal.SIGHUP)
        assert terminal.command("reload") == 0
        assert terminal.process.poll() is None, (
            "while the terminal is there, the signal means: read the settings"
        )
        terminal.close()
        assert terminal.process.wait(10.0) == 0
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    finally:
        terminal.end()


def test_with_nohup_it_stays(place: Path) -> None:
    terminal = Terminal(place, ("nohup",))
    try:
        terminal.wait_fresh()
        terminal.close()
        terminal.process.send_signal(signal.SIGHUP)
        assert terminal.command("reload") == 0
        assert terminal.command("status") == 0
        terminal.process.terminate()
        assert terminal.process.wait(10.0) == 0
    finally:
        terminal.end()
