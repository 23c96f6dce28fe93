"""Ctrl-C, SIGTERM and SIGHUP as an event to wait for, which interrupts nothing."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Interruption"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """A context manager for the main thread: within it these signals are only noted."""

    def __init__(self) -> None:
        self.asked = False
        """One of them has come."""

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        # What is ignored stays so: nohup(1), a shell's background.
        wanted = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
        self._handlers = {number: signal.signal(number, self._ask) for number in wanted}
        # Without a handler the end of a child would not wake poll(2).
        self._handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """Readable when a signal has come, the end of a child included."""
        return self._read

    def drain(self) -> None:
        """Forget the signals that have come; `asked` stays."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 1024):
                pass

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
