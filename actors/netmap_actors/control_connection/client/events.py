"""The events of a control session, for its shell to carry out in order.

Not here: any behaviour. All times are seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from netmap_actors.control_connection.client.registration.record import Registration
    from netmap_actors.exit_reason import ExitReason
    from netmap_actors.protocol.keys import MachineKey, NodePrivate
    from netmap_actors.wire.vocabulary import Stage

__all__ = [
    "AuthKeyUnused",
    "LoginNeeded",
    "MapDocument",
    "MapText",
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


class StageEntered(msgspec.Struct, frozen=True):
    """A new stage, or with MAP a new map session."""

    stage: Stage
    since: float
    limit: float
    """Seconds; 0 = none."""
    session: int
    """Number of the map session; 0 before the first."""


class ServerProved(msgspec.Struct, frozen=True):
    """The handshake is done: the server owns this key. Comes before anything is asked of it."""

    server_key: MachineKey
    required: bool
    """The server is about to learn of this node, which has to be on disk before."""


class SaveNodeKey(msgspec.Struct, frozen=True):
    """The server has accepted this node key: it is ours from now on."""

    node_key: NodePrivate

    def __repr__(self) -> str:
        return "SaveNodeKey(...)"


class SaveRegistration(msgspec.Struct, frozen=True):
    """To be on disk before any byte that the session wants to send after this event."""

    registration: Registration
    required: bool
    """False: a failure only costs a repetition, and is no reason to stop."""


class LoginNeeded(msgspec.Struct, frozen=True):
    """A person has to open this URL, checked and free of control characters; "" = the login is done."""

    url: str


class Registered(msgspec.Struct, frozen=True):
    """The server accepted the registration. `user`: the login name, escaped."""

    machine_authorized: bool
    user: str


class AuthKeyUnused(msgspec.Struct, frozen=True):
    """The server accepted no new registration by the changed auth key; the old one holds."""

    detail: str


class MapDocument(msgspec.Struct, frozen=True):
    """One complete MapResponse that passed the first gate."""

    session: int
    number: int
    """1, 2, 3 … within the session."""
    json: bytes
    received_at: float
    keep_alive: bool
    told: int = 0
    """Bytes of it that came as MapText before."""

    def __repr__(self) -> str:
        return f"<MapResponse {self.number} of session {self.session}, {len(self.json)} bytes>"


class MapText(msgspec.Struct, frozen=True):
    """A part of a MapResponse that is still coming and has passed no gate; the parts before it came as such events."""

    session: int
    number: int
    """Of the MapResponse it will be."""
    offset: int
    """Bytes of it before this part."""
    text: bytes

    def __repr__(self) -> str:
        return f"<{len(self.text)} bytes of MapResponse {self.number} of session {self.session}>"


class PingToAnswer(msgspec.Struct, frozen=True):
    """HEAD this URL, which leads to the control server itself, outside of Noise."""

    url: str


class ServerWish(msgspec.Struct, frozen=True):
    """A request of the server that is only logged; `detail` is escaped."""

    wish: str
    detail: str


class ProbeEnded(msgspec.Struct, frozen=True):
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


class TruthLearned(msgspec.Struct, frozen=True):
    """The answer to a truth probe."""

    truth: Truth
    detail: str


class SessionFailed(msgspec.Struct, frozen=True):
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
    | MapText
    | PingToAnswer
    | ServerWish
    | ProbeEnded
    | TruthLearned
    | SessionFailed
)
