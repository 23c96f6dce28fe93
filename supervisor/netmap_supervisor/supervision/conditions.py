"""The conditions shown as `degraded`, by owner and code."""

from __future__ import annotations

import msgspec

from netmap_actors.errors import escape

__all__ = ["MAX_CONDITIONS", "Conditions", "ShownCondition"]

MAX_CONDITIONS = 64
"""Of one owner; the oldest stay. No owner displaces another's."""
_MAX_CODE = 64
_MAX_TEXT = 500


class ShownCondition(msgspec.Struct, frozen=True):
    """One line of `degraded`."""

    owner: str
    """The actor that reported it, whose conditions end with its process, or the supervisor for it."""
    code: str
    text: str
    since: float
    """Wall clock, seconds."""


class Conditions:
    """Conditions by owner and code."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], ShownCondition] = {}

    def show(self, owner: str, code: str, text: str, wall: float) -> ShownCondition | None:
        """Show it; the condition when it is new, None when it was shown already (its text is renewed)."""
        code, text = escape(code, _MAX_CODE), escape(text, _MAX_TEXT)
        before = self._shown.get((owner, code))
        if before is None and len(self.of(owner)) >= MAX_CONDITIONS:
            return None
        condition = ShownCondition(owner, code, text, wall if before is None else before.since)
        self._shown[owner, code] = condition
        return condition if before is None else None

    def take_back(self, owner: str, code: str) -> ShownCondition | None:
        """It no longer holds; the condition when it was shown."""
        return self._shown.pop((owner, escape(code, _MAX_CODE)), None)

    def of(self, owner: str) -> list[ShownCondition]:
        """All conditions of one owner."""
        return [condition for condition in self._shown.values() if condition.owner == owner]

    def all(self) -> list[ShownCondition]:
        """In the order in which they came up."""
        return sorted(self._shown.values(), key=lambda condition: condition.since)
