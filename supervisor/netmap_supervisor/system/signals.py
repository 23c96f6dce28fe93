"""The signals of the daemon: to stop, to read its settings again, to reap a child.

Not here: how that is done (`daemon.supervisor`).
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
"""Sent to a terminal's whole foreground group (Ctrl-C), or to every process of a service (its stop)."""
_WATCHED = (*GROUP_SIGNALS, signal.SIGHUP)


def hold_signals() -> None:
    """Block them until they are watched."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)


def hold_signals_of_first_process() -> None:
    """The same for PID 1 of a container: the kernel drops signals for which that has no handler yet."""
    if os.getpid() == 1:
        hold_signals()


def watch_signals(
    loop: Loop, stop: Callable[[str], None], reload: Callable[[], None], reap: Callable[[], None]
) -> None:
    """Call `stop(NAME)`, `reload()` or `reap()` in the loop's turn; to be called in the main thread.

    SIGHUP is what an operator sends to have the settings read again, and what the kernel sends when the terminal is
    closed in which the daemon was started: then Ctrl-C cannot end it any more, and it stops. A signal that was ignored
    at the start (nohup(1), a shell's background job) stays ignored.
    """
    terminals = [fd for fd in _STANDARD if os.isatty(fd)]

    def act(number: int) -> None:
        # A terminal that was hung up answers with EIO.
        if number == signal.SIGHUP and all(os.isatty(fd) for fd in terminals):
            reload()
        else:
            stop(signal.Signals(number).name)

    for number in _WATCHED:
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        signal.signal(number, lambda caught, _frame: loop.call_soon(lambda: act(caught)))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: loop.call_soon(reap))
    loop.call_soon(reap)  # for those that ended before this
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
