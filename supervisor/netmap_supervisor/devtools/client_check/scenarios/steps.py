"""What a scenario of several steps is made of: in each the check does something, and then expects something.

All of it is data: a row names edits of the tailnet, messages and faults, and what has to be true after them within so
many seconds. Texts in their arguments may name nodes: `{me}` is the name of the client's own node; a text that is
`{id:NAME}` alone becomes the number of that node, `{node:NAME}` the node as it stands in a list of peers; `me` is the
client's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

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


class Edit(msgspec.Struct, frozen=True):
    """An edit of the tailnet: a method of the control server's commands (add_node, remove_node, set_online, …)."""

    command: str
    arguments: Mapping[str, Any] = {}


class Raw(msgspec.Struct, frozen=True):
    """A MapResponse sent to the client as it is; a text need not be JSON. The server's own tailnet stays the same."""

    message: Mapping[str, Any] | str


class Inject(msgspec.Struct, frozen=True):
    """A fault of the server, with its parameters."""

    fault: str
    given: Mapping[str, Any] = {}


class Heal(msgspec.Struct, frozen=True):
    """The end of every fault, or of one."""

    fault: str = ""


class Cut(msgspec.Struct, frozen=True):
    """TCP of every connection is reset, or closed in good order."""

    reset: bool = True


class ServerAway(msgspec.Struct, frozen=True):
    """The server ends, and is there again after so many seconds: same port, same state, same keys."""

    seconds: float


class RestartClient(msgspec.Struct, frozen=True):
    """The client is ended and started anew with the same directory."""


Action = Edit | Raw | Inject | Heal | Cut | ServerAway | RestartClient


class Believes(msgspec.Struct, frozen=True):
    """The client's list of peers says this about one node, which is known by its short name."""

    name: str
    present: bool = True
    online: bool | None = None
    """None: whatever it says."""
    addresses: tuple[str, ...] | None = None
    """Exactly these, in any order; None: whatever it says."""


class BelievesServer(msgspec.Struct, frozen=True):
    """The client's list of peers has the nodes of the server's tailnet, with the same names and addresses."""

    online: bool = False
    """And the same ones online."""


class KeepsSession(msgspec.Struct, frozen=True):
    """The map session from before the step lives on, for the whole of `watch`, on the same connection."""


class BackInSession(msgspec.Struct, frozen=True):
    """There is a map session that began after the step, and is fed."""


class KeepsNodeKey(msgspec.Struct, frozen=True):
    """Each register and map request names the node key the client joined with."""


class KeepsHostname(msgspec.Struct, frozen=True):
    """Each map request that tells of the client's host says the same name as its first one did."""


class Traffic(msgspec.Struct, frozen=True):
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


class Step(msgspec.Struct, frozen=True):
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
