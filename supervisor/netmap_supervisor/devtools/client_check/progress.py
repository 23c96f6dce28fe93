"""How a check goes on, on standard error: a line for each scenario that ended, on a terminal also what runs now."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import click

from netmap_actors.clock import SystemClock
from netmap_supervisor.devtools.client_check.outcome import CheckVerdict
from netmap_supervisor.devtools.client_check.report.check_run import visible
from netmap_supervisor.devtools.client_check.report.time_left import TimeLeft, duration_text
from netmap_supervisor.view.terminal import can_redraw, error_width
from netmap_supervisor.view.text_layout import shortened, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netmap_supervisor.devtools.client_check.outcome import ScenarioOutcome

__all__ = ["Progress"]

_CLEAR = "\r\x1b[K"
_LONGEST_VERDICT = max(len(verdict.value) for verdict in CheckVerdict)


class Progress:
    """Of one check; called from any thread."""

    def __init__(self, longest: Mapping[str, float], jobs: int) -> None:
        """`longest`: seconds that each scenario may take, in the order in which they begin."""
        self._clock = SystemClock()
        self._count = len(longest)
        self._ended = 0
        self._time_left = TimeLeft(longest, jobs)
        self._lock = threading.Lock()
        self._redraws = can_redraw(sys.stderr)
        self._shown = ""
        side_by_side = f", {jobs} side by side" if jobs > 1 else ""
        count = f"{self._count} scenario{'' if self._count == 1 else 's'}"
        click.echo(f"{count}{side_by_side}, at most about {self._to_go()}", err=True)

    def began(self, name: str) -> None:
        """A scenario begins."""
        with self._lock:
            self._time_left.began(name, self._clock.boottime())
            self._show()

    def waits(self, name: str) -> None:
        """It did not pass, and is run again alone after the others."""
        with self._lock:
            self._time_left.waits(name)
            self._show()

    def done(self, outcomes: Sequence[ScenarioOutcome]) -> None:
        """These are settled, at the same moment. Those that are not run, for the same reason, are told in one line."""
        told: dict[str, list[ScenarioOutcome]] = {}
        for one in outcomes:
            told.setdefault(one.name if one.attempts else f"not run: {one.seen}", []).append(one)
        for alike in told.values():
            self._tell_alike(alike)

    def _tell_alike(self, outcomes: Sequence[ScenarioOutcome]) -> None:
        first = outcomes[0]
        with self._lock:
            for one in outcomes:
                self._time_left.ended(one.name)
            self._ended += len(outcomes)
            lead = f"{f'{self._ended}/{self._count}':>7}  {first.verdict.value:{_LONGEST_VERDICT}}  "
            what = first.name if len(outcomes) == 1 else f"{len(outcomes)} scenarios"
            text = visible(f"{what}: {first.seen}")
            width = error_width()
            lines = [text] if width is None else wrapped(text, max(20, width - len(lead)))
            if not self._redraws and self._ended < self._count:
                lines[-1] += f" (at most about {self._to_go()} to go)"
            self._clear()
            for number, line in enumerate(lines):
                click.echo((lead if number == 0 else " " * len(lead)) + line, err=True)
            self._show()

    def tell(self, line: str) -> None:
        """A line above what is redrawn."""
        with self._lock:
            self._clear()
            click.echo(line, err=True)
            self._show()

    def tick(self) -> None:
        """Time has passed."""
        with self._lock:
            self._show()

    def over(self) -> None:
        """Nothing runs any more."""
        with self._lock:
            self._clear()

    def _to_go(self) -> str:
        return duration_text(self._time_left.to_go(self._clock.boottime()))

    def _show(self) -> None:
        running = self._time_left.running
        if not self._redraws or not running:
            return
        text = f"at most about {self._to_go()} to go; running: {', '.join(running)}"
        text = shortened(text, (error_width() or 80) - 1)
        if text != self._shown:
            click.echo(f"{_CLEAR}{text}", err=True, nl=False)
            self._shown = text

    def _clear(self) -> None:
        if self._redraws and self._shown:
            click.echo(_CLEAR, err=True, nl=False)
            self._shown = ""
