"""The whole of a terminal: its alternate screen, its keys, its signals. What was there before comes back at the end.

Not here: what is on the screen (`view.live`) and what the keys mean (`view.keys`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import tty
from typing import TYPE_CHECKING, Any

from netmap_supervisor.view.keys import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netmap_supervisor.view.keys import Key

__all__ = ["Screen"]

# tmux, screen, xterm, the BSD and Linux consoles agree on these; a terminal without one of them ignores it.
_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J"
"""Alternate screen, no cursor, no wrapping: a line that is too long for a moment while the size changes is cut."""
_LEAVE = b"\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l"
_READ = 4096
_PATIENCE_MS = 200
"""How long a stopped terminal (Ctrl-S) is waited for at the end."""
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Screen:
    """Takes the terminal over when it is made, in the main thread; `close` gives it back.

    Also given back when a signal ends the process, and while it is stopped (Ctrl-Z).
    """

    def __init__(self, output: int, typed: int | None) -> None:
        """`output`: the descriptor of a terminal. `typed`: that of the keyboard, None for none."""
        self._output = output
        self._typed = typed
        self._modes: list[Any] = []
        self._shown: list[bytes] = []
        self._size = (0, 0)
        self._taken = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        handlers: dict[int, Callable[[int, Any], None]] = dict.fromkeys(_ENDING, self._end)
        # The byte in the pipe is what counts; without a handler there would be none.
        handlers |= dict.fromkeys((signal.SIGWINCH, signal.SIGTSTP), lambda *_: None)
        # What is ignored stays so, as under nohup(1).
        self._handlers = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        self._take()

    def size(self) -> tuple[int, int]:
        """(columns, lines) now."""
        try:
            found = os.get_terminal_size(self._output)
        except OSError:
            found = os.terminal_size((0, 0))
        # A serial line does not know.
        return found.columns or 80, found.lines or 24

    def show(self, lines: Sequence[bytes]) -> None:
        """Write the lines that are others than before."""
        if self._size != (size := self.size()):
            self._size, self._shown = size, []
        shown = list(lines[: size[1]])
        out = [
            b"\x1b[%d;1H%b\x1b[K" % (number + 1, line)
            for number, line in enumerate(shown)
            if number >= len(self._shown) or self._shown[number] != line
        ]
        if len(shown) < size[1] and (not self._shown or len(self._shown) > len(shown)):
            out.append(b"\x1b[%d;1H\x1b[J" % (len(shown) + 1))
        self._shown = shown
        self._write(b"".join(out))

    def listen(self, put: Callable[[object], None], pressed: Callable[[Key], None]) -> None:
        """In a thread of its own, until the screen is closed.

        `put(call)`: has the main thread make this call. `pressed(key)`: called here.
        """
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if self._typed is not None:
            poll.register(self._typed, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                try:
                    data = os.read(descriptor, _READ)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""  # the terminal is gone
                if not data and descriptor == self._wake_read:
                    return
                if not data:
                    poll.unregister(descriptor)
                elif descriptor == self._wake_read:
                    self._signalled(data, put)
                else:
                    for key in keys(data):
                        pressed(key)

    def _signalled(self, numbers: bytes, put: Callable[[object], None]) -> None:
        if signal.SIGTSTP in numbers:
            put(self._stop)
        elif signal.SIGWINCH in numbers:
            put(lambda: None)

    def close(self) -> None:
        """Give the terminal back. Once is enough."""
        self._give_back()
        if self._wake_write < 0:
            return
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._wake_write)  # which ends `listen`
        self._wake_write = -1

    def _take(self) -> None:
        if self._typed is not None:
            self._modes = termios.tcgetattr(self._typed)
            tty.setcbreak(self._typed, termios.TCSADRAIN)
        self._taken = True
        self._shown = []
        self._write(_ENTER)

    def _give_back(self) -> None:
        if not self._taken:
            return
        self._taken = False
        with contextlib.suppress(OSError, termios.error):
            if self._typed is not None:
                termios.tcsetattr(self._typed, termios.TCSANOW, self._modes)
            poll = select.poll()
            poll.register(self._output, select.POLLOUT)
            if poll.poll(_PATIENCE_MS):
                os.write(self._output, _LEAVE)

    def _stop(self) -> None:
        """Ctrl-Z, and on from there after `fg`; in the background the terminal stops us again (tty(4), SIGTTOU)."""
        self._give_back()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._take()

    def _end(self, number: int, _frame: object) -> None:
        """The end that this signal means, with the terminal as it was."""
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._output, data) :]
