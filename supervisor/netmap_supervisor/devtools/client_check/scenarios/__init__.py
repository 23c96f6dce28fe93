"""The scenarios of a check: what the server does, and what a client MUST or SHOULD do then. Pure data, a file a group.

A new scenario is a row in the file of its group; what rows are made of is in `scenario` and `steps`. Not here: what a
client did (`observations`) and whether that was right (`verdicts`).
"""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Limits, Shape
from netmap_supervisor.devtools.client_check.scenarios.table import (
    GROUPS,
    SCENARIOS,
    UnknownScenario,
    chosen_scenarios,
)

__all__ = [
    "GROUPS",
    "SCENARIOS",
    "CheckScenario",
    "Limits",
    "Shape",
    "UnknownScenario",
    "chosen_scenarios",
]
