"""What a tailnet was over a time, and what was done to those who watched it: the truth a history is held against.

All times are UNIX seconds of one machine's clock. Not here: how it is recorded (`servers.remembering_tailnet`) and
what is demanded of a history (`truth_checker`).
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ANY", "FIELDS", "GONE", "KEY_EXPIRY", "PRESENCE", "Course", "Hindrance", "Logged", "TailnetTruth"]

PRESENCE: Final = "there"
"""Of every node: whether it is in the tailnet."""
FIELDS: Final = ("name", "online", "tags", "routes", "addresses", "home_derp", "key")
"""Of a node that is there: values as JSON has them."""
KEY_EXPIRY: Final = "key_expiry"
"""When its key expires, UNIX seconds; None: never. A history tells of it before that moment only."""
GONE: Final = "(not there)"
ANY: Final = "(not told)"
"""A value that nobody has said."""


class Course:
    """One value over time."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, Any]] = []

    def turn(self, at: float, value: Any) -> None:
        """It is this value from now on; moments do not go back."""
        if not self.steps or self.steps[-1][1] != value:
            self.steps.append((at, value))

    def value(self, at: float) -> Any:
        """At this moment; before the first step GONE."""
        place = bisect.bisect_right(self.steps, at, key=lambda step: step[0])
        return self.steps[place - 1][1] if place else GONE

    def values(self, since: float, until: float) -> list[Any]:
        """All it was between these moments, both included."""
        return [self.value(since), *(value for at, value in self.steps if since < at <= until)]


class Hindrance(NamedTuple):
    """From the moment on at which something was killed, stopped or refused, until all was well again."""

    since: float
    until: float
    what: str
    """The process that was killed, or `stop`, `cut`, `silence`, `disk`."""
    delays: bool = True
    """What happens meanwhile is told later. Not so where the history itself was away: then it has a gap."""


class Logged(NamedTuple):
    """A line of the daemon's log."""

    at: float
    event: str
    fields: Mapping[str, Any]


class TailnetTruth:
    """Nothing changes between the first state that is noted and the daemon's first netmap."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Course]] = {}
        """By stable id: PRESENCE, each of FIELDS, and KEY_EXPIRY."""
        self.expiries: list[tuple[float, str]] = []
        """When the key of which node expired."""
        self.heard: list[float] = []
        """When a MapResponse was sent to a client that could read it."""
        self.hindered: list[Hindrance] = []
        self.logged: list[Logged] = []

    def is_now(self, at: float, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        """These are all the nodes there are from now on, by stable id."""
        for stable_id in {*self.nodes, *nodes}:
            courses = self.nodes.setdefault(
                stable_id, {field: Course() for field in (PRESENCE, *FIELDS, KEY_EXPIRY)}
            )
            facts = {PRESENCE: True, **nodes[stable_id]} if stable_id in nodes else {PRESENCE: False}
            for field, course in courses.items():
                course.turn(at, facts.get(field, GONE))

    def hinder(self, since: float, until: float, what: str, *, delays: bool = True) -> None:
        self.hindered.append(Hindrance(since, until, what, delays))
