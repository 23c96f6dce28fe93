"""The metrics page: the daemon's status and the netmap as Prometheus metrics, made for each scrape.

Not here: each peer (`peer_metrics`), and where the figures come from. prometheus_client's process registry is not used:
the figures are of other processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
)
from prometheus_client.exposition import choose_encoder

from netmap_actors.http_endpoint import peer_metrics
from netmap_actors.rfc3339 import unix_seconds
from netmap_actors.shown_json import label
from netmap_actors.slices import each
from netmap_actors.wire.vocabulary import TAILNET, Trust

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from prometheus_client.core import Metric

    from netmap_actors.subscriber import Peer, Snapshot

__all__ = ["LEVELS", "Shown", "page"]

END = b"# EOF\n"
"""Of OpenMetrics; nothing may follow it."""
CONNECTION_STATES = (
    "starting", "resolving", "connecting", "handshaking", "registering", "login_needed", "awaiting_approval",
    "map_session", "backing_off", "stopped",
)  # fmt: skip


class MeasuredLevel(NamedTuple):
    """How something an actor measures is shown: it goes up and down, and is no counter."""

    metric: str
    about: str
    unit: float = 1.0


LEVELS = {
    "hidden_peers": MeasuredLevel("netmap_hidden_peers", "Peers not shown because another has the same id"),
    "left_out": MeasuredLevel(
        "netmap_entries_left_out", "Warnings, messages and profiles left out because there are too many"
    ),
    "window_low_percent": MeasuredLevel(
        "netmap_connection_window_low_ratio",
        "Least part of the flow control windows that was left on this connection",
        0.01,
    ),
    "http_certificate_expires": MeasuredLevel(
        "netmap_http_certificate_expiry_timestamp_seconds", "When the HTTP endpoint's certificate expires"
    ),
    "recorders": MeasuredLevel("netmap_session_recorders", "Who has the map sessions recorded now"),
    "history_bytes": MeasuredLevel("netmap_history_bytes", "Bytes of the history's file that are in use"),
}
"""An actor's figures that are no counters; each is reported by one actor."""


WEBHOOK_COUNTERS = {
    "netmap_webhook_delivered": "Events told",
    "netmap_webhook_attempts": "Requests made",
    "netmap_webhook_failed": "Attempts that told nothing",
    "netmap_webhook_given_up": "Events given up, as the receiver took none for longer than `retry_for`",
    "netmap_webhook_suppressed": "Events not told, of states that were over within `hold_down`",
    "netmap_webhook_lost": "Events that the history no longer had when they were to be told",
}
"""What is counted of each webhook since it was new, under the name it has in its status."""


class Shown(NamedTuple):
    """What one scrape shows."""

    snapshot: Snapshot
    status: Mapping[str, Any] | None
    """`status --json`; None when the Supervisor did not answer."""
    counters: Mapping[str, Mapping[str, int]]
    """By actor and name."""
    peers: peer_metrics.Chosen = None
    """What is known of each of these peers, too."""


def page(shown: Shown, accept: str) -> Generator[None, None, tuple[str, bytes]]:
    """(content type, text) in the format the Accept header asks for; in slices, if the peers are many."""
    counts = dict.fromkeys(("true", "false", "unknown"), 0)

    def count(peer: Peer) -> None:
        counts[_word(peer.online)] += 1

    yield from each(shown.snapshot.netmap.peers.values(), count)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(shown, counts))
    try:
        encode, content_type = choose_encoder(accept)
    except Exception:  # noqa: BLE001  # its parser fails on some headers: the default then
        encode, content_type = choose_encoder("")
    text = encode(registry)
    if shown.peers is not None:
        open_metrics = text.endswith(END)
        peers = yield from peer_metrics.families(
            shown.snapshot.netmap, shown.peers, open_metrics=open_metrics
        )
        text = text.removesuffix(END) + peers.encode() + (END if open_metrics else b"")
    return content_type, text


class _Collector:
    def __init__(self, shown: Shown, counts: Mapping[str, int]) -> None:
        self._shown = shown
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        yield from _netmap(self._shown.snapshot, self._counts)
        status = self._shown.status
        yield _gauge(
            "netmap_supervisor_up", "Whether the Supervisor answered this scrape", float(status is not None)
        )
        if status is not None:
            yield from _connection(status)
            yield from _actors(status)
            yield from _webhooks(status.get("webhooks", ()))
        yield from _counters(self._shown.counters)


def _netmap(snapshot: Snapshot, counts: Mapping[str, int]) -> Iterator[Metric]:
    yield StateSetMetricFamily(
        "netmap_state",
        "How far the netmap can be trusted",
        {state: state == snapshot.state for state in Trust},
    )
    if snapshot.age_s is not None:
        yield _gauge(
            "netmap_last_map_response_age_seconds", "Time since the last complete MapResponse", snapshot.age_s
        )
    online = GaugeMetricFamily(
        "netmap_peers", "Peers by their contact with the control server", labels=["online"]
    )
    for word, count in counts.items():
        online.add_metric([word], count)
    yield online
    yield InfoMetricFamily(
        "netmap_tailnet",
        "The tailnet",
        {"tailnet": TAILNET, "domain": label(snapshot.netmap.domain)},
    )
    own = snapshot.netmap.self_node
    expiry = unix_seconds(own.key_expiry or "") if own is not None else None
    if expiry is not None:
        yield _gauge("netmap_node_key_expiry_timestamp_seconds", "When this node's key expires", expiry)


def _connection(status: Mapping[str, Any]) -> Iterator[Metric]:
    connection, liveness = status["connection"], status["liveness"]
    yield InfoMetricFamily("netmap_supervisor", "The daemon", {"version": status["version"]})
    yield _gauge("netmap_supervisor_uptime_seconds", "Time since the Supervisor started", status["uptime_s"])
    yield StateSetMetricFamily(
        "netmap_connection_state",
        "What the control connection does",
        {state: state == connection["state"] for state in CONNECTION_STATES},
    )
    yield CounterMetricFamily(
        "netmap_connection_attempts", "Connection processes started", connection["attempts"]
    )
    yield CounterMetricFamily("netmap_map_sessions", "Map sessions begun", connection["sessions"])
    ended = CounterMetricFamily("netmap_reconnects", "Connections that ended, by reason", labels=["reason"])
    for reason, count in connection["ended"].items():
        ended.add_metric([label(reason)], count)
    yield ended
    yield _gauge(
        "netmap_silence_timeout_seconds",
        "Silence after which the connection counts as dead",
        liveness["silence_timeout_s"],
    )
    yield _gauge("netmap_subscribers", "Connections to the updates sockets", status["subscribers"])
    yield CounterMetricFamily(
        "netmap_supervisor_log_lines_suppressed",
        "Lines left out of the log, more than are written of their kind",
        status.get("log_lines_suppressed", 0),
    )
    degraded = GaugeMetricFamily("netmap_degraded", "Conditions somebody should know of", labels=["code"])
    for condition in status["degraded"]:
        degraded.add_metric([label(condition["code"])], 1.0)
    yield degraded


def _actors(status: Mapping[str, Any]) -> Iterator[Metric]:
    up = GaugeMetricFamily("netmap_actor_up", "Whether the process is active", labels=["actor"])
    restarts = CounterMetricFamily(
        "netmap_actor_restarts", "Times the process was replaced", labels=["actor"]
    )
    memory = GaugeMetricFamily(
        "netmap_actor_resident_memory_bytes", "Resident memory of the process", labels=["actor"]
    )
    refused = CounterMetricFamily(
        "netmap_actor_refused_system_calls", "System calls refused to the actor", labels=["actor", "call"]
    )
    for actor in status["actors"]:
        name = [label(actor["name"])]
        up.add_metric(name, float(actor["state"] == "active"))
        restarts.add_metric(name, actor["restarts"])
        if actor["rss_bytes"] is not None:
            memory.add_metric(name, actor["rss_bytes"])
        for call, count in actor.get("refused_calls", {}).items():
            refused.add_metric([label(actor["name"]), label(call)], count)
    yield from (up, restarts, memory, refused)


def _webhooks(webhooks: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    if not webhooks:
        return
    labels = ["tailnet", "webhook"]
    counters = {
        name: CounterMetricFamily(name, about, labels=labels) for name, about in WEBHOOK_COUNTERS.items()
    }
    pending = GaugeMetricFamily("netmap_webhook_pending", "Events that wait to be told", labels=labels)
    success = GaugeMetricFamily(
        "netmap_webhook_last_success_timestamp_seconds", "When a request was last taken", labels=labels
    )
    for one in webhooks:
        of = [label(one["tailnet"]), label(one["name"])]
        for name, family in counters.items():
            family.add_metric(of, one[name.removeprefix("netmap_webhook_")])
        pending.add_metric(of, one["pending"])
        if one["last_success"] and (at := unix_seconds(one["last_success"])) is not None:
            success.add_metric(of, at)
    yield from (*counters.values(), pending, success)


def _counters(counters: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    events = CounterMetricFamily(
        "netmap_actor_events", "What the actors count since their process began", labels=["actor", "event"]
    )
    for actor, counted in sorted(counters.items()):
        for name, count in sorted(counted.items()):
            if (level := LEVELS.get(name)) is None:
                events.add_metric([label(actor), label(name)], count)
            else:
                yield _gauge(level.metric, level.about, count * level.unit)
    yield events


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _word(online: bool | None) -> str:
    return "unknown" if online is None else str(online).lower()
