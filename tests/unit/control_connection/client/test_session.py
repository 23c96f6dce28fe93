"""The map session of a control session: from the first byte to its end, every way it can go."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netmap_actors.control_connection.client.events import (
    MapDocument,
    SaveRegistration,
    ServerProved,
    SessionFailed,
    StageEntered,
)
from netmap_actors.control_connection.client.registration.record import Registration
from netmap_actors.control_connection.client.session import SessionLimits
from netmap_actors.dev_control.faults.bad_bytes import EvilRecords
from netmap_actors.exit_reason import ExitReason
from netmap_actors.protocol.early_payload import challenge_json
from netmap_actors.protocol.http2 import FLOOD_LIMIT, FLOOD_WINDOW
from netmap_actors.protocol.keys import ChallengePublic
from netmap_actors.protocol.map_framing import encode_frame
from netmap_actors.wire.vocabulary import Stage
from tests.support.servers.scripted_control import (
    FIRST_MAP,
    FRESH,
    KEEP_ALIVE,
    NODE_KEY,
    REGISTERED,
    SERVER_KEY,
    ScriptedControl,
    mapped_control,
)


@pytest.fixture
def control() -> ScriptedControl:
    """A registered node, its map request made."""
    return ScriptedControl().start()


@pytest.fixture
def mapped() -> ScriptedControl:
    """The same with its first map."""
    return mapped_control()


def stages(control: ScriptedControl) -> list[Stage]:
    return [event.stage for event in control.take(StageEntered)]


def test_a_registered_node_goes_straight_to_the_map(control) -> None:
    assert [request.path for request in control.requests] == ["/machine/map"]
    assert stages(control) == [Stage.HANDSHAKE, Stage.MAP]


def test_the_map_request_says_what_a_netmap_client_must_say(control) -> None:
    assert control.last.json == {
        "Version": 130,
        "Compress": "zstd",
        "KeepAlive": True,
        "NodeKey": str(NODE_KEY.public()),
        "DiscoKey": str(REGISTERED.disco_key.public()),
        "Stream": True,
        "Hostinfo": {
            "IPNVersion": "1.0",
            "BackendLogID": "ab" * 32,
            "OS": "linux",
            "OSVersion": "6.1",
            "App": "netmap-supervisor",
            "Hostname": "probe",
        },
    }
    assert control.last.headers["ts-lb"] == str(NODE_KEY.public())


def test_a_respawn_sends_the_same_bytes() -> None:
    bodies = {ScriptedControl().start().last.body for _ in range(3)}
    assert len(bodies) == 1


def test_every_map_response_is_handed_on_with_its_number_and_time(control) -> None:
    control.send_map(KEEP_ALIVE)
    control.now += 5
    control.send_map(FIRST_MAP, KEEP_ALIVE)
    documents = control.take(MapDocument)
    assert [(d.session, d.number, d.keep_alive, d.received_at) for d in documents] == [
        (1, 1, True, 1000.0),
        (1, 2, False, 1005.0),
        (1, 3, True, 1005.0),
    ]
    assert [d.json for d in documents] == [KEEP_ALIVE, FIRST_MAP, KEEP_ALIVE]
    assert control.session.had_map


def test_an_early_payload_makes_no_difference() -> None:
    control = ScriptedControl(early_payload=challenge_json(ChallengePublic(b"\x07" * 32))).start()
    control.send_map(FIRST_MAP)
    assert len(control.take(MapDocument)) == 1


@pytest.mark.parametrize("piece", [1, 2, 7, 100])
def test_how_the_bytes_are_cut_makes_no_difference(piece: int) -> None:
    control = ScriptedControl(piece=piece, early_payload=b"{}").start()
    control.send_map(KEEP_ALIVE, FIRST_MAP)
    assert [d.json for d in control.take(MapDocument)] == [KEEP_ALIVE, FIRST_MAP]


# L2: what feeds the deadline


def test_only_a_complete_map_response_counts_as_received(mapped) -> None:
    frame = encode_frame(KEEP_ALIVE, compress=True)
    mapped.now = 2000.0
    mapped.send_map_bytes(frame[:-1])
    mapped.http2.ping(b"12345678")
    mapped.flush()
    mapped.settle()
    assert mapped.take(MapDocument) == []
    assert mapped.session.map.last_received_at == 1000.0
    mapped.now = 2001.0
    mapped.send_map_bytes(frame[-1:])
    assert mapped.session.map.last_received_at == 2001.0


def test_f09_a_few_empty_records_are_nothing_and_a_flood_of_them_ends_the_session(mapped) -> None:
    def empty(count: int) -> bytes:
        return b"".join(EvilRecords._record(mapped.records, b"") for _ in range(count))

    for _ in range(10):
        mapped.now += FLOOD_WINDOW
        mapped.to_client(empty(FLOOD_LIMIT))
    assert mapped.take(SessionFailed) == []
    assert mapped.session.map.last_received_at == 1000.0
    mapped.to_client(empty(1))
    (failed,) = mapped.take(SessionFailed)
    assert failed.reason is ExitReason.ERROR
    assert "empty records" in failed.detail


# Ends


def test_a_first_map_without_node_ends_the_session(control) -> None:
    control.send_map(b'{"Domain":"example.net"}')
    failed = control.failure()
    assert (failed.reason, failed.stage) == (ExitReason.ERROR, Stage.MAP)
    assert control.take(MapDocument) == []
    assert not control.session.had_map


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        encode_frame(b"[]", compress=True),
        encode_frame(b'{"Node":1}', compress=True),
        encode_frame(b"{" * 100_000, compress=True),
        encode_frame(b'{"Domain":"\xff"}', compress=True),
        encode_frame(FIRST_MAP, compress=False),
    ],
    ids=["zero length", "4 GiB", "no object", "wrong type", "too deep", "no UTF-8", "no zstd"],
)
def test_what_is_no_map_response_ends_the_session(control, data: bytes) -> None:
    control.send_map_bytes(data)
    assert control.failure().reason is ExitReason.ERROR


def test_good_documents_before_a_bad_one_are_handed_on(control) -> None:
    control.send_map(FIRST_MAP)
    control.send_map_bytes(b"\0\0\0\0")
    assert len(control.take(MapDocument)) == 1
    control.failure()


def test_a_few_bytes_that_hold_too_much_end_the_session() -> None:
    control = ScriptedControl(limits=SessionLimits(max_map_response=100_000)).start()
    bomb = b'{"Domain":"' + b"a" * 60_000 + b'","Node":{}}'
    control.send_map(bomb, bomb)
    assert "100000" in control.failure().detail


def test_the_end_of_the_stream_closes_the_session(mapped) -> None:
    mapped.http2.send_data(mapped.last.stream_id, b"", end=True)
    mapped.flush()
    failed = mapped.failure()
    assert failed.reason is ExitReason.CLOSED
    assert mapped.session.had_map


def test_a_reset_of_the_stream_closes_the_session(mapped) -> None:
    mapped.http2.reset(mapped.last.stream_id)
    mapped.flush()
    assert mapped.failure().reason is ExitReason.CLOSED


def test_goaway_closes_the_session(mapped) -> None:
    mapped.http2.goaway(0, b"restarting\x1b[2J")
    mapped.flush()
    failed = mapped.failure()
    assert failed.reason is ExitReason.CLOSED
    assert "restarting" in failed.detail
    assert "\x1b" not in failed.detail


def test_end_of_file_closes_a_map_session_and_says_what_was_cut(mapped) -> None:
    mapped.send_map_bytes(b"\x10\0\0\0abc")
    mapped.note(mapped.session.eof())
    failed = mapped.failure()
    assert failed.reason is ExitReason.CLOSED
    assert "inside a MapResponse" in failed.detail


def test_a_transport_error_closes_a_map_session(mapped) -> None:
    mapped.note(mapped.session.broken("Connection timed out"))
    assert mapped.failure().reason is ExitReason.CLOSED


def test_nothing_comes_after_the_end(mapped) -> None:
    mapped.note(mapped.session.broken("Connection reset by peer"))
    mapped.failure()
    session = mapped.session
    assert (
        session.receive(b"anything", 1.0)
        == session.eof()
        == session.broken("again")
        == session.expire(1e9)
        == []
    )
    assert session.data_to_send() == b""
    assert session.deadline() is None
    assert session.resync(1.0) == session.probe(1, 5, 1.0) == session.ask_truth(1.0) == []


def test_end_of_file_before_the_answer_is_a_failed_attempt() -> None:
    control = ScriptedControl()
    control.session.start(control.now)
    assert control.session.data_to_send().startswith(b"POST /ts2021 HTTP/1.1\r\n")
    control.note(control.session.eof())
    failed = control.failure()
    assert (failed.reason, failed.stage, failed.doubts_key) == (ExitReason.ERROR, Stage.HANDSHAKE, False)


SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n"
)


@given(
    st.one_of(
        st.binary(max_size=120),
        st.builds(lambda body: b"\x02\x00\x30" + body, st.binary(min_size=48, max_size=90)),
        st.builds(lambda text: b"\x03" + len(text).to_bytes(2, "big") + text, st.binary(max_size=60)),
        st.just(b""),
    )
)
def test_whatever_follows_101_and_is_no_proof_raises_doubt_about_the_key(answer: bytes) -> None:
    control = ScriptedControl(FRESH)
    control.note(control.session.start(control.now))
    control.note(control.session.receive(SWITCHED + answer, control.now))
    control.note(control.session.eof())
    assert control.take(ServerProved) == []
    failed = control.failure()
    assert (failed.reason, failed.stage, failed.doubts_key) == (ExitReason.ERROR, Stage.HANDSHAKE, True)


def test_a_reset_inside_the_handshake_raises_doubt_about_the_key_and_no_other_one_does(mapped) -> None:
    """A server that hangs up on what it cannot read may do so with a reset, or a proxy in front of it does."""
    for answer, doubts in ((b"", False), (SWITCHED, True), (SWITCHED + b"\x02\x00", True)):
        control = ScriptedControl(FRESH)
        control.note(control.session.start(control.now))
        control.note(control.session.receive(answer, control.now))
        control.note(control.session.broken("Connection reset by peer"))
        failed = control.failure()
        assert (failed.reason, failed.doubts_key) == (ExitReason.ERROR, doubts), answer
    mapped.note(mapped.session.broken("Connection reset by peer"))
    assert not mapped.failure().doubts_key


@pytest.mark.parametrize("registration", [FRESH, REGISTERED])
def test_the_key_is_proved_before_anything_is_asked(registration: Registration) -> None:
    control = ScriptedControl(registration)
    control.note(control.session.start(control.now))
    control.from_client(control.session.data_to_send())
    kinds = [type(event) for event in control.events]
    assert kinds == [StageEntered, ServerProved, StageEntered]
    assert control.take(ServerProved) == [
        ServerProved(SERVER_KEY.public(), required=registration.registered_node_key is None)
    ]
    assert control.requests == []


def test_an_upgrade_that_is_refused_hands_the_wait_on() -> None:
    control = ScriptedControl()
    control.session.start(control.now)
    control.note(
        control.session.receive(
            b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy", control.now
        )
    )
    failed = control.failure()
    assert (failed.reason, failed.retry_after) == (ExitReason.ERROR, 7)
    assert "503" in failed.detail


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b"node not found", ExitReason.REMOVED),
        (404, b"node key in request does not match", ExitReason.REMOVED),
        (400, b"node not found", ExitReason.REMOVED),
        (401, b"", ExitReason.REMOVED),
        (403, b"", ExitReason.REMOVED),
        (400, b"unsupported client version: 130", ExitReason.ERROR),
        (500, b"internal server error", ExitReason.ERROR),
    ],
)
def test_a_refused_map_request_says_whether_the_node_is_gone(
    control, status: int, body: bytes, reason
) -> None:
    control.answer(body, status)
    assert control.failure().reason is reason
    saved = control.take(SaveRegistration)
    if reason is ExitReason.REMOVED:
        assert saved[-1].registration.removed
        assert saved[-1].registration.registered_node_key is None
    else:
        assert saved == []


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "7", 7),
        (429, None, 7.5),
        (429, "soon", 7.5),
        (429, "999999", 7.5),
        (429, "0", 7.5),
        (503, "7", 7),
        (503, None, 0),
        (500, None, 0),
    ],
)
def test_a_server_may_ask_us_to_stay_away(control, status: int, header: str | None, seconds: float) -> None:
    control.answer(b"slow down", status, (("retry-after", header),) if header else ())
    failed = control.failure()
    assert (failed.reason, failed.retry_after) == (ExitReason.ERROR, seconds)


# Resync


def test_resync_opens_a_new_session_on_the_same_connection(mapped) -> None:
    first = mapped.last
    mapped.now += 50
    mapped.note(mapped.session.resync(mapped.now))
    mapped.settle()
    assert first.reset
    assert mapped.last.path == "/machine/map"
    assert mapped.last.body == first.body
    (entered,) = mapped.take(StageEntered)
    assert (entered.stage, entered.session, entered.since) == (Stage.MAP, 2, 1050.0)
    mapped.send_map(FIRST_MAP)
    (document,) = mapped.take(MapDocument)
    assert (document.session, document.number) == (2, 1)
    assert not mapped.session.over


def test_the_end_of_the_old_stream_is_ignored(mapped) -> None:
    first = mapped.last
    mapped.note(mapped.session.resync(mapped.now))
    # It was on its way already.
    mapped.http2.send_data(first.stream_id, encode_frame(KEEP_ALIVE, compress=True), end=True)
    mapped.flush()
    mapped.settle()
    assert mapped.take(MapDocument) == []
    assert not mapped.session.over


def test_a_resync_whose_answer_has_not_begun_is_not_asked_again(mapped) -> None:
    for _ in range(3):
        mapped.note(mapped.session.resync(mapped.now))
        mapped.settle()
    assert [request.path for request in mapped.requests] == ["/machine/map"] * 2


# Anything at all


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=400), max_size=6), st.booleans())
def test_arbitrary_bytes_before_the_handshake_only_end_the_session(pieces: list[bytes], closed: bool) -> None:
    control = ScriptedControl()
    control.session.start(control.now)
    control.session.data_to_send()
    for piece in pieces:
        control.note(control.session.receive(piece, control.now))
    if closed:
        control.note(control.session.eof())
    assert all(isinstance(event, SessionFailed) for event in control.events)
    assert len(control.events) == int(control.session.over)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600))
def test_arbitrary_plaintext_after_the_handshake_only_ends_the_session(data: bytes) -> None:
    control = ScriptedControl().start()
    control.events.clear()
    assert control.records is not None
    control.to_client(control.records.seal(data))
    assert all(isinstance(event, SessionFailed) for event in control.events)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600), st.booleans())
def test_arbitrary_map_bytes_only_end_the_session(data: bytes, framed: bool) -> None:
    # Constants of our own are among what is tried: an object may be a keep-alive.
    assume(not data.lstrip().startswith(b"{"))
    control = ScriptedControl().start()
    control.events.clear()
    control.send_map_bytes(encode_frame(data, compress=True) if framed and data else data)
    assert all(isinstance(event, SessionFailed) for event in control.events)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([200, 400, 404, 429, 500]))
def test_arbitrary_register_answers_never_raise(data: bytes, status: int) -> None:
    control = ScriptedControl(msgspec.structs.replace(FRESH)).start()
    control.answer(data, status)
    assert control.session.over or control.requests[-1].path.startswith("/machine/")
