"""The public surface is what was recorded, but for the changes named here."""

from __future__ import annotations

import json

import pytest

from tests.contract.public_surface import RECORD, surface

INTENDED: set[tuple[str, str]] = {
    ("Netmap.frozen(self)", ""),
    # By name only: their order is of no consequence.
    (
        "PeerUpserted(epoch, seq, state, age_s, peer, previous)",
        "PeerUpserted(epoch, seq, state, age_s, previous, peer)",
    ),
    (
        "SelfChanged(epoch, seq, state, age_s, node, previous)",
        "SelfChanged(epoch, seq, state, age_s, previous, node)",
    ),
    ("Peers(contents)", "Peers(contents, netmap)"),
    ("Subscriber.age_s", "NetmapStore.age_s"),
    ("Subscriber.connect(self, timeout=)", "Subscriber.wait_for_answer(self, timeout=)"),
    ("Subscriber.epoch", ""),
    ("Subscriber.find(self, word)", ""),
    ("Subscriber.netmap", "NetmapStore.netmap"),
    ("Subscriber.peers", ""),
    ("Subscriber.self_node", ""),
    ("Subscriber.seq", ""),
    ("Subscriber.snapshot(self)", "NetmapStore.snapshot(self)"),
    ("Subscriber.state", "NetmapStore.state"),
    ("", "DevControlOptions.trace"),
    ("", "NetmapStore(replica, clock)"),
    ("", "Snapshot.head_json(self)"),
    ("", "netmap-supervisor check-client --html"),
    ("", "netmap-supervisor check-client --junit"),
    ("", "netmap-supervisor check-client --again --no-again"),
    ("", "netmap-supervisor check-client --belief-limit"),
    ("", "netmap-supervisor check-client --expected-failures"),
    ("", "netmap-supervisor check-client --peers-command"),
    ("", "netmap-supervisor check-client --strict"),
    ("", "netmap_actors.subscriber.NetmapStore"),
    ("", "netmap_supervisor.NetmapStore"),
    ("", "netmap-supervisor check-client --attach"),
    ("", "netmap-supervisor check-client --attach-limit"),
    ("", "netmap-supervisor check-client --host"),
    ("", "netmap-supervisor check-client --listen"),
    ("", "netmap-supervisor check-client --state-dir"),
    ("", "netmap-supervisor check-client --tls-ca"),
    ("", "netmap-supervisor check-client --tls-cert"),
    ("", "netmap-supervisor check-client --tls-key"),
    ("", "netmap-supervisor check-client --tls-listen"),
    ("", "netmap-supervisor dev-control --host"),
    ("", "netmap-supervisor dev-control --tls-ca"),
    ("", "netmap-supervisor dev-control --tls-cert"),
    ("", "netmap-supervisor dev-control --tls-key"),
    ("", "netmap-supervisor dev-control --tls-listen"),
    ("", "tls_failed"),
    ("", "DevControl.ca_file"),
    ("", "DevControlOptions.tls"),
}
"""(as recorded, as it is now); "" for what is gone, or new."""
RECORDED: dict[str, list[str]] = json.loads(RECORD.read_text())


@pytest.fixture(scope="module")
def now() -> dict[str, list[str]]:
    return surface()


@pytest.mark.parametrize("part", RECORDED)
def test_only_intended_changes_are_made(part: str, now: dict[str, list[str]]) -> None:
    recorded, present = set(RECORDED[part]), set(now[part])
    assert recorded - present <= {old for old, _ in INTENDED}, "gone"
    assert present - recorded <= {new for _, new in INTENDED}, "new"


def test_every_intended_change_is_made(now: dict[str, list[str]]) -> None:
    recorded = {item for items in RECORDED.values() for item in items}
    present = {item for items in now.values() for item in items}
    assert {(old, new) for old, new in INTENDED if old in present - {""} or new in recorded - {""}} == set()
    assert {one for pair in INTENDED for one in pair} - {""} <= recorded ^ present
