"""The events of a control session, for its shell to carry out in order.

Not here: any behaviour. All times are seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.control_connection.client.registration.record import Registration
    from netmap_actors.exit_reason import ExitReason
    from netmap_actors.protocol.keys import MachineKey, NodePrivate
    from netmap_actors.wire.vocabulary import Stage

__all__ = [
    "AuthKeyUnused",
    "LoginNeeded",
    "MapDocument",
    "PingToAnswer",
    "ProbeEnded",
    "Registered",
    "SaveNodeKey",
    "SaveRegistration",
    "ServerProved",
    "ServerWish",
    "SessionEvent",
    "SessionFailed",
    "StageEntered",
    "Truth",
    "TruthLearned",
]


@dataclasses.dataclass(frozen=True, slots=True)
class StageEntered:
    """A new stage, or with MAP a new map session."""

    stage: Stage
    since: float
    limit: float
    """Seconds; 0 = none."""
    session: int
    """Number of the map session; 0 before the first."""


@dataclasses.dataclass(frozen=True, slots=True)
class ServerProved:
    """The handshake is done: the server owns this key. Comes before anything is asked of it."""

    server_key: MachineKey
    required: bool
    """The server is about to learn of this node, which has to be on disk before."""


@dataclasses.dataclass(frozen=True, slots=True)
class SaveNodeKey:
    """The server has accepted this node key: it is ours from now on."""

    node_key: NodePrivate = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class SaveRegistration:
    """To be on disk before any byte that the session wants to send after this event."""

    registration: Registration
    required: bool
    """False: a failure only costs a repetition, and is no reason to stop."""


@dataclasses.dataclass(frozen=True, slots=True)
class LoginNeeded:
    """A person has to open this URL, checked and free of control characters; "" = the login is done."""

    url: str


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """The server accepted the registration. `user`: the login name, escaped."""

    machine_authorized: bool
    user: str


@dataclasses.dataclass(frozen=True, slots=True)
class AuthKeyUnused:
    """The server accepted no new registration by the changed auth key; the old one holds."""

    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class MapDocument:
    """One complete MapResponse that passed the first gate."""

    session: int
    number: int
    """1, 2, 3 … within the session."""
    json: bytes = dataclasses.field(repr=False)
    received_at: float
    keep_alive: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PingToAnswer:
    """HEAD this URL, which leads to the control server itself, outside of Noise."""

    url: str


@dataclasses.dataclass(frozen=True, slots=True)
class ServerWish:
    """A request of the server that is only logged; `detail` is escaped."""

    wish: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeEnded:
    """A probe was answered, or its time is over."""

    token: int
    answered: bool
    round_trip: float


class Truth(enum.Enum):
    """The outcome of a register refresh; the value is that of `TruthProbe.outcome`."""

    ALIVE = "alive"
    REMOVED = "removed"
    EXPIRED = "expired"
    UNANSWERED = "unanswered"
    """No answer, or an inconclusive one."""


@dataclasses.dataclass(frozen=True, slots=True)
class TruthLearned:
    """The answer to a truth probe."""

    truth: Truth
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class SessionFailed:
    """The last event of a session. `detail` holds no secret; the server's text in it is escaped."""

    reason: ExitReason
    stage: Stage
    detail: str
    retry_after: float = 0.0
    """Seconds the server asks us to stay away; 0 = none asked."""
    doubts_key: bool = False
    """The handshake failed after the 101: the server may have another key, and only `/key` can tell."""
    session: int = 0
    had_map: bool = False
    """Whether any map session of the connection brought its first map."""


SessionEvent = (
    StageEntered
    | ServerProved
    | SaveNodeKey
    | SaveRegistration
    | LoginNeeded
    | Registered
    | AuthKeyUnused
    | MapDocument
    | PingToAnswer
    | ServerWish
    | ProbeEnded
    | TruthLearned
    | SessionFailed
)
