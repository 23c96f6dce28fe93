"""Scenarios of the network between client and server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario

__all__ = ["NETWORK"]

NETWORK: tuple[CheckScenario, ...] = ()
