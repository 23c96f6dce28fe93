"""What a scenario of several steps is made of: in each the check does something, and then expects something.

All of it is data: a row names edits of the tailnet, messages and faults, and what has to be true after them within so
many seconds. Texts in their arguments may name nodes: `{me}` is the name of the client's own node; a text that is
`{id:NAME}` alone becomes the number of that node, `{node:NAME}` the node as it stands in a list of peers; `me` is the
client's own.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from netmap_supervisor.devtools.client_check.outcome import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Action",
    "BackInSession",
    "Believes",
    "BelievesServer",
    "Cut",
    "Edit",
    "Expectation",
    "Heal",
    "Inject",
    "KeepsHostname",
    "KeepsNodeKey",
    "KeepsSession",
    "Raw",
    "RestartClient",
    "ServerAway",
    "Step",
    "Traffic",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """An edit of the tailnet: a method of the control server's commands (add_node, remove_node, set_online, …)."""

    command: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Raw:
    """A MapResponse sent to the client as it is; a text need not be JSON. The server's own tailnet stays the same."""

    message: Mapping[str, Any] | str


@dataclasses.dataclass(frozen=True, slots=True)
class Inject:
    """A fault of the server, with its parameters."""

    fault: str
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Heal:
    """The end of every fault, or of one."""

    fault: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """TCP of every connection is reset, or closed in good order."""

    reset: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class ServerAway:
    """The server ends, and is there again after so many seconds: same port, same state, same keys."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class RestartClient:
    """The client is ended and started anew with the same directory."""


Action = Edit | Raw | Inject | Heal | Cut | ServerAway | RestartClient


@dataclasses.dataclass(frozen=True, slots=True)
class Believes:
    """The client's list of peers says this about one node, which is known by its short name."""

    name: str
    present: bool = True
    online: bool | None = None
    """None: whatever it says."""
    addresses: tuple[str, ...] | None = None
    """Exactly these, in any order; None: whatever it says."""


@dataclasses.dataclass(frozen=True, slots=True)
class BelievesServer:
    """The client's list of peers has the nodes of the server's tailnet, with the same names and addresses."""

    online: bool = False
    """And the same ones online."""


@dataclasses.dataclass(frozen=True, slots=True)
class KeepsSession:
    """The map session from before the step lives on, for the whole of `watch`, on the same connection."""


@dataclasses.dataclass(frozen=True, slots=True)
class BackInSession:
    """There is a map session that began after the step, and is fed."""


@dataclasses.dataclass(frozen=True, slots=True)
class KeepsNodeKey:
    """Each register and map request names the node key the client joined with."""


@dataclasses.dataclass(frozen=True, slots=True)
class KeepsHostname:
    """Each map request that tells of the client's host says the same name as its first one did."""


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """How often the client does something that the server sees, since the step began."""

    kind: str
    """As in the server's list of what it saw: accept, key, register, map, lite, …"""
    word: str = ""
    """A word of the event's detail: `auth` in that of a register request with an auth key; empty: any."""
    least: int = 0
    """To be reached within the step's limit."""
    most: int | None = None
    """Not to be passed while the step lasts."""
    what: str = ""
    """In words, such as "register request with the spent key"; empty: the kind."""


Expectation = (
    Believes | BelievesServer | KeepsSession | BackInSession | KeepsNodeKey | KeepsHostname | Traffic
)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One thing the check does, and what is expected then."""

    does: str
    """In words, as in "removes birch" behind "the server"."""
    actions: tuple[Action, ...]
    expects: tuple[Expectation, ...]
    within: float | str = "belief"
    """Until everything has to be so: seconds, or the name of one of Limits."""
    watch: float = 0.0
    """Seconds that it is watched at least, for what must not happen."""
    level: Level = Level.MUST

    @property
    def needs_peers(self) -> bool:
        """Only what the client believes can tell."""
        return any(isinstance(one, Believes | BelievesServer) for one in self.expects)
