"""What the signals sent to the daemon ask for: to stop, to read its settings again, or to bury a child.

Not here: how either is done (`supervisor`).
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop

__all__ = ["GROUP_SIGNALS", "hold_signals", "hold_signals_of_first_process", "watch_signals"]

_STANDARD = (0, 1, 2)
GROUP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What everybody of a terminal's foreground group or of a service gets at once: Ctrl-C, or its stop."""
_WATCHED = (*GROUP_SIGNALS, signal.SIGHUP)


def hold_signals() -> None:
    """Let them wait until they are watched."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)


def hold_signals_of_first_process() -> None:
    """To the first process of a container the kernel gives no signal it has not asked for: one would be lost."""
    if os.getpid() == 1:
        hold_signals()


def watch_signals(
    loop: Loop, stop: Callable[[str], None], reload: Callable[[], None], reap: Callable[[], None]
) -> None:
    """Call `stop(NAME)`, `reload()` or `reap()` in the loop's turn; to be called in the main thread.

    SIGHUP is what an operator sends to have the settings read again, and what the kernel sends when the terminal is
    closed in which the daemon was started: then nobody is left who could end it with Ctrl-C, and it stops. A signal
    that whoever started us has ignored (nohup(1), a shell's background job) stays ignored.
    """
    terminals = [fd for fd in _STANDARD if os.isatty(fd)]

    def act(number: int) -> None:
        # A terminal that was hung up answers nothing any more (EIO).
        if number == signal.SIGHUP and all(os.isatty(fd) for fd in terminals):
            reload()
        else:
            stop(signal.Signals(number).name)

    for number in _WATCHED:
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        signal.signal(number, lambda caught, _frame: loop.call_soon(lambda: act(caught)))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: loop.call_soon(reap))
    loop.call_soon(reap)  # whoever ended before this
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
