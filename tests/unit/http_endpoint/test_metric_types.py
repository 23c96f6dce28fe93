"""Each figure of the metrics page has the type of what it is: what can go down is no counter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from netmap_actors.http_endpoint import metrics
from netmap_actors.http_endpoint.metrics import WEBHOOK_COUNTERS, Shown, page
from netmap_actors.slices import complete
from netmap_actors.subscriber import Netmap, Snapshot
from netmap_actors.subscriber.netmap_view import Contents

ACTORS = Path(__file__).parents[3] / "actors" / "netmap_actors"
NOTHING = Snapshot(epoch=0, seq=0, state="none", age_s=None, netmap=Netmap(Contents()))
ONLY_GROW = {
    "answers_completed", "answers_stalled", "bad_map_responses", "connections_refused", "dev_control_changes",
    "dev_control_connections_refused", "dropped", "foreign_words", "gaps",
    "history_failures", "history_written", "http_requests", "http_requests_failed",
    "http_requests_refused", "http_requests_unauthorized",
    "http_tls_failed", "liveness_words_lost", "requests_refused", "slices", "suppressed", "unknown_ids",
}  # fmt: skip
"""What an actor counts from its start on: each a sum, and never set back."""
LEVELS = {
    "hidden_peers": "netmap_hidden_peers",
    "history_bytes": "netmap_history_bytes",
    "http_certificate_expires": "netmap_http_certificate_expiry_timestamp_seconds",
    "left_out": "netmap_entries_left_out",
    "recorders": "netmap_session_recorders",
    "window_low_percent": "netmap_connection_window_low_ratio",
}
"""What an actor measures, and the gauge it is shown as."""


def told() -> set[str]:
    """Every figure an actor puts into its heartbeat, as the code names them."""
    found = set()
    for path in ACTORS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                owner = node.value
                name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                if name == "counters" and isinstance(node.slice, ast.Constant):
                    found.add(str(node.slice.value))
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith("counters.update")
                and isinstance(node.args[0], ast.Dict)
            ):
                found |= {str(key.value) for key in node.args[0].keys if isinstance(key, ast.Constant)}
    return found


def test_of_every_figure_it_is_known_whether_it_only_grows() -> None:
    assert told() == ONLY_GROW | LEVELS.keys()


def test_a_level_is_a_gauge_of_its_own_and_no_counter() -> None:
    counters = {
        "control_connection": {"window_low_percent": 40, "liveness_words_lost": 3},
        "history": {"history_bytes": 4096},
        "http_endpoint": {"http_certificate_expires": 1_800_000_000},
        "publisher": {"hidden_peers": 2, "left_out": 5, "gaps": 1, "recorders": 1},
    }
    _, text = complete(page(Shown(NOTHING, None, counters), "text/plain"))
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    events = families["netmap_actor_events"]
    assert events.type == "counter"
    assert {sample.labels["event"] for sample in events.samples} == {"liveness_words_lost", "gaps"}
    shown = {name: families[name] for name in LEVELS.values()}
    assert {family.type for family in shown.values()} == {"gauge"}
    assert [sample.value for sample in shown["netmap_connection_window_low_ratio"].samples] == [
        pytest.approx(0.4)
    ]
    assert [sample.value for sample in shown["netmap_entries_left_out"].samples] == [5.0]
    expires = shown["netmap_http_certificate_expiry_timestamp_seconds"]
    assert [sample.value for sample in expires.samples] == [1_800_000_000]
    assert [sample.value for sample in shown["netmap_hidden_peers"].samples] == [2.0]


def test_whatever_else_is_told_is_shown_as_counted() -> None:
    counters = {"publisher": dict.fromkeys(sorted(ONLY_GROW), 7)}
    _, text = complete(page(Shown(NOTHING, None, counters), "text/plain"))
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert {sample.labels["event"] for sample in families["netmap_actor_events"].samples} == ONLY_GROW
    assert not families.keys() & set(LEVELS.values())


def test_each_webhook_has_its_figures() -> None:
    one = {
        "tailnet": "default", "name": "oncall", "delivered": 7, "attempts": 9, "failed": 2, "given_up": 1,
        "suppressed": 3, "lost": 0, "pending": 4, "last_success": "2026-01-02T03:04:05.000Z", "failure": "",
    }  # fmt: skip
    new = one | {"name": "new", "last_success": None}
    samples = {
        (sample.name, sample.labels["tailnet"], sample.labels["webhook"]): sample.value
        for family in metrics._webhooks([one, new])
        for sample in family.samples
    }
    of = ("default", "oncall")
    for name in WEBHOOK_COUNTERS:
        assert samples[f"{name}_total", *of] == one[name.removeprefix("netmap_webhook_")]
    assert samples["netmap_webhook_pending", *of] == 4
    assert samples["netmap_webhook_last_success_timestamp_seconds", *of] == 1_767_323_045.0
    assert ("netmap_webhook_last_success_timestamp_seconds", "default", "new") not in samples
    assert list(metrics._webhooks(())) == []
