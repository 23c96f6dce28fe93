"""What the tests' own children do at a signal: by default what every program does, whoever started the tests."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["default_for_children"]

_PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}
"""Ignored by Python itself; subprocess gives them back to its children."""


def default_for_children() -> None:
    """Whatever was handed to us ignored or blocked goes no further; to be called in the main thread.

    We go on ignoring it, by a handler: exec(2) gives what is handled its default back, and leaves alone what is
    ignored. What these signals do is asked for by tests of this very process, too, which set handlers of their own.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for number in signal.valid_signals() - _PYTHONS_OWN:
        if signal.getsignal(number) is signal.SIG_IGN or number in blocked:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else _ignore)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass
