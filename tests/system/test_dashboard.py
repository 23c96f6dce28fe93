"""The dashboard and the alerts of deploy/ in a real Prometheus that scrapes a real daemon, set up as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.host.free_ports import free_address
from tests.support.peers.prometheus import running_prometheus
from tests.support.servers.scripted import joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
PAGE = (ROOT / "docs" / "howto" / "prometheus.md").read_text()
EMPTY = {
    "Conditions": "nothing is wrong",
    "Alerts": "none lasts long enough to fire",
    "Refused system calls": "no process tries one that it may not",
}
"""Panels with nothing to show of a healthy daemon, and why."""
DAY = 86_400
LIMIT = 60.0

pytestmark = pytest.mark.slow


def panels() -> list[dict[str, Any]]:
    return [one for one in DASHBOARD["panels"] if one["type"] != "row"]


def expressions(panel: dict[str, Any], instance: str) -> list[str]:
    """As Grafana asks, with every variable replaced."""
    variables = {
        "instance": re.escape(instance),
        "tailnet": "default",
        "__range": "1m",
        "__rate_interval": "30s",
    }
    texts = [re.sub(r"\$(\w+)", lambda at: variables[at[1]], one["expr"]) for one in panel["targets"]]
    return [text.replace("\\", "\\\\") for text in texts]


def settings(address: str) -> str:
    """The settings on the page, with this daemon for the page's and a second for a minute."""
    (text,) = re.findall(r"```yaml\n(rule_files:.*?)```", PAGE, re.DOTALL)
    text, targets = re.subn(r"targets: \[[^]]*\]", f'targets: ["{address}"]', text)
    text, files = re.subn(r"(?<=\[).*/alerts\.yml(?=\])", str(RULES), text)
    assert (targets, files) == (1, 1)
    return f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{text}"


def tailnet_with_something_to_show(control: Control) -> None:
    tailnet = control.server.tailnet
    offline, expiring, *_ = control.server.nodes()
    tailnet.set_tags(offline.id, ["tag:web"])
    tailnet.set_online(offline.id, online=False)
    tailnet.expire(expiring.id, 3 * DAY)
    own = next(node for node in control.server.nodes() if node.name.startswith("client"))
    tailnet.expire(own.id, 90 * DAY)


def waiting(rules: list[dict[str, Any]]) -> set[str]:
    return {alert["labels"]["alertname"] for rule in rules for alert in rule["alerts"]}


def test_every_panel_shows_something_and_every_alert_can_be_judged(
    tmp_path: Path, control: Control, daemon: Callable[..., Daemon]
) -> None:
    address = free_address()
    running = daemon(*joined(control), f"--http-listen={address}")
    running.wait_fresh()
    tailnet_with_something_to_show(control)
    with running_prometheus(tmp_path, settings(address)) as prometheus:
        wait_for(
            lambda: prometheus.query("netmap_peer_online == 0 and netmap_peer_last_seen_timestamp_seconds"),
            LIMIT,
            "a scrape of a peer that is offline",
        )
        for panel in panels():
            for expression in expressions(panel, address):
                if panel["title"] in EMPTY:
                    assert prometheus.query(expression) == [], panel["title"]
                else:
                    wait_for(
                        lambda asked=expression: prometheus.query(asked),
                        LIMIT,
                        f"{panel['title']}: {expression}",
                    )
        for variable in DASHBOARD["templating"]["list"][1:]:
            name, selector = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()[
                ::-1
            ]
            found = prometheus.query(selector.replace("$tailnet", "default"))
            assert {one["metric"][name] for one in found} == {"default" if name == "tailnet" else address}
        wait_for(
            lambda: {"NetmapNodeOffline", "NetmapPeerKeyExpiring"} == waiting(prometheus.rules()),
            LIMIT,
            "the two alerts there is a reason for, and no others",
        )
        assert {(one["health"], one.get("lastError")) for one in prometheus.rules()} == {("ok", None)}

        running.terminate()
        trust = expressions(panels()[0], address)[0]
        wait_for(
            lambda: [one["value"][1] for one in prometheus.query(trust)] == ["0"],
            LIMIT,
            "an endpoint that is gone to count",
        )


def test_every_panel_is_one_that_grafana_can_draw() -> None:
    ids = [one["id"] for one in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(
            "$instance" in one["expr"]
            or panel["title"] in {"Alerts", "Keys that expire within 30 days, or have", "Systems"}
            for one in panel["targets"]
        )
    assert {panel["title"] for panel in panels()} >= EMPTY.keys()
