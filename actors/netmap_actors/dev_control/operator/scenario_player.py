"""Runs the events of a scenario on a server, each at its time.

Not here: what a scenario is, and when which event is due (`scenario`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.dev_control.operator.scenario import START, ScenarioSchedule
from netmap_actors.errors import NetmapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.dev_control.operator.commands import Commands
    from netmap_actors.dev_control.operator.scenario import TailnetScenario

__all__ = ["ScenarioPlayer"]


class ScenarioPlayer:
    """One scenario on one server."""

    def __init__(
        self, scenario: TailnetScenario, commands: Commands, loop: Loop, log: Callable[..., object]
    ) -> None:
        """`log(event, **fields)` is called for every event, done or failed."""
        self._commands = commands
        self._loop = loop
        self._log = log
        self._schedule = ScenarioSchedule(scenario)
        self._deadline = loop.deadline(self._on_due)
        if scenario.counted_from == START:
            self.begin()

    def begin(self) -> None:
        """The seconds count from now on, if they do not already."""
        self._schedule.begin(self._loop.now())
        self._deadline.set(self._schedule.deadline())

    def close(self) -> None:
        """End it."""
        self._deadline.set(None)

    def _on_due(self) -> None:
        for event in self._schedule.due(self._loop.now()):
            try:
                getattr(self._commands, event.command)(**event.arguments)
            except (NetmapError, TypeError, ValueError, OverflowError) as error:
                # The node may be gone; the rest of the scenario goes on.
                self._log("scenario_event_failed", number=event.number, do=event.command, detail=str(error))
            else:
                self._log("scenario_event", number=event.number, do=event.command, at=event.at)
        self._deadline.set(self._schedule.deadline())
