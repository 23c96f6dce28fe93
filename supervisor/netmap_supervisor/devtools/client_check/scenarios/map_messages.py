"""What scenarios of maps are made of: nodes as servers send them, and steps that show what has been read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    Action,
    Believes,
    BelievesServer,
    Edit,
    Expectation,
    KeepsSession,
    Raw,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FOLD", "add", "addresses", "key_of", "listed", "map_row", "node", "told"]

_FIRST_ID = 900_000
"""Above those that the server gives."""
FOLD = "tailscale: control/controlclient/map.go (updatePeersStateFromResponse)"


def key_of(kind: str, number: int) -> str:
    """A public key whose private one nobody has."""
    return f"{kind}:{bytes([number] * 32).hex()}"


def addresses(number: int) -> tuple[str, str]:
    """Those of `node(number, …)`."""
    return f"100.64.80.{number}", f"fd7a:115c:a1e0::50{number:02x}"


def node(number: int, name: str, *, home: int | None = None, **fields: Any) -> dict[str, Any]:
    """A node as servers send it, known to nobody else; `home`: the number that its addresses come from."""
    prefixes = [f"{one}/{32 if '.' in one else 128}" for one in addresses(number if home is None else home)]
    return {
        "ID": _FIRST_ID + number,
        "StableID": f"n{number}CHECK",
        "Name": f"{name}.dev.netmap.example.",
        "User": 1,
        "Key": key_of("nodekey", number),
        "Machine": key_of("mkey", number),
        "DiscoKey": key_of("discokey", number),
        "Addresses": prefixes,
        "AllowedIPs": prefixes,
        "Endpoints": [f"198.51.100.{number}:41641"],
        "HomeDERP": 901,
        "Hostinfo": {"OS": "linux", "Hostname": name},
        "Created": "2026-01-02T03:04:05Z",
        "Cap": 130,
        "Online": True,
        "MachineAuthorized": True,
        **fields,
    }


def add(*names: str) -> tuple[Action, ...]:
    """These nodes, by the server's own tailnet."""
    return tuple(Edit("add_node", {"name": name}) for name in names)


def listed(*names: str, but: tuple[str, ...] = ()) -> tuple[Expectation, ...]:
    """These are peers, and those of `but` are none."""
    return (*(Believes(name) for name in names), *(Believes(name, present=False) for name in but))


def told(does: str, *messages: Mapping[str, Any], seen: str, level: Level = Level.MUST) -> Step:
    """Messages that change no peer. The node `seen` is added behind them: a client that lists it has read them."""
    return Step(
        f"{does}, and then adds {seen}",
        (*map(Raw, messages), *add(seen)),
        (Believes(seen), BelievesServer(), KeepsSession()),
        level=level,
    )


def map_row(
    name: str,
    does: str,
    wanted: str,
    why: str,
    sources: tuple[str, ...],
    *steps: Step,
    level: Level = Level.MUST,
    nodes: int | None = 3,
) -> CheckScenario:
    """One row of the group, which has three other nodes at its beginning."""
    return CheckScenario(
        f"map/{name}", does, Shape.STEPS, wanted, why, sources, level, steps=steps, nodes=nodes
    )
