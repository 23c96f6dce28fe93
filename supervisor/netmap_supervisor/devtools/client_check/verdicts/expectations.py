"""One step of a scenario: whether what was expected is so, is still to come, or has been broken."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    Believes,
    BelievesServer,
    Expectation,
    KeepsHostname,
    KeepsNodeKey,
    KeepsSession,
    Traffic,
)
from netmap_supervisor.devtools.client_check.verdicts.beliefs import (
    difference,
    peer_named,
    short_name,
    wrong_addresses,
    wrong_online,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_actors.dev_control.http.state import Seen
    from netmap_supervisor.devtools.client_check.verdicts.beliefs import BelievedPeer
    from netmap_supervisor.devtools.client_check.verdicts.observations import Session

__all__ = ["Judged", "StepStanding", "StepView", "judge", "standing_of"]

_WITH_KEY = frozenset({"register", "map", "lite", "read"})


class StepStanding(enum.Enum):
    """How an expectation stands, or a step with all of its own."""

    MET = "met"
    PENDING = "pending"
    """Not yet; it may still come."""
    BROKEN = "broken"
    """It cannot come any more."""
    UNKNOWN = "unknown"
    """The client does not say."""


class Judged(msgspec.Struct, frozen=True):
    """How an expectation stands, and why not, in words."""

    standing: StepStanding
    said: str = ""


class StepView(msgspec.Struct, frozen=True):
    """What is known in a step. Times of CLOCK_BOOTTIME."""

    began_at: float
    """Before the first thing the check did."""
    events: Sequence[Seen]
    sessions: Sequence[Session]
    node_key: str
    """The one the client joined with; empty: it is not known."""
    me: str = ""
    """The short name of the client's own node, which may be in its list."""
    nodes: Sequence[BelievedPeer] = ()
    """The other nodes of the server's tailnet."""
    peers: Sequence[BelievedPeer] | None = None
    """What the client believes, asked since the step began; None: it has not said."""


_MET = Judged(StepStanding.MET)
_NOT_READ = Judged(StepStanding.PENDING, "its list of peers was not read")
_SAYS_NOT_WHO = Judged(StepStanding.UNKNOWN, "the peers command does not say who is online")


def judge(expectation: Expectation, view: StepView) -> Judged:
    """One expectation of a step."""
    match expectation:
        case Believes():
            return _believes(expectation, view)
        case BelievesServer(online):
            return _believes_server(view, online=online)
        case KeepsSession():
            return _keeps_session(view)
        case BackInSession():
            back = any(one.began_at >= view.began_at for one in view.sessions)
            return _MET if back else Judged(StepStanding.PENDING, "no new map session")
        case KeepsNodeKey():
            return _keeps_key(view)
        case KeepsHostname():
            return _keeps_hostname(view)
        case Traffic():
            return _traffic(expectation, view)


def standing_of(
    judged: Sequence[Judged], *, elapsed: float, told: float, within: float, watch: float
) -> Judged:
    """How the whole step stands, `elapsed` seconds after it began. PENDING: it goes on.

    `told`: so long after its beginning the client was asked what it believes; `elapsed` where that is not asked.
    """
    for standing in (StepStanding.BROKEN, StepStanding.UNKNOWN):
        for one in judged:
            if one.standing is standing:
                return one
    open_ = [one for one in judged if one.standing is StepStanding.PENDING]
    if open_:
        return open_[0] if told < within else Judged(StepStanding.BROKEN, open_[0].said)
    return _MET if elapsed >= watch else Judged(StepStanding.PENDING, "it is watched")


def _believes(wanted: Believes, view: StepView) -> Judged:
    if view.peers is None:
        return _NOT_READ
    peer = peer_named(view.peers, wanted.name)
    if not wanted.present:
        return _MET if peer is None else Judged(StepStanding.PENDING, f"{wanted.name} is still listed")
    if peer is None:
        return Judged(StepStanding.PENDING, f"{wanted.name} is not listed")
    if (times := sum(one.name == peer.name for one in view.peers)) > 1:
        return Judged(StepStanding.PENDING, f"{wanted.name} is listed {times} times")
    if wanted.online is not None and peer.online is None:
        return _SAYS_NOT_WHO
    words = wrong_online(peer, expected=wanted.online)
    if not words and wanted.addresses is not None:
        words = wrong_addresses(peer, frozenset(wanted.addresses))
    return Judged(StepStanding.PENDING, words) if words else _MET


def _believes_server(view: StepView, *, online: bool) -> Judged:
    if view.peers is None:
        return _NOT_READ
    others = [one for one in view.peers if one.name != short_name(view.me)]
    if online and others and all(one.online is None for one in others):
        return _SAYS_NOT_WHO
    words = difference(view.nodes, others, online=online)
    return Judged(StepStanding.PENDING, words) if words else _MET


def _keeps_session(view: StepView) -> Judged:
    before = [one for one in view.sessions if one.began_at < view.began_at]
    newer = next((one for one in view.sessions if one.began_at >= view.began_at), None)
    for event in view.events:
        if event.at >= view.began_at and before and event.connection == before[-1].connection:
            words = {"reset": "its map session given up", "end": "its connection closed"}.get(event.kind)
            if words:
                return Judged(StepStanding.BROKEN, f"{words} after {event.at - view.began_at:.1f} s")
    if newer is not None:
        return Judged(
            StepStanding.BROKEN, f"another map session begun after {newer.began_at - view.began_at:.1f} s"
        )
    return _MET if before else Judged(StepStanding.BROKEN, "no map session")


def _keeps_key(view: StepView) -> Judged:
    for event in view.events:
        key = event.detail.partition(" ")[0]
        if event.at < view.began_at or event.kind not in _WITH_KEY or not key.startswith("nodekey:"):
            continue
        if view.node_key and key != view.node_key:
            return Judged(StepStanding.BROKEN, f"{event.kind} request with another node key")
    return _MET


def _keeps_hostname(view: StepView) -> Judged:
    first = None
    for event in view.events:
        name = next((word for word in event.detail.split() if word.startswith("host:")), None)
        if name is None or event.kind not in _WITH_KEY:
            continue
        first = first or name
        if event.at >= view.began_at and name != first:
            return Judged(StepStanding.BROKEN, f"{event.kind} request with {name}, not {first}")
    return _MET


def _traffic(wanted: Traffic, view: StepView) -> Judged:
    found = [
        event
        for event in view.events
        if event.at >= view.began_at
        and event.kind == wanted.kind
        and wanted.word in ("", *event.detail.split())
    ]
    what = wanted.what or f"{wanted.kind} request"
    if wanted.most is not None and len(found) > wanted.most:
        most = f"at most {wanted.most}" if wanted.most else "none"
        first = found[wanted.most].at - view.began_at
        return Judged(StepStanding.BROKEN, f"{len(found)} {what}, {most} expected (after {first:.1f} s)")
    if len(found) < wanted.least:
        return Judged(StepStanding.PENDING, f"{len(found)} {what}, at least {wanted.least} expected")
    return _MET
