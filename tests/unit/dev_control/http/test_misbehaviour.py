"""Each fault of the embedded control server, as its client sees it."""

from __future__ import annotations

import datetime
import fcntl
import json
import socket
import struct
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.errors import BadMapResponse, RemoteProtocolError
from netmap_actors.protocol.http2.connection import STREAM_WINDOW
from netmap_actors.protocol.noise import HandshakeRefused
from netmap_actors.protocol.upgrade import UnexpectedStatus
from tests.support.clients.control_client import Closed, ControlClient, Node, Response, fetch_key, joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=3, keep_alive=0.2, keep_alive_jitter=0.0, batch_delay=0.005) as running:
        yield running


def stream_ends_with(error: type[Exception], says: str | None = None) -> Any:
    def check(_server: RunningServer, client: ControlClient, _stream: Response) -> None:
        with pytest.raises(error, match=says):
            client.wait(lambda: False)

    return check


def nothing_comes(server: RunningServer, client: ControlClient, stream: Response) -> None:
    messages = len(stream.messages)
    quiet = client.silent_for(0.5) or client.silent_for(0.5)
    assert quiet
    assert len(stream.messages) == messages
    server.heal()
    client.message(stream, messages)


def only_noise_comes(server: RunningServer, client: ControlClient, stream: Response) -> None:
    messages, received, empty = len(stream.messages), client.bytes_received, client.records.empty_records
    client.wait(lambda: client.bytes_received > received + 100)
    with pytest.raises(TimeoutError):
        client.wait(lambda: len(stream.messages) > messages, 0.5)
    assert client.records.empty_records == empty or "liveness/empty-records" in server.clients()[0].faults
    server.heal()
    client.message(stream, messages)


def half_a_frame_comes(_server: RunningServer, client: ControlClient, stream: Response) -> None:
    messages = len(stream.messages)
    client.wait(lambda: stream.frames is not None and stream.frames.partial)
    with pytest.raises(TimeoutError):
        client.wait(lambda: len(stream.messages) > messages, 0.5)


def goaway_comes(_server: RunningServer, client: ControlClient, _stream: Response) -> None:
    client.wait(lambda: client.goaway is not None)
    assert client.goaway is not None
    assert client.silent_for(0.3), "and TCP stays open"


def reset_comes(_server: RunningServer, client: ControlClient, stream: Response) -> None:
    client.wait(lambda: stream.reset == 2)
    assert client.register()["MachineAuthorized"], "the connection is well"


def end_comes(_server: RunningServer, client: ControlClient, stream: Response) -> None:
    client.wait(lambda: stream.ended)


def node_is_gone(server: RunningServer, client: ControlClient, stream: Response) -> None:
    messages = len(stream.messages)
    client.message(stream, messages + 2)
    assert all(message == {"KeepAlive": True} for message in stream.messages[messages + 1 :])
    assert client.register()["AuthURL"]
    assert client.answer("/machine/map", client.map_body(Stream=False, OmitPeers=True)).status == 404


FAULTS_ON_A_LIVE_STREAM: dict[str, tuple[dict[str, Any], Any]] = {
    "liveness/silence": ({}, nothing_comes),
    "liveness/pings-only": ({"period": 0.02}, only_noise_comes),
    "liveness/settings-only": ({"period": 0.02}, only_noise_comes),
    "liveness/window-updates-only": ({"period": 0.02}, only_noise_comes),
    "liveness/empty-records": ({"period": 0.02}, only_noise_comes),
    "liveness/half-frame": ({}, half_a_frame_comes),
    "liveness/slow-drip": ({"period": 0.02}, half_a_frame_comes),
    "session/cut": ({}, stream_ends_with(Closed, "reset")),
    "session/eof": ({}, stream_ends_with(Closed, "eof")),
    "session/cut-mid-record": ({}, stream_ends_with(Closed, "eof")),
    "session/goaway": ({"code": 0}, goaway_comes),
    "session/rst-stream": ({"code": 2}, reset_comes),
    "session/end-stream": ({}, end_comes),
    "input/oversized-frame": ({}, stream_ends_with(BadMapResponse, "4294967295")),
    "input/zero-frame": ({}, stream_ends_with(BadMapResponse, "zero")),
    "input/zstd-bomb": ({}, stream_ends_with(BadMapResponse)),
    "input/two-zstd-frames": ({}, stream_ends_with(BadMapResponse, "behind the end")),
    "input/bad-json": ({}, stream_ends_with(json.JSONDecodeError)),
    "input/corrupt-record": ({}, stream_ends_with(RemoteProtocolError, "tag")),
    "input/oversized-record": ({}, stream_ends_with(RemoteProtocolError, "4094")),
    "input/flood": ({"count": 3000}, stream_ends_with(RemoteProtocolError, "control frames")),
    "identity/deleted-but-fed": ({}, node_is_gone),
}


@pytest.mark.parametrize("name", FAULTS_ON_A_LIVE_STREAM)
def test_a_fault_on_a_live_stream(server: RunningServer, name: str) -> None:
    given, check = FAULTS_ON_A_LIVE_STREAM[name]
    client, stream = joined(server)
    assert server.fault(name, client="client", **given) == 1
    check(server, client, stream)
    client.close()
    other, _ = joined(server, "other")
    other.close()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("map/first-without-node", {"Peers", "DNSConfig"}),
        ("map/deltas-only", {"OnlineChange", "ControlTime"}),
        ("map/keep-alives-only", {"KeepAlive"}),
    ],
)
def test_a_stream_that_begins_wrongly(server: RunningServer, name: str, fields: set[str]) -> None:
    server.fault(name, times=1)
    client, stream = joined(server)
    assert fields <= set(stream.messages[0])
    assert "Node" not in stream.messages[0]
    if name == "map/keep-alives-only":
        server.tailnet.add_node("unseen")
        client.message(stream, 3)
        assert all(message == {"KeepAlive": True} for message in stream.messages)
    healthy = client.map()
    assert "Node" in client.message(healthy, 0)
    client.close()


def test_headers_that_never_come(server: RunningServer) -> None:
    server.fault("liveness/headers-never")
    client = ControlClient(server.url, Node())
    client.register(server.auth_key)
    stream = client.map()
    client.http2.ping(b"12345678")
    client.wait(lambda: client.pings_acked == 1)
    assert stream.status is None
    server.heal()
    client.message(stream, 0)
    client.close()


@pytest.mark.parametrize("moment", ["map", "register", "upgrade"])
@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_status_instead_of_an_answer(server: RunningServer, moment: str, status: int) -> None:
    server.fault("refusal/status", moment=moment, status=status, retry_after="7", body="no", times=1)
    if moment == "upgrade":
        with pytest.raises(UnexpectedStatus) as caught:
            ControlClient(server.url, Node())
        assert (caught.value.status, caught.value.retry_after, caught.value.excerpt) == (status, 7.0, "no")
        return
    client = ControlClient(server.url, Node())
    if moment == "map":
        client.register(server.auth_key)
    body = client.map_body() if moment == "map" else client.register_body(server.auth_key)
    answer = client.answer(f"/machine/{moment}", body)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (status, "7", b"no")
    client.close()


def test_register_can_be_answered_with_null_or_an_error_or_never(server: RunningServer) -> None:
    client = ControlClient(server.url, Node())
    server.fault("register/null", times=1)
    assert client.answer("/machine/register", client.register_body(server.auth_key)).body == b"null"
    server.fault("register/error", text="authkey revoked", times=1)
    assert client.register(server.auth_key) == {"Error": "authkey revoked"}
    server.fault("register/never", times=1)
    lost = client.request("/machine/register", client.register_body(server.auth_key))
    assert client.register(server.auth_key)["MachineAuthorized"]
    assert lost.status is None
    client.close()


def test_a_changed_key_is_shown_and_refuses_the_old_one(server: RunningServer) -> None:
    old = server.server_key
    server.fault("identity/server-key-changed")
    new = fetch_key(server.url)
    assert new != old
    with pytest.raises(HandshakeRefused):
        ControlClient(server.url, Node(), old)
    ControlClient(server.url, Node(), new).close()
    server.heal()
    assert fetch_key(server.url) == old


@pytest.mark.parametrize("moment", ["accept", "upgrade", "noise"])
def test_silence_from_the_beginning(server: RunningServer, moment: str) -> None:
    key = server.server_key
    server.fault("liveness/silence", moment=moment, scope="later")
    with socket.create_connection(("127.0.0.1", server.port), 10.0) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        if moment == "accept":
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.recv(1)
        else:
            assert sock.recv(1) == b"H"
    server.heal()
    ControlClient(server.url, Node(), key).close()


def test_dropping_all_is_a_reset_for_everybody(server: RunningServer) -> None:
    clients = [joined(server, f"node-{number}") for number in range(3)]
    assert server.drop_all() == 3
    for client, _ in clients:
        with pytest.raises(Closed, match="reset"):
            client.wait(lambda: False)
    assert server.clients() == []


def test_a_message_of_ones_own(server: RunningServer) -> None:
    client, stream = joined(server)
    assert server.raw('{"Debug":{"Exit":1}}') == 1
    client.wait(lambda: {"Debug": {"Exit": 1}} in stream.messages)
    client.close()


def test_a_live_stream_may_be_fed_by_keep_alives_or_by_deltas_alone(server: RunningServer) -> None:
    client, stream = joined(server)
    server.fault("map/keep-alives-only")
    server.tailnet.add_node("unseen")
    told = len(stream.messages)
    client.message(stream, told + 2)
    assert all(message == {"KeepAlive": True} for message in stream.messages[told:])
    server.heal()
    client.wait(lambda: "unseen" in json.dumps(stream.messages))
    server.fault("map/deltas-only")
    told = len(stream.messages)
    client.message(stream, told + 3)
    assert all(set(message) == {"ControlTime"} for message in stream.messages[told + 1 :])
    client.close()


def test_a_fault_counts_those_it_struck_at_once(server: RunningServer) -> None:
    client, _ = joined(server)
    assert server.fault("map/keep-alives-only", times=1) == 1
    other, stream = joined(server, "other")
    assert "Node" in stream.messages[0]
    other.close()
    client.close()


def test_in_a_black_hole_nothing_is_answered_nor_acknowledged(server: RunningServer) -> None:
    client, stream = joined(server)
    other, live = joined(server, "other")
    received = server.clients()[0].bytes_received
    assert server.fault("liveness/black-hole", client="client") == 1
    told = len(stream.messages)
    client.http2.ping(b"12345678")
    assert client.silent_for(0.6) or client.silent_for(0.6)
    assert unacknowledged(client.sock) > 0, "not even TCP answers"
    other.message(live, len(live.messages) + 1)  # the others live on
    assert server.clients()[0].bytes_received == received
    server.heal()
    client.wait(lambda: client.pings_acked == 1 and len(stream.messages) > told)
    assert "liveness/black-hole" in server.clients()[0].faults
    client.close()
    other.close()


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the other side's TCP has not acknowledged (SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])


def test_the_whole_map_comes_before_each_session_is_closed(server: RunningServer) -> None:
    open_before, _ = joined(server, "before")
    assert server.fault("session/map-then-close") == 1
    with pytest.raises(Closed, match="eof"):
        open_before.wait(lambda: False)
    for _ in range(2):
        client = ControlClient(server.url, Node())
        client.register(server.auth_key)
        stream = client.map()
        with pytest.raises(Closed, match="eof"):
            client.wait(lambda: False)
        assert "Node" in stream.messages[0]
        client.close()
    server.heal()
    healthy, _ = joined(server)
    healthy.close()


def test_a_map_larger_than_the_window_comes_as_a_whole_before_the_close() -> None:
    with running_server(nodes=10_000) as server:
        server.fault("session/map-then-close")
        client = ControlClient(server.url, Node())
        client.register(server.auth_key)
        stream = client.map(Compress="")
        with pytest.raises(Closed, match="eof"):
            client.wait(lambda: False)
        assert len(stream.body) == 4 + int.from_bytes(stream.body[:4], "little")
        assert len(stream.body) > STREAM_WINDOW
        client.close()


@pytest.mark.parametrize("seconds", [None, -86400.0])
def test_a_clock_that_is_wrong_in_maps_and_deltas(server: RunningServer, seconds: float | None) -> None:
    open_before, live = joined(server, "before")
    told = len(live.messages)
    server.fault("liveness/clock-wrong", **({} if seconds is None else {"seconds": seconds}))
    open_before.wait(lambda: any("ControlTime" in message for message in live.messages[told:]))
    client, stream = joined(server)
    server.tailnet.add_node("new")
    client.told(stream, lambda message: "PeersChanged" in message)
    wrong = [*live.messages[told:], *stream.messages]
    errors = [clock_error(message) for message in wrong if "ControlTime" in message]
    assert len(errors) >= 3
    expected = 365 * 86400 if seconds is None else seconds
    assert all(abs(error - expected) < 60 for error in errors)
    server.heal()
    server.tailnet.add_node("newer")
    assert abs(clock_error(client.told(stream, lambda message: "newer" in json.dumps(message)))) < 60
    client.close()
    open_before.close()


def clock_error(message: dict[str, Any]) -> float:
    return datetime.datetime.fromisoformat(message["ControlTime"]).timestamp() - time.time()


def test_a_ping_request_that_leads_elsewhere(server: RunningServer) -> None:
    client, stream = joined(server)
    assert server.fault("map/foreign-ping", url="http://127.0.0.1:9/elsewhere") == 1
    expected = {"URL": "http://127.0.0.1:9/elsewhere", "URLIsNoise": False, "Types": ""}
    assert client.told(stream, lambda message: "PingRequest" in message) == {"PingRequest": expected}
    client.close()


def test_a_clients_own_ping_is_seen_and_whether_it_was_answered(server: RunningServer) -> None:
    client, _stream = joined(server)
    client.http2.ping(b"12345678")
    client.wait(lambda: client.pings_acked == 1)
    server.fault("liveness/silence")
    client.http2.ping(b"abcdefgh")
    with pytest.raises(TimeoutError):
        client.wait(lambda: client.pings_acked == 2, 0.2)
    wait_for(lambda: len(server.seen("ping")) == 2, 5.0, "the second PING")
    assert [event.detail for event in server.seen("ping")] == ["", "unanswered"]
