"""The targets, read by Prometheus with the rules that tailscalesd's README gives its users."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netmap_actors.exports import prometheus_sd
from tests.support.netmaps.built_netmap import DOMAIN, built_netmap
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.netmaps.shown_netmap import EVIL
from tests.support.programs import reads

if TYPE_CHECKING:
    from pathlib import Path

    from netmap_actors.subscriber import Netmap

CONFIG = """\
scrape_configs:
- job_name: tailscale-node-exporter
  file_sd_configs: [{files: [%s]}]
  relabel_configs:
    - source_labels: [__meta_tailscale_device_hostname]
      target_label: tailscale_hostname
    - source_labels: [__meta_tailscale_device_name]
      target_label: tailscale_name
    - source_labels: [__meta_tailscale_device_tag_db]
      target_label: database
    - source_labels: [__address__]
      regex: '(.*)'
      replacement: $1:9100
      target_label: __address__
"""


def discovered(netmap: Netmap, directory: Path) -> list[dict[str, str]]:
    """The labels of each target after the rules."""
    groups = prometheus_sd.target_groups(netmap, state="fresh", port=None)
    targets, config = directory / "targets.json", directory / "prometheus.yml"
    targets.write_text(prometheus_sd.text(groups))
    config.write_text(CONFIG % targets)
    assert "FAILED" not in reads("promtool", "check", "config", str(config))
    said = reads(
        "promtool", "check", "service-discovery", "--timeout=5s", str(config), "tailscale-node-exporter"
    )
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(said)[0]
    return [one["labels"] for one in found]


def test_the_rules_of_tailscalesds_users_work_as_they_are(tmp_path: Path) -> None:
    netmap = recorded_netmap(until="db1 connection closed")
    labels = {one["tailscale_name"]: one for one in discovered(netmap, tmp_path)}
    assert labels.keys() == {node.name for node in netmap.peers.values()}
    for node in netmap.peers.values():
        shown = labels[node.name]
        assert (shown["tailscale_hostname"], shown["__address__"]) == (node.hostname, f"{node.ips[0]}:9100")
        assert shown.get("database") == ("1" if node.tags else None)


def test_no_tag_makes_prometheus_refuse_the_list(tmp_path: Path) -> None:
    tags = ["tag:é", "tag:a b", EVIL, "x,tag:web", "tag:", "", "tag:1"]
    nodes = [{"name": f"n{n}.{DOMAIN}", "tags": [tag], "hostname": EVIL} for n, tag in enumerate(tags)]
    assert len(discovered(built_netmap(*nodes), tmp_path)) == len(tags)
