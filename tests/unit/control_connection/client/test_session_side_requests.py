"""Probes, truth probes, pings and wishes of the server, beside a map session that goes on."""

from __future__ import annotations

import base64
import json
import random

import pytest

from netmap_actors.control_connection.client.events import (
    MapDocument,
    PingToAnswer,
    ProbeEnded,
    SaveRegistration,
    ServerWish,
    Truth,
    TruthLearned,
)
from netmap_actors.exit_reason import ExitReason
from netmap_actors.protocol.map_framing import encode_frame
from tests.support.servers.scripted_control import (
    FIRST_MAP,
    KEEP_ALIVE,
    LOGGED_IN,
    ScriptedControl,
    mapped_control,
)


@pytest.fixture
def mapped() -> ScriptedControl:
    """A registered node with its first map."""
    return mapped_control()


# Probes


def test_a_probe_that_is_answered_says_how_long_it_took(mapped) -> None:
    mapped.pings_heard = False
    mapped.session.probe(41, 5.0, mapped.now)
    mapped.settle()
    mapped.now += 0.25
    mapped.flush()
    assert mapped.take(ProbeEnded) == [ProbeEnded(41, True, 0.25)]
    mapped.wait(10)
    assert mapped.take(ProbeEnded) == []


def test_a_probe_without_answer_runs_out_and_the_session_goes_on(mapped) -> None:
    mapped.pings_heard = False
    mapped.session.probe(42, 5.0, mapped.now)
    mapped.settle()
    assert mapped.session.deadline() == 1005.0
    mapped.wait(5)
    assert mapped.take(ProbeEnded) == [ProbeEnded(42, False, 5.0)]
    assert not mapped.session.over


def test_a_probe_feeds_nothing(mapped) -> None:
    mapped.now = 1100.0
    mapped.session.probe(1, 5.0, mapped.now)
    mapped.settle()
    assert len(mapped.take(ProbeEnded)) == 1
    assert mapped.session.map.last_received_at == 1000.0


@pytest.mark.parametrize("arrived", [1, 40, 1000])
def test_bytes_of_a_map_answer_a_probe_and_feed_nothing(mapped, arrived: int) -> None:
    big = encode_frame(
        b'{"Domain":"' + random.Random(1).randbytes(2000).hex().encode() + b'"}', compress=True
    )
    mapped.send_map_bytes(big[:5])
    mapped.pings_heard = False
    mapped.session.probe(7, 5.0, mapped.now)
    mapped.settle()
    assert mapped.http2.data_to_send(), "the answer, which stands behind the map and comes too late"
    mapped.now += 4.0
    mapped.send_map_bytes(big[5 : 5 + arrived])
    assert mapped.take(ProbeEnded) == [ProbeEnded(7, True, 4.0)]
    mapped.wait(10.0)
    assert mapped.take(ProbeEnded) == []
    assert mapped.take(MapDocument) == []
    assert mapped.session.map.last_received_at == 1000.0


def without_the_answer_to_ping(control: ScriptedControl) -> None:
    control.pings_heard = False
    control.session.probe(7, 5.0, control.now)
    control.settle()
    assert control.http2.data_to_send()
    control.now += 1.0


def test_what_is_no_map_of_this_session_answers_no_probe(mapped) -> None:
    old = mapped.last
    mapped.note(mapped.session.resync(mapped.now))
    mapped.settle()
    mapped.send_map(FIRST_MAP)
    ask_truth(mapped)
    without_the_answer_to_ping(mapped)
    mapped.http2.ping(b"12345678")
    mapped.flush()
    mapped.http2.respond(mapped.last.stream_id, 200, (), b"{", end=False)
    mapped.flush()
    if not old.reset:
        mapped.send_map(KEEP_ALIVE, request=old)
    assert mapped.take(ProbeEnded) == []
    mapped.wait(4.0)
    assert mapped.take(ProbeEnded) == [ProbeEnded(7, False, 5.0)]


def test_the_body_of_a_refused_map_request_answers_no_probe() -> None:
    control = ScriptedControl().start()
    without_the_answer_to_ping(control)
    control.http2.respond(control.last.stream_id, 503, (), b"busy", end=False)
    control.flush()
    assert control.take(ProbeEnded) == []


def test_bytes_that_lay_in_the_socket_when_it_was_asked_answer_no_probe(mapped) -> None:
    frame = encode_frame(KEEP_ALIVE, compress=True)
    mapped.http2.send_data(mapped.last.stream_id, frame[:3])
    before = mapped.records.seal(mapped.http2.data_to_send())
    mapped.now += 600.0
    mapped.pings_heard = False
    mapped.session.probe(7, 5.0, mapped.now)
    mapped.from_client(mapped.session.data_to_send())
    assert mapped.http2.data_to_send()
    mapped.to_client(before)
    assert mapped.take(ProbeEnded) == []
    mapped.settle()
    mapped.wait(5.0)
    assert mapped.take(ProbeEnded) == [ProbeEnded(7, False, 5.0)]


# The truth probe


def ask_truth(control: ScriptedControl, wake: int = 0) -> None:
    control.note(control.session.ask_truth(control.now, wake))
    control.settle()


def test_the_truth_of_before_a_sleep_is_asked_again_after_it(mapped) -> None:
    ask_truth(mapped, wake=1)
    before = mapped.last
    ask_truth(mapped, wake=1)
    assert mapped.last is before
    mapped.now += 20.0
    ask_truth(mapped, wake=2)
    assert before.reset
    mapped.wait(29.0)
    assert mapped.take(TruthLearned) == []
    mapped.answer(LOGGED_IN)
    assert mapped.take(TruthLearned) == [TruthLearned(Truth.ALIVE, "")]
    mapped.wait(60.0)
    assert mapped.take(TruthLearned) == []


def test_the_truth_probe_asks_with_nothing_that_changes_the_node(mapped) -> None:
    ask_truth(mapped)
    assert mapped.last.path == "/machine/register"
    assert set(mapped.last.json) == {"Version", "NodeKey", "Hostinfo"}
    mapped.answer(LOGGED_IN)
    assert mapped.take(TruthLearned) == [TruthLearned(Truth.ALIVE, "")]
    assert mapped.take(SaveRegistration) == []


def test_a_login_url_in_answer_to_the_truth_probe_means_removed(mapped) -> None:
    ask_truth(mapped)
    mapped.answer({"AuthURL": "http://control.example:8080/register/x"})
    assert [learned.truth for learned in mapped.take(TruthLearned)] == [Truth.REMOVED]
    assert mapped.failure().reason is ExitReason.REMOVED
    assert mapped.take(SaveRegistration)[-1].registration.removed


def test_an_expired_key_in_answer_to_the_truth_probe_means_expired(mapped) -> None:
    ask_truth(mapped)
    mapped.answer({"NodeKeyExpired": True})
    assert [learned.truth for learned in mapped.take(TruthLearned)] == [Truth.EXPIRED]
    assert mapped.failure().reason is ExitReason.EXPIRED
    saved = mapped.take(SaveRegistration)[-1].registration
    assert saved.registered_node_key is None
    assert not saved.removed


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"null"),
        (200, b"{}"),
        (200, b"<html>"),
        (200, b'{"Error":"database is locked"}'),
        (429, b"slow down"),
        (500, b"internal server error"),
    ],
)
def test_an_answer_that_proves_nothing_is_never_a_verdict(mapped, status: int, body: bytes) -> None:
    ask_truth(mapped)
    mapped.answer(body, status)
    assert [learned.truth for learned in mapped.take(TruthLearned)] == [Truth.UNANSWERED]
    assert not mapped.session.over


def test_a_truth_probe_without_answer_runs_out(mapped) -> None:
    ask_truth(mapped)
    ask_truth(mapped)
    assert len([r for r in mapped.requests if r.path == "/machine/register"]) == 1
    mapped.wait(30)
    assert [learned.truth for learned in mapped.take(TruthLearned)] == [Truth.UNANSWERED]
    assert mapped.last.reset
    ask_truth(mapped)
    mapped.answer(LOGGED_IN)
    assert [learned.truth for learned in mapped.take(TruthLearned)] == [Truth.ALIVE]


def test_a_server_that_admits_one_request_at_a_time_keeps_its_session(mapped) -> None:
    mapped.http2._h2.update_settings({3: 1})  # MAX_CONCURRENT_STREAMS
    mapped.http2._collect()
    mapped.flush()
    mapped.settle()
    ask_truth(mapped)
    assert [learned.truth for learned in mapped.take(TruthLearned)] == [Truth.UNANSWERED]
    mapped.send_map(with_ping(URL="https://unused/path", URLIsNoise=True))
    assert [wish.wish for wish in mapped.take(ServerWish)] == ["ping"]
    assert not mapped.session.over
    mapped.note(mapped.session.resync(mapped.now))
    mapped.settle()
    mapped.send_map(FIRST_MAP)
    assert mapped.session.map.had_map


# What the server asks for


def with_ping(**ping: object) -> bytes:
    return json.dumps({"KeepAlive": True, "PingRequest": ping}).encode()


def test_f27_a_ping_on_a_keep_alive_is_answered(mapped) -> None:
    url = "http://control.example:8080/machine/ping-response?id=1"
    mapped.send_map(with_ping(URL=url))
    assert mapped.take(PingToAnswer) == [PingToAnswer(url)]
    assert len(mapped.take(MapDocument)) == 1


def test_the_same_ping_is_answered_once(mapped) -> None:
    ping = with_ping(URL="http://control.example:8080/machine/ping-response?id=1")
    mapped.send_map(ping, ping)
    assert len(mapped.take(PingToAnswer)) == 1


def test_a_ping_over_noise_goes_out_on_the_same_connection(mapped) -> None:
    mapped.send_map(with_ping(URL="https://unused/some/path?x=1", URLIsNoise=True))
    assert (mapped.last.method, mapped.last.path) == ("HEAD", "/some/path?x=1")
    mapped.answer(b"")
    assert not mapped.session.over


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://control.example/other-port",
        "https://control.example:8080/other-scheme",
        "http://control.example:8080@evil.example/",
        "file:///etc/passwd",
        "http://control.example:8080/\nHost: x",
    ],
)
def test_a_ping_that_leads_elsewhere_is_declined(mapped, url: str) -> None:
    mapped.send_map(with_ping(URL=url))
    assert mapped.take(PingToAnswer) == []
    assert [wish.wish for wish in mapped.take(ServerWish)] == ["ping"]
    assert len(mapped.requests) == 1


def test_pings_are_limited_in_number(mapped) -> None:
    for i in range(50):
        mapped.send_map(with_ping(URL=f"http://control.example:8080/machine/ping-response?id={i}"))
    assert len(mapped.take(PingToAnswer)) == 20
    mapped.now += 61
    mapped.send_map(with_ping(URL="http://control.example:8080/machine/ping-response?id=last"))
    assert len(mapped.take(PingToAnswer)) == 1


@pytest.mark.parametrize(
    ("request_bytes", "status", "body"),
    [
        (b"POST /echo HTTP/1.1\r\nHost: \r\nContent-Length: 3\r\n\r\nabc", b"200", b"abc"),
        (
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"200",
            b"abc",
        ),
        (b"GET /debug/goroutines HTTP/1.1\r\nHost: x\r\n\r\n", b"400", b"unknown c2n path\n"),
    ],
)
def test_c2n_knows_echo_and_nothing_else(mapped, request_bytes: bytes, status: bytes, body: bytes) -> None:
    payload = base64.b64encode(request_bytes).decode()
    mapped.send_map(with_ping(URL="https://unused/c2n/token", Types="c2n", Payload=payload))
    assert (mapped.last.method, mapped.last.path) == ("POST", "/c2n/token")
    head, _, content = mapped.last.body.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert content == body


def test_f28_what_the_server_wishes_for_our_process_is_only_noted(mapped) -> None:
    mapped.send_map(b'{"Debug":{"Exit":1,"SleepSeconds":1e9},"PopBrowserURL":"https://x.example/\\u001b[2J"}')
    wishes = {wish.wish: wish.detail for wish in mapped.take(ServerWish)}
    assert set(wishes) == {"debug_exit", "debug_sleep", "pop_browser_url"}
    assert "\x1b" not in wishes["pop_browser_url"]
    assert not mapped.session.over
