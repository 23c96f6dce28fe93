"""The status report, from the state of the core and the newest heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.rfc3339 import stamp
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.status import (
    ActorStatus,
    ConnectionStatus,
    ControlStatus,
    DegradedStatus,
    HttpStatus,
    LastEnd,
    LivenessStatus,
    NetmapStatus,
    SelfStatus,
    StatusReport,
    WebhookStatus,
)
from netmap_actors.wire.vocabulary import TAILNET, ActorName, Stage, Trust
from netmap_supervisor.config.reach import is_for_others
from netmap_supervisor.daemon.core import CONNECTION, LIVENESS, PUBLISHER, SupervisorCore
from netmap_supervisor.supervision.child_machine import ChildState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netmap_actors.wire.status import NurseryStatus
    from netmap_supervisor.config.settings import RunSettings
    from netmap_supervisor.daemon.refused_calls import RefusedCalls
    from netmap_supervisor.supervision.messages import Now

__all__ = ["SupervisorFacts", "make_report"]


class SupervisorFacts(msgspec.Struct):
    """Facts of the Supervisor's own process."""

    version: str
    pid: int
    started_at: float
    confinement: Mapping[str, int] = {}
    """As in ActorStatus."""
    rss_bytes: int = 0
    log_lines_suppressed: int = 0
    system_calls: str = "off"
    nursery: NurseryStatus | None = None


def make_report(
    core: SupervisorCore,
    settings: RunSettings,
    own: SupervisorFacts,
    now: Now,
    calls: RefusedCalls | None = None,
) -> StatusReport:
    """The report of this moment."""
    return StatusReport(
        version=own.version,
        pid=own.pid,
        uptime_s=round(now.boottime - own.started_at, 3),
        control=ControlStatus(
            url=settings.control_url,
            embedded=settings.embedded,
            server_key=core.connection.ledger.server_key or None,
        ),
        netmap=_netmap(core, settings, now),
        connection=_connection(core, now),
        liveness=_liveness(core, settings, now),
        degraded=tuple(
            DegradedStatus(code=found.code, text=found.text, since=stamp(found.since, "milliseconds"))
            for found in core.tree.conditions.all()
        ),
        actors=_actors(core, own, now, calls),
        subscribers=_published(core).subscribers,
        log_lines_suppressed=own.log_lines_suppressed,
        webhooks=_webhooks(core),
        nursery=own.nursery,
        http=_http(settings),
    )


def _http(settings: RunSettings) -> HttpStatus | None:
    listen = settings.http_listen
    if not listen:
        return None
    return HttpStatus(listen=listen, tls=bool(settings.http_tls_cert), token_required=is_for_others(listen))


def _published(core: SupervisorCore) -> internal_pb2.PublisherStatistics:
    heartbeat = core.heartbeats.get(PUBLISHER)
    return heartbeat.publisher if heartbeat is not None else internal_pb2.PublisherStatistics()


def _netmap(core: SupervisorCore, settings: RunSettings, now: Now) -> NetmapStatus:
    published = _published(core)
    age = now.boottime - published.last_received_at if published.last_received_at else None
    state, since = published.state or Trust.NONE, published.state_since
    if state == Trust.FRESH and not _trusted(core, published, age, settings.silence_timeout):
        state, since = Trust.STALE, 0.0
    own_node = None
    if published.self_stable_id:
        own_node = SelfStatus(
            name=published.self_name,
            stable_id=published.self_stable_id,
            addresses=tuple(published.self_addresses),
        )
    return NetmapStatus(
        state=state,
        age_s=None if age is None else round(max(0.0, age), 3),
        state_since=stamp(now.wall - max(0.0, now.boottime - since), "milliseconds") if since else None,
        epoch=published.epoch,
        seq=published.seq,
        peers=published.peers,
        peers_online=published.peers_online,
        peers_unknown=published.peers_unknown,
        domain=published.domain,
        self_node=own_node,
    )


def _trusted(
    core: SupervisorCore, published: internal_pb2.PublisherStatistics, age: float | None, limit: float
) -> bool:
    """The publisher's state counts while it and the connection it is about live, and for `limit` seconds."""
    publisher, connection = core.tree.children[PUBLISHER], core.tree.children[CONNECTION]
    return (
        publisher.state is ChildState.RUNNING
        and core.heard_from.get(PUBLISHER) == publisher.generation
        and connection.state is ChildState.RUNNING
        and published.generation == connection.generation
        and published.session == core.connection.ledger.session
        and age is not None
        and age < limit
    )


def _connection(core: SupervisorCore, now: Now) -> ConnectionStatus:
    ledger, child = core.connection.ledger, core.tree.children[CONNECTION]
    end = ledger.last_end
    return ConnectionStatus(
        state=ledger.state(alive=child.alive, stopped=core.tree.stopping),
        generation=child.generation,
        pid=child.pid,
        local_address=ledger.local_address or None,
        remote_address=ledger.remote_address or None,
        proxy=ledger.proxy or None,
        session_age_s=None if ledger.map_since is None else round(now.boottime - ledger.map_since, 3),
        sessions=ledger.sessions,
        attempts=ledger.attempts,
        ended=dict(ledger.ended_counts),
        last_end=None
        if end is None
        else LastEnd(
            reason=end.reason,
            stage=end.stage,
            detail=end.detail,
            at=stamp(end.wall, "milliseconds"),
            generation=end.generation,
        ),
        next_attempt_s=_next_attempt(core, now),
        auth_url=ledger.auth_url or None,
    )


def _next_attempt(core: SupervisorCore, now: Now) -> float | None:
    child = core.tree.children[CONNECTION]
    if child.state is not ChildState.BACKOFF or child.due is None:
        return None
    return round(max(0.0, child.due - now.boottime), 3)


def _liveness(core: SupervisorCore, settings: RunSettings, now: Now) -> LivenessStatus:
    heartbeat, child = core.heartbeats.get(LIVENESS), core.tree.children[CONNECTION]
    silent = deadline = None
    published = _published(core)
    if child.alive and heartbeat is not None and heartbeat.liveness.generation == child.generation:
        # The publisher receives every MapResponse at once; liveness reports only every few seconds.
        received = max(heartbeat.liveness.last_received_at, published.last_received_at)
        if heartbeat.liveness.stage == Stage.MAP:
            silent = max(0.0, now.boottime - received)
            deadline = max(0.0, received + settings.silence_timeout - now.boottime)
        elif heartbeat.liveness.deadline_at:
            deadline = max(0.0, heartbeat.liveness.deadline_at - now.boottime)
    return LivenessStatus(
        silence_timeout_s=settings.silence_timeout,
        silent_s=None if silent is None else round(silent, 3),
        deadline_in_s=None if deadline is None else round(deadline, 3),
    )


def _actors(
    core: SupervisorCore, own: SupervisorFacts, now: Now, calls: RefusedCalls | None
) -> tuple[ActorStatus, ...]:
    filtered, refused = ({}, {}) if calls is None else (calls.filtered(), calls.counts())
    supervisor = ActorStatus(
        name="supervisor",
        pid=own.pid,
        state="active",
        generation=1,
        restarts=0,
        last_exit=None,
        uptime_s=round(now.boottime - own.started_at, 3),
        rss_bytes=own.rss_bytes,
        confinement=dict(own.confinement),
        system_calls=own.system_calls,
    )
    children = (
        ActorStatus(
            name=name,
            pid=child.pid,
            state=child.public_state.value,
            generation=child.generation,
            restarts=max(0, child.generation - 1),
            last_exit=child.last_exit or None,
            uptime_s=round(now.boottime - child.started_at, 3) if child.alive else None,
            rss_bytes=child.rss_bytes or None,
            confinement=_confinement(core, name),
            system_calls=filtered.get(name),
            refused_calls=refused.get(name, {}),
        )
        for name, child in core.tree.children.items()
    )
    return (supervisor, *children)


def _webhooks(core: SupervisorCore) -> tuple[WebhookStatus, ...]:
    heartbeat = core.heartbeats.get(ActorName.WEBHOOKS)
    return tuple(
        WebhookStatus(
            tailnet=TAILNET,
            name=one.name,
            delivered=one.delivered,
            attempts=one.attempts,
            failed=one.failed,
            given_up=one.given_up,
            suppressed=one.suppressed,
            lost=one.lost,
            pending=one.pending,
            last_success=stamp(one.delivered_at, "milliseconds") if one.delivered_at else None,
            failure=one.failure,
        )
        for one in (heartbeat.webhooks if heartbeat is not None else ())
    )


def _confinement(core: SupervisorCore, name: str) -> dict[str, int]:
    """As reported by the present process."""
    if core.heard_from.get(name) != core.tree.children[name].generation:
        return {}
    return dict(core.heartbeats[name].confinement)
