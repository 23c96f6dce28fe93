"""The view for pipes and simple terminals: one line per event.

Not here: what the lines say (`sentences`) and where the events come from (`view.feed`).
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.view.sentences import daemon_event, netmap_change, span, waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netmap_actors.clock import Clock
    from netmap_actors.subscriber import Event
    from netmap_actors.wire.status import StatusReport

__all__ = ["PlainView"]

MAX_LINES_PER_SECOND = 40
"""A whole tailnet may change at once: the rest of such a second is counted, not shown."""
FIRST_PAUSE = 3.0
"""Seconds of waiting after which the view says what it waits for; each further pause is twice as long."""
LAST_PAUSE = 60.0
_POLL = 1.0


class PlainView:
    """Writes one line per event, and what is waited for."""

    def __init__(self, write: Callable[[str], object], clock: Clock, began: float | None = None) -> None:
        self._write = write
        self._clock = clock
        self._began = clock.boottime() if began is None else began
        self._fresh = False
        self._seen_fresh = False
        self._window = 0.0
        self._lines = 0
        self._held_back = 0
        self._waiting_since: float | None = self._began
        self._pause = FIRST_PAUSE
        self._reported_at = self._asked_at = self._began

    # Input

    def daemon(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """A log event of the daemon."""
        text = daemon_event(level, event, fields)
        if text is not None:
            self._line(text)

    def netmap(self, event: Event) -> None:
        """An event of the subscription."""
        text = netmap_change(event)
        if text is not None:
            self._line(text)
        self._now_fresh(event.state == Trust.FRESH)

    def status(self, report: StatusReport | str | None) -> None:
        """The daemon's status; None: it does not answer; a text: it cannot be asked, and what is waited for."""
        if not isinstance(report, str):
            self._now_fresh(report is not None and report.netmap.state == Trust.FRESH)
        now = self._asked_at = self._clock.boottime()
        if self._waiting_since is None or now - self._reported_at < self._pause:
            return
        if isinstance(report, str):
            what: str | None = report
        else:
            what = "the daemon does not answer" if report is None else waiting_for(report)
        if what is not None:
            self._reported_at = now
            self._pause = min(self._pause * 2, LAST_PAUSE)
            self._line(f"waiting for {span(now - self._waiting_since)}: {what}")

    def pause(self) -> float | None:
        """Seconds until `tick`; None: not before the next event."""
        return _POLL if self._waiting_since is not None or self._held_back else None

    def wants_status(self) -> bool:
        """Whether it needs the status, to say what is waited for."""
        return self._waiting_since is not None and self._clock.boottime() - self._asked_at >= _POLL

    def tick(self) -> None:
        """Time has passed."""
        self._settle(self._clock.boottime())

    def close(self) -> None:
        """Write what was held back."""
        self._settle(self._clock.boottime(), at_once=True)

    def _now_fresh(self, fresh: bool) -> None:
        if fresh:
            self._waiting_since = None
            self._seen_fresh = True
        elif self._waiting_since is None:
            self._waiting_since = self._reported_at = self._clock.boottime()
            self._pause = FIRST_PAUSE

    def _line(self, text: str) -> None:
        now = self._clock.boottime()
        self._settle(now)
        if self._lines >= MAX_LINES_PER_SECOND:
            self._held_back += 1
            return
        self._lines += 1
        self._write(f"{self._stamp(now)}  {text}\n")

    def _settle(self, now: float, *, at_once: bool = False) -> None:
        """Begin a new second; write how many lines the old one has held back."""
        if not at_once and now - self._window < 1.0:
            return
        self._window, self._lines = now, 0
        if self._held_back:
            self._write(f"{self._stamp(now)}  … and {self._held_back} more changes\n")
            self._held_back = 0

    def _stamp(self, now: float) -> str:
        """Seconds since the start until the first netmap, then the time of day."""
        if not self._seen_fresh:
            return f"{now - self._began:7.1f}s"
        return datetime.datetime.fromtimestamp(self._clock.wall()).astimezone().strftime("%H:%M:%S")
