"""Signal dispositions of the tests' children: the defaults, whatever the test run inherited."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["default_for_children"]

_PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}
"""Ignored by Python itself; subprocess gives them back to its children."""


def default_for_children() -> None:
    """Pass on no inherited SIG_IGN and no blocked signal; to be called in the main thread.

    This process goes on ignoring them by a handler: exec(2) resets handled signals to their defaults and keeps
    ignored ones. Some tests set handlers in this process, too.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for number in signal.valid_signals() - _PYTHONS_OWN:
        if signal.getsignal(number) is signal.SIG_IGN or number in blocked:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else _ignore)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass
