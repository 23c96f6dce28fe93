"""`faults.catalogue` and `faults.bad_bytes`: targets, moments, counts; the bytes."""

from __future__ import annotations

import struct

import pytest

from netmap_actors.dev_control.faults import bad_bytes
from netmap_actors.dev_control.faults.catalogue import FAULTS, BadFault, FaultPlan, Moment, Scope, make_fault
from netmap_actors.dev_control.tailnet.json_types import KEEP_ALIVE
from netmap_actors.errors import BadMapResponse, RemoteProtocolError
from netmap_actors.protocol.map_framing import MapFrameReader
from netmap_actors.protocol.noise import RecordStream, TransportCiphers

ANYBODY = frozenset({"connection:1"})


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_made_without_parameters(name: str) -> None:
    fault = make_fault(name)
    assert fault.moment in FAULTS[name].moments
    assert fault.times is None


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("nonsense", {}, "the faults are"),
        ("liveness/slow-drip", {"speed": 3}, "it takes period"),
        ("liveness/slow-drip", {"period": "fast"}, "period is not a number from 0.01 to 10000000000"),
        ("refusal/status", {"status": "500"}, "status is not a whole number from 200 to 599"),
        ("refusal/status", {"status": 101}, "status is not a whole number from 200 to 599"),
        ("refusal/status", {"retry_after": "1\r\nX: y"}, "retry_after holds more than printable ASCII"),
        ("session/rst-stream", {"code": -1}, "code is not a whole number from 0 to 4294967295"),
        ("session/goaway", {"debug": "x" * 5000}, "debug has 5000 bytes"),
        ("input/flood", {"frame": "goaway"}, "frame is not one of empty_data, ping, settings, window_update"),
        ("input/zstd-bomb", {"size": 10**30}, "size is not a whole number"),
        ("session/cut", {"moment": "never"}, "not a valid Moment"),
        ("session/cut", {"scope": "some"}, "not a valid Scope"),
        ("liveness/half-frame", {"moment": "register"}, "it strikes at first, live"),
        ("session/cut", {"times": 0}, "positive"),
        ("session/cut", {"times": "twice"}, "positive"),
        ("liveness/clock-wrong", {"seconds": 1e11}, "not a number from"),
        ("liveness/clock-wrong", {"seconds": float("nan")}, "not a number from"),
    ],
)
def test_a_fault_that_cannot_be_says_why(name: str, given: dict[str, object], why: str) -> None:
    with pytest.raises(BadFault, match=why):
        make_fault(name, **given)


def test_a_plan_strikes_at_its_moment_and_only_whom_it_means() -> None:
    plan = FaultPlan()
    plan.add(make_fault("session/cut", moment="map", client="web"))
    assert plan.take(Moment.REGISTER, frozenset({"web"})) == []
    assert plan.take(Moment.MAP, ANYBODY) == []
    assert [fault.name for fault in plan.take(Moment.MAP, frozenset({"web", "5"}))] == ["session/cut"]


def test_times_are_counted_and_healing_ends_all() -> None:
    plan = FaultPlan()
    plan.add(make_fault("liveness/headers-never", times=2))
    taken = [len(plan.take(Moment.MAP, ANYBODY)) for _ in range(3)]
    assert taken == [1, 1, 0]
    plan.add(make_fault("identity/server-key-changed"))
    assert plan.has("identity/server-key-changed")
    plan.heal()
    assert not plan.has("identity/server-key-changed")
    assert plan.waiting == ()


def test_healing_one_client_leaves_the_others_theirs() -> None:
    plan = FaultPlan()
    for client in ("web", "db", ""):
        plan.add(make_fault("liveness/headers-never", client=client))
    assert plan.heal(frozenset({"web", "5", "connection:1"})) == 1
    assert [fault.client for fault in plan.waiting] == ["db", ""]
    assert plan.heal(frozenset({"web"})) == 0


def test_healing_one_fault_leaves_the_others() -> None:
    plan = FaultPlan()
    for name in ("liveness/headers-never", "register/null", "liveness/headers-never"):
        plan.add(make_fault(name, client="web"))
    assert plan.heal(frozenset({"db"}), "liveness/headers-never") == 0
    assert plan.heal(None, "liveness/headers-never") == 2
    assert [fault.name for fault in plan.waiting] == ["register/null"]


def test_what_kills_a_connection_strikes_only_those_that_are_open() -> None:
    for name in ("liveness/silence", "session/cut", "liveness/half-frame", "session/goaway"):
        assert make_fault(name).scope is Scope.CURRENT


@pytest.mark.parametrize("declared", [True, False])
def test_a_bomb_is_small_and_is_refused_for_its_size(declared: bool) -> None:
    bomb = bad_bytes.bomb(1 << 30, declared=declared)
    assert len(bomb) < 64 << 10
    with pytest.raises(BadMapResponse, match=r"declared, limit|come out"):
        MapFrameReader(16 << 20).receive(bomb)


def test_a_small_bomb_is_a_sound_zstd_frame() -> None:
    (document,) = MapFrameReader(16 << 20).receive(bad_bytes.bomb(1 << 20, declared=True))
    assert document == bytes(1 << 20)


@pytest.mark.parametrize(
    "frame",
    [bad_bytes.oversized(0xFFFFFFFF), bytes(4), bad_bytes.two_frames(KEEP_ALIVE, compress=True)],
    ids=["input/oversized-frame", "zero", "two frames"],
)
def test_spoilt_map_frames_are_refused(frame: bytes) -> None:
    with pytest.raises(BadMapResponse):
        MapFrameReader(1 << 20).receive(frame)


def noise() -> tuple[bad_bytes.EvilRecords, RecordStream]:
    one, two = bytes(range(32)), bytes(range(32, 64))
    return (
        bad_bytes.EvilRecords(TransportCiphers(one, two, b"")),
        RecordStream(TransportCiphers(two, one, b"")),
    )


def test_an_empty_record_is_sound_and_says_nothing() -> None:
    evil, client = noise()
    data = evil.seal(b"before") + evil.seal_empty() + evil.seal(b"after")
    assert client.receive(data) == [b"before", b"after"]
    assert client.empty_records == 1


def test_spoilt_records_are_refused() -> None:
    evil, client = noise()
    with pytest.raises(RemoteProtocolError, match="tag"):
        client.receive(evil.seal_corrupt(b"x"))
    evil, client = noise()
    record = evil.seal_too_long()
    assert len(record) == 4097
    with pytest.raises(RemoteProtocolError, match="4094 bytes"):
        client.receive(record)


def test_a_raw_http2_frame_has_nine_bytes_of_header() -> None:
    frame = bad_bytes.http2_frame(bad_bytes.WINDOW_UPDATE, struct.pack(">L", 5), stream_id=3, flags=1)
    assert frame == b"\x00\x00\x04\x08\x01\x00\x00\x00\x03\x00\x00\x00\x05"
