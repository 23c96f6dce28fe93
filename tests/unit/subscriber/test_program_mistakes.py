"""Mistakes of a program are told where they are made, with what is right; names and times can be looked up."""

from __future__ import annotations

import datetime
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import netmap_actors
import netmap_supervisor
from netmap_actors.rfc3339 import moment
from netmap_actors.subscriber.events import EVENT_KINDS
from netmap_actors.subscriber.readiness import AtEndpoint, look_at, why_not_ready
from netmap_actors.wire.topics import Kind
from netmap_supervisor import EventFilter, Peer, Snapshot, Subscriber, Trust
from tests.unit.subscriber.test_subscriber_events import Program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_kinds_of_event_are_the_topics_that_are_not_the_buss_own() -> None:
    assert tuple(kind.value for kind in Kind if kind not in {Kind.COMMIT, Kind.HEARTBEAT}) == EVENT_KINDS


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["peer_upsert"], "did you mean 'peer_upserted'? there are peer_upserted, peer_removed"),
        (["commit"], "cannot follow events of kind 'commit': there are"),
        ("dns_changed", "give a list, ['dns_changed']"),
        ([""], "cannot follow events of kind ''"),
    ],
)
def test_a_kind_that_is_none_is_refused_with_the_list_of_right_ones(given, says, tmp_path) -> None:
    takers: list[Callable[[], object]] = [
        lambda: Subscriber(tmp_path, kinds=given),
        lambda: EventFilter(kinds=given),
    ]
    with Subscriber(tmp_path) as subscriber:
        if isinstance(given, list):
            takers.append(lambda: subscriber.on(given[0], print))
        for take in takers:
            with pytest.raises(ValueError, match="cannot ") as told:
                take()
            assert says in str(told.value)
            assert isinstance(given, str) or str(told.value).count("state_changed") == 1
        for right in ("*", "snapshot", *EVENT_KINDS):
            subscriber.on(right, print)


def test_nodes_of_a_filter_are_a_list_too() -> None:
    with pytest.raises(ValueError, match=r"cannot use the text 'web-1' as nodes: give a list, \['web-1'\]"):
        EventFilter(nodes="web-1")


def test_the_state_is_one_of_three_names_and_a_text(tmp_path) -> None:
    program = Program(tmp_path)
    state = program.subscriber.store.state
    assert state is Trust.FRESH and state == "fresh" and f"{state}" == "fresh"
    program.subscriber.close()


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ("2026-11-29T20:48:17.123456789Z", datetime.datetime(2026, 11, 29, 20, 48, 17, 123456, datetime.UTC)),
        ("2026-11-29T21:48:17+01:00", datetime.datetime(2026, 11, 29, 20, 48, 17, 0, datetime.UTC)),
        ("2026-11-29T20:48:17", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_a_moment_in_utc_or_none(text, is_) -> None:
    assert moment(text) == is_
    assert is_ is None or moment(text).utcoffset() == datetime.timedelta(0)


def test_the_times_of_a_peer_are_moments_beside_their_texts() -> None:
    from netmap_actors.wire import netmap_pb2

    text = "2026-11-29T20:48:17Z"
    message = netmap_pb2.Peer(stable_id="n1", last_seen=text, created=text)
    peer = Peer(message.SerializeToString(), {})
    when = datetime.datetime(2026, 11, 29, 20, 48, 17, 0, datetime.UTC)
    assert (peer.last_seen_at, peer.created_at, peer.key_expiry_at) == (when, when, None)
    assert (peer.last_seen, peer.created, peer.key_expiry) == (text, text, None)


@pytest.mark.parametrize(
    ("state", "answered", "door", "says"),
    [
        ("none", False, AtEndpoint.MISSING, "there is no such socket: no daemon runs there"),
        ("none", False, AtEndpoint.FORBIDDEN, "not yours to use"),
        ("none", False, AtEndpoint.THERE, "was killed, or is busy"),
        ("none", False, AtEndpoint.ELSEWHERE, "does not know your key"),
        ("none", True, AtEndpoint.THERE, "has none yet"),
        ("stale", True, AtEndpoint.THERE, "it is stale (last MapResponse: 7 s ago)"),
        ("stale", True, AtEndpoint.MISSING, "is gone (last MapResponse: 7 s ago)"),
    ],
)
def test_why_there_is_no_netmap_is_told_by_what_is_there(state, answered, door, says, tmp_path) -> None:
    program = Program(tmp_path)
    netmap = program.subscriber.store.netmap
    program.subscriber.close()
    now = Snapshot(epoch=1, seq=1, state=Trust(state), age_s=7.2, netmap=netmap)
    text = why_not_ready(now, answered, ("ipc:///run/x/updates.sock", "ipc:///run/x/y"), lambda _: door)
    assert (says in text and "/run/x/updates.sock" in text) or state == "stale"
    assert text.startswith("cannot ")


def test_a_door_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    there = tmp_path / "socket"
    there.touch()
    assert look_at(f"ipc://{there}") is AtEndpoint.THERE
    assert look_at(f"ipc://{tmp_path / 'nothing'}") is AtEndpoint.MISSING
    assert look_at(f"ipc://{there / 'below'}") is AtEndpoint.MISSING
    assert look_at("tcp://127.0.0.1:1") is AtEndpoint.ELSEWHERE


def test_the_package_can_be_looked_at() -> None:
    assert set(netmap_supervisor.__all__) <= set(dir(netmap_supervisor))
    assert not {"TYPE_CHECKING", "annotations"} & set(dir(netmap_supervisor))
    assert netmap_supervisor.__version__ == netmap_actors.__version__
    with pytest.raises(AttributeError, match="no attribute 'Subscribe'"):
        netmap_supervisor.Subscribe  # noqa: B018


def test_the_library_does_not_load_asyncio() -> None:
    program = "import sys, netmap_supervisor as n; n.Mirror; n.Subscriber; sys.exit('asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=60)
