"""What is shown to people and programs holds no character that hides, moves or commands, and says the same."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from netmap_actors.exports import netmap_json, prometheus_sd
from netmap_actors.http_endpoint import json_parts, metrics
from tests.unit.test_exports import netmap_of

HIDDEN = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0x61C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    0xE0041,
]
"""C0 and C1 controls, DELETE, marks of direction, line separators, what has no width, a tag."""
NAME = "a" + "".join(map(chr, HIDDEN)) + '\\ " é 日 😀 z'


def hides(text: str) -> set[str]:
    return {character for character in text if ord(character) in HIDDEN} - {"\n"}


def evil():
    return netmap_of({"name": NAME, "os": NAME, "tags": [NAME], "hostname": NAME, "online": True})


def outputs() -> dict[str, str]:
    netmap = evil()
    document = netmap_json.document(netmap, state="fresh", age_s=1.0, epoch=1, seq=1)
    shown = metrics.Shown("fresh", 1.0, netmap, None, {}, peers=True)
    groups = prometheus_sd.each_group(netmap.frozen(), state="fresh", port=1)
    return {
        "netmap --json": netmap_json.text(document),
        "export sd": prometheus_sd.text(netmap, state="fresh", port=1),
        "/netmap": b"".join(json_parts.json_parts(netmap)).decode(),
        "/sd": b"".join(json_parts.array_parts(groups)).decode(),
        "/metrics": metrics.page(shown, "")[1].decode(),
        "/metrics as OpenMetrics": metrics.page(shown, "application/openmetrics-text; version=1.0.0")[
            1
        ].decode(),
    }


@pytest.mark.xfail(strict=True, reason="a terminal obeys what a control server has put into a name")
@pytest.mark.parametrize("output", sorted(outputs()))
def test_no_output_holds_a_character_that_hides(output) -> None:
    assert hides(outputs()[output]) == set()


@pytest.mark.parametrize("output", ["netmap --json", "/netmap"])
def test_json_says_the_same(output) -> None:
    (peer,) = json.loads(outputs()[output])["peers"]
    assert (peer["name"], peer["os"], peer["tags"]) == (NAME, NAME, [NAME])


def test_metrics_can_be_read() -> None:
    families = {family.name: family for family in text_string_to_metric_families(outputs()["/metrics"])}
    (sample,) = families["netmap_peer_online"].samples
    assert sample.labels["name"].startswith("a")
    assert sample.labels["name"].endswith('\\ " é 日 😀 z')
