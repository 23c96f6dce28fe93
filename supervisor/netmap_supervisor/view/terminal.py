"""What the terminal can do, and the view that suits it."""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, Any

from netmap_actors.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_supervisor.view.feed import FeedView
    from netmap_supervisor.view.live import LiveView
    from netmap_supervisor.view.table_choice import TableChoice

__all__ = ["can_redraw", "error_width", "is_terminal", "make_view", "output_width", "whole_screen"]

_DUMB = frozenset({"", "dumb", "unknown"})


def is_terminal(stream: IO[Any]) -> bool:
    """Whether it is a terminal."""
    try:
        return stream.isatty()
    except ValueError:
        return False  # it is closed


def output_width() -> int | None:
    """Cells of a line on standard output; None when that is no terminal, and nothing has to be cut or folded."""
    return _columns() if is_terminal(sys.stdout) else None


def error_width() -> int | None:
    """The same on standard error."""
    if not is_terminal(sys.stderr):
        return None
    try:
        # Standard output may be a pipe, and shutil asks no other.
        found = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        found = 0
    return found or _columns()


def can_redraw(stream: IO[Any]) -> bool:
    """Whether a display can change in place there."""
    return is_terminal(stream) and os.environ.get("TERM", "") not in _DUMB


def make_view(mode: str, *, hint: str = "", began: float | None = None) -> FeedView:
    """`live` or `plain`, on standard output; `began`: from when on time is counted (CLOCK_BOOTTIME), else now."""
    clock = SystemClock()
    if mode == "live":
        # Loaded here: rich takes 0.1 s and 10 MB that lines do not need.
        from netmap_supervisor.view.live import LiveView  # noqa: PLC0415

        return LiveView(clock, hint=hint)
    from netmap_supervisor.view.plain import PlainView  # noqa: PLC0415

    return PlainView(_write, clock, began)


def whole_screen(
    *, hint: str, choice: TableChoice
) -> tuple[LiveView, Callable[[Callable[[object], None]], None]]:
    """A view that has all of the terminal until it is closed, and what listens to the terminal (`feed_view`)."""
    from netmap_supervisor.view.feed import END  # noqa: PLC0415
    from netmap_supervisor.view.keys import Key  # noqa: PLC0415
    from netmap_supervisor.view.live import LiveView  # noqa: PLC0415
    from netmap_supervisor.view.screen import Screen  # noqa: PLC0415

    screen = Screen(sys.stdout.fileno(), sys.stdin.fileno() if is_terminal(sys.stdin) else None)
    view = LiveView(SystemClock(), hint=hint, choice=choice, screen=screen)

    def listen(put: Callable[[object], None]) -> None:
        screen.listen(put, lambda key: put(END) if key is Key.QUIT else put(lambda: view.key(key)))

    return view, listen


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _columns() -> int:
    import shutil  # noqa: PLC0415  # which loads three compressors

    return shutil.get_terminal_size().columns
