"""State and history of the control connections: stage, addresses, counts, how the last one ended.

Not here: when the next connection is made (`policy`, `schedule`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import EndReason, Stage
from netmap_supervisor.connection.schedule import GOOD_SESSION

if TYPE_CHECKING:
    from netmap_supervisor.supervision.messages import Now

__all__ = ["End", "SessionLedger"]

MAX_LOOKUP_ADDRESSES = 16
"""Addresses of one lookup that count."""
STAGE_STATES: dict[str, str] = {
    "": "starting",
    Stage.RESOLVE: "resolving",
    Stage.CONNECT: "connecting",
    Stage.HANDSHAKE: "handshaking",
    Stage.REGISTER: "registering",
    Stage.LOGIN: "login_needed",
    Stage.MAP: "map_session",
}
"""Stage of a control_connection -> `connection.state` of status."""


class End(msgspec.Struct, frozen=True):
    """How one connection ended."""

    generation: int
    session: int
    reason: EndReason
    stage: str
    detail: str
    wall: float
    good: bool
    """It applied its full map and lived for GOOD_SESSION: the server is well."""
    had_map: bool
    lived: float
    """Seconds since its map request."""
    retry_after: float
    """Seconds the server asked us to wait."""
    address: str = ""
    """Of the server; empty: it was not connected."""

    def message(self) -> internal_pb2.SessionEnded:
        """For the actors that keep state about the connection."""
        return internal_pb2.SessionEnded(
            generation=self.generation,
            session=self.session,
            reason=self.reason.value,
            stage=self.stage,
            detail=self.detail,
        )


class SessionLedger:
    """The control connections of one run."""

    def __init__(self) -> None:
        self.attempts = 0
        self.sessions = 0
        self.ended_counts: dict[str, int] = dict.fromkeys(EndReason, 0)
        self.last_end: End | None = None
        self.had_session = False
        """A full map was applied in this run."""
        self.server_key = ""
        self.lookup: tuple[int, tuple[str, ...]] = (0, ())
        """The last lookup that found addresses: the generation that made it, and the addresses."""
        self.auth_url = ""
        self.refused = False
        """The last attempt was refused, which only a person can mend."""
        self._forget_connection(0)

    def _forget_connection(self, generation: int) -> None:
        self.generation = generation
        self.session = 0
        self.stage = ""
        self.map_since: float | None = None
        self.local_address = ""
        self.remote_address = ""
        self.proxy = ""
        self.machine_authorized = True
        self.full_map = False
        self._last_words: internal_pb2.SessionEnded | None = None
        self._judgement = ""

    @property
    def map_session(self) -> dict[str, str | int]:
        """Its number, and the ends of its connection as far as they are known, each ADDRESS:PORT."""
        ends = {"local": self.local_address, "remote": self.remote_address, "proxy": self.proxy}
        return {"session": self.session} | {end: address for end, address in ends.items() if address}

    def started(self, generation: int) -> None:
        """A process of this generation is being started."""
        self.attempts += 1
        self._forget_connection(generation)

    def stage_entered(self, message: internal_pb2.StageEntered) -> bool:
        """A new stage; True when a map session begins with it."""
        if message.session < self.session:
            return False
        begins = message.stage == Stage.MAP and (self.stage, self.session) != (Stage.MAP, message.session)
        self.stage = message.stage
        self.session = message.session
        if begins:
            self.sessions += 1
            self.map_since = message.since
            self.auth_url = ""
            self.refused = False
        return begins

    def connected(self, message: internal_pb2.ConnectionInfo) -> None:
        """Its addresses and the server's key; what is not known yet is empty."""
        self.local_address = message.local_address or self.local_address
        self.remote_address = message.remote_address or self.remote_address
        self.server_key = message.server_key or self.server_key
        self.proxy = message.proxy
        if message.addresses:
            self.lookup = (self.generation, tuple(message.addresses[:MAX_LOOKUP_ADDRESSES]))

    def registered(self, message: internal_pb2.Registered) -> None:
        """The server took the registration."""
        self.machine_authorized = message.machine_authorized
        self.auth_url = ""
        self.refused = False

    def published(self, message: internal_pb2.PublisherStatistics) -> bool:
        """The publisher's statistics; True when it first holds the full map of this connection."""
        if not self.generation or message.generation != self.generation:
            return False
        if message.self_stable_id:
            self.machine_authorized = message.self_machine_authorized
        first = not self.full_map
        self.full_map = self.had_session = True
        return first

    def last_words(self, message: internal_pb2.SessionEnded) -> None:
        """The connection reports how it ended; the end of its process follows."""
        self._last_words = message

    def judged(self, verdict: internal_pb2.Verdict) -> None:
        """A verdict: it has to be ended."""
        if self.stage == Stage.MAP and verdict.reason == EndReason.ERROR:
            self._judgement = "the publisher could not use a MapResponse (see degraded: bad_map_response)"
        elif self.stage == Stage.MAP:
            self._judgement = f"no MapResponse for {verdict.silent_for:.1f} s"
        else:
            stage = verdict.stage or self.stage
            self._judgement = (
                f"cannot get past the stage {stage!r}: nothing came of it in {verdict.silent_for:.1f} s"
            )

    def end(self, reason: EndReason, detail: str, now: Now) -> End:
        """The process is gone. Its own report counts only where it ended by itself."""
        report = self._last_words
        self.full_map = self.full_map or (report is not None and report.had_map)
        self.had_session = self.had_session or self.full_map
        lived = 0.0 if self.map_since is None else now.boottime - self.map_since
        end = End(
            generation=self.generation,
            session=self.session,
            reason=reason,
            stage=report.stage if report is not None and report.stage else self.stage,
            detail=detail or self._judgement or ("" if report is None else report.detail),
            wall=now.wall,
            good=self.full_map and lived >= GOOD_SESSION,
            had_map=self.full_map,
            lived=lived,
            retry_after=0.0 if report is None else report.retry_after,
            address=self.remote_address,
        )
        self.ended_counts[reason] += 1
        self.last_end = end
        self._forget_connection(self.generation)
        return end

    def standing(self, *, alive: bool) -> internal_pb2.ConnectionStarted | internal_pb2.SessionEnded | None:
        """For an actor that comes up: the connection there is, or the end of the last one.

        What that one sent waited for the actor, which could not be told of its end then.
        """
        if alive:
            return internal_pb2.ConnectionStarted(generation=self.generation)
        return None if self.last_end is None else self.last_end.message()

    def state(self, *, alive: bool, stopped: bool) -> str:
        """`connection.state` of status."""
        if stopped:
            return "stopped"
        if self.refused:
            # Also while it is tried again, once a minute: only a person can change the answer.
            return "login_needed"
        if not alive:
            return "backing_off" if self.attempts else "starting"
        if self.stage == Stage.MAP and not self.machine_authorized:
            return "awaiting_approval"
        return STAGE_STATES.get(self.stage, "starting")
