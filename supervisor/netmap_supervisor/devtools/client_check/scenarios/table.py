"""The table of all scenarios, and the choice of some by name or by group."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from netmap_actors.errors import escape
from netmap_supervisor.devtools.client_check.scenarios.identity import IDENTITY
from netmap_supervisor.devtools.client_check.scenarios.input import INPUT
from netmap_supervisor.devtools.client_check.scenarios.join import JOIN
from netmap_supervisor.devtools.client_check.scenarios.liveness import LIVENESS
from netmap_supervisor.devtools.client_check.scenarios.map import MAP
from netmap_supervisor.devtools.client_check.scenarios.network import NETWORK
from netmap_supervisor.devtools.client_check.scenarios.refusal import REFUSAL
from netmap_supervisor.devtools.client_check.scenarios.register import REGISTER
from netmap_supervisor.devtools.client_check.scenarios.session import SESSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario

__all__ = ["ALL", "GROUPS", "SCENARIOS", "UnknownScenario", "chosen_scenarios", "nearest"]

ALL = "all"
"""Stands for every scenario."""
_ROWS = (*JOIN, *LIVENESS, *SESSION, *INPUT, *REFUSAL, *REGISTER, *IDENTITY, *MAP, *NETWORK)

SCENARIOS: dict[str, CheckScenario] = {row.name: row for row in _ROWS}
"""Every scenario by name, in the order they are shown."""

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(row.group for row in SCENARIOS.values()))
"""What stands before the slash, in the same order."""


class UnknownScenario(ValueError):
    """There is no scenario and no group of this name; the text names the nearest."""


def chosen_scenarios(names: Iterable[str]) -> list[CheckScenario]:
    """Those named, by their own name, by their group or by `all`; none named: all. In the table's order.

    Raises UnknownScenario.
    """
    wanted = set(names)
    for name in wanted:
        if name not in SCENARIOS and name not in GROUPS and name != ALL:
            raise UnknownScenario(
                f"'{escape(name, 60)}' is no scenario and no group; {nearest(name)}; --list shows them"
            )
    if not wanted or ALL in wanted:
        return list(SCENARIOS.values())
    return [row for row in SCENARIOS.values() if row.name in wanted or row.group in wanted]


def nearest(name: str) -> str:
    """The name that is most like it, as a question; else the groups."""
    word = name.lower().replace("_", "-")
    # Names of old reports, as `half_frame`, lack the group.
    # Names of old reports, as `half_frame`, lack the group.
    names = {row.name.partition("/")[2]: row.name for row in SCENARIOS.values()}
    names |= {name: name for name in (*SCENARIOS, *GROUPS)}
    near = difflib.get_close_matches(word, names, 1)
    return f"did you mean {names[near[0]]}?" if near else f"the groups are {', '.join(GROUPS)}"
