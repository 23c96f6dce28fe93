"""What a running server remembers for a timeline: faults and their end, refusals, and on demand what it sent."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.faults.catalogue import FAULTS
from netmap_actors.dev_control.http.sent_labels import map_label, register_label
from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.errors import NetmapError
from netmap_actors.protocol.noise import HandshakeRefused
from tests.support.clients.control_client import Closed, ControlClient, Node, Response, fetch_key, joined
from tests.support.servers.http2_pair import END_HEADERS, END_STREAM, GOAWAY, HEADERS, frame, headers
from tests.support.servers.quick_server import QUICK
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netmap_actors.dev_control.http.state import Seen

LIMIT = 10.0
WHAT_A_CLIENT_MAY_MEET = (NetmapError, OSError, Closed, ValueError, TimeoutError, AssertionError)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=3, options=QUICK) as running:
        yield running


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def awaited(server: RunningServer, kind: str, says: str = "") -> Seen:
    """The first event of this kind whose detail holds these words."""
    return wait_for(
        lambda: next((one for one in server.seen(kind) if says in one.detail), None), LIMIT, f"{kind} {says}"
    )


# Faults


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_there_before_what_it_does(server: RunningServer, name: str) -> None:
    began = now()
    # Without what it carries the fault is enough: it may be injected before or behind the client's steps.
    client, _ = joined(server)
    with client:
        struck = server.fault(name)
        if not struck:
            with contextlib.suppress(*WHAT_A_CLIENT_MAY_MEET):
                fetch_key(server.url)
            with contextlib.suppress(*WHAT_A_CLIENT_MAY_MEET):
                again = ControlClient(server.url, client.node, server.server_key, patience=2.0)
                again.request("/machine/register", again.register_body(server.auth_key))
                again.map()
                again.wait(lambda: server.seen("fault"), LIMIT)
        event = awaited(server, "fault", name)
        assert event.detail.split()[0] == name
        assert event.connection > 0
        assert event.remote
        assert began <= event.at <= now()


def test_a_fault_comes_before_the_end_it_makes_and_its_time_too(server: RunningServer) -> None:
    client, _ = joined(server)
    before = now()
    assert server.fault("session/cut") == 1
    end = awaited(server, "end", "fault session/cut")
    (event,) = server.seen("fault")
    assert server.seen().index(event) < server.seen().index(end)
    assert before <= event.at <= end.at
    assert event.connection == end.connection
    client.close()


def test_a_fault_says_what_it_is_made_of(server: RunningServer) -> None:
    server.fault("refusal/status", status=429, retry_after="7")
    client = ControlClient(server.url, Node())
    client.register(server.auth_key)
    assert client.answer("/machine/map", client.map_body()).status == 429
    (event,) = server.seen("fault")
    assert event.detail == "refusal/status status=429 retry_after=7"
    client.close()


def test_what_could_concern_nobody_is_no_fault(server: RunningServer) -> None:
    client = ControlClient(server.url, Node())
    assert server.fault("liveness/half-frame") == 0
    assert server.seen("fault") == []
    client.close()


def test_healing_is_seen_where_a_fault_was(server: RunningServer) -> None:
    under, _ = joined(server, "under")
    beside, _ = joined(server, "beside")
    server.fault("liveness/pings-only", client="under")
    server.fault("liveness/silence", client="under")
    server.fault("register/null")
    assert server.heal() == 3
    heals = server.seen("heal")
    number = next(one.number for one in server.clients() if "under" in one.names)
    assert [(event.connection, event.detail) for event in heals] == [
        (0, "1 planned fault"),
        (number, "liveness/pings-only liveness/silence"),
    ]
    server.heal()
    assert server.seen("heal") == heals, "there was nothing to heal"
    under.close()
    beside.close()


# Refusals


def plain(server: RunningServer, data: bytes) -> None:
    """Send these bytes and read until the server has answered."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        sock.sendall(data.replace(b"\n", b"\r\n") if data[:1].isalpha() else data)
        sock.recv(65536)


UPGRADE = b"POST /ts2021 HTTP/1.1\nHost: x\nUpgrade: tailscale-control-protocol\nConnection: upgrade\n"
PLAIN = {
    "another path": (b"GET /nothing?auth=secret HTTP/1.1\nHost: x\n\n", "404 GET /nothing: not found"),
    "no version": (b"GET /key?v=new HTTP/1.1\nHost: x\n\n", "400 GET /key: invalid capability version"),
    "another method": (b"POST /key?v=1 HTTP/1.1\nHost: x\n\n", "405 POST /key: method not allowed"),
    "a login that is over": (b"GET /auth/x HTTP/1.1\nHost: x\n\n", "404 GET /auth/x: Not Found"),
    "an unknown ping": (
        b"HEAD /machine/ping-response?id=1 HTTP/1.1\nHost: x\n\n",
        "404 HEAD /machine/ping-response: unknown ping",
    ),
    "an upgrade by GET": (
        b"GET /ts2021 HTTP/1.1\nHost: x\n\n",
        "405 GET /ts2021: cannot upgrade: the method is not POST",
    ),
    "no upgrade": (
        b"POST /ts2021 HTTP/1.1\nHost: x\n\n",
        "400 POST /ts2021: cannot upgrade: there is no Upgrade header; does a proxy strip it?",
    ),
    "no handshake": (
        UPGRADE + b"\n",
        "400 POST /ts2021: cannot upgrade: there is no X-Tailscale-Handshake header",
    ),
    "half a handshake": (
        UPGRADE + b"X-Tailscale-Handshake: AAAA\n\n",
        "400 POST /ts2021: cannot upgrade: X-Tailscale-Handshake holds 3 bytes, not 101",
    ),
    "no HTTP": (b"nonsense\n\n", "400: cannot read the request: it breaks HTTP/1.1 or a limit of ours"),
    "a folded line": (
        b"GET / HTTP/1.1\nHost: x\nA: b\n c\n\n",
        "400: cannot read the request: a line of the head begins with a space",
    ),
    "TLS": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        (
            "400: cannot read the request: a line of the head does not end with CR LF, or holds a control character; "
            "it is TLS, and this port speaks plain HTTP"
        ),
    ),
}


@pytest.mark.parametrize(("data", "detail"), PLAIN.values(), ids=PLAIN)
def test_what_is_refused_before_noise_is_seen_with_status_and_reason(
    server: RunningServer, data: bytes, detail: str
) -> None:
    plain(server, data)
    (event,) = server.seen("refused")
    assert event.detail == detail
    assert event.connection == 1


def register(
    key: str = "devkey-auth-unknown", **fields: Any
) -> Callable[[RunningServer, ControlClient], Any]:
    return lambda _, client: client.answer("/machine/register", client.register_body(key, **fields))


def ask(path: str, body: object, method: str = "POST") -> Callable[[RunningServer, ControlClient], Any]:
    return lambda _, client: client.answer(path, body, method=method)


def spent_key(server: RunningServer, client: ControlClient) -> None:
    key = server.call(lambda it: it.add_auth_key(reusable=False))
    with ControlClient(server.url, Node("earlier"), server.server_key) as earlier:
        earlier.register(key)
    client.register(key)


def of_another(server: RunningServer, client: ControlClient) -> None:
    with joined(server, "other")[0] as other:
        client.answer("/machine/map", client.map_body(NodeKey=other.node.key))


def raw_frame(block: bytes) -> Callable[[RunningServer, ControlClient], None]:
    def send(_: RunningServer, client: ControlClient) -> None:
        client.http2.request("POST", "/")
        client.http2.data_to_send()  # it goes out in another form
        client.responses[1] = response = Response(compressed=False)
        client.sock.sendall(client.records.seal(block))
        with contextlib.suppress(Closed):
            client.wait(lambda: response.reset is not None)

    return send


def garbage(_: RunningServer, client: ControlClient) -> None:
    client.sock.sendall(b"\x04\x00\x20" + bytes(32))
    with contextlib.suppress(Closed):
        client.wait(lambda: False)


INSIDE: dict[str, tuple[Callable[[RunningServer, ControlClient], Any], str]] = {
    "an unknown key": (register(), "200 /machine/register: invalid pre auth key"),
    "a spent key": (spent_key, "200 /machine/register: authkey already used"),
    "an old client": (register(Version=30), "400 /machine/register: unsupported client version: capability "),
    "no JSON": (ask("/machine/register", b"{"), "400 /machine/register: cannot read the request: "),
    "nobody's map": (
        ask("/machine/map", {"Version": 130, "NodeKey": f"nodekey:{1:064x}"}),
        "404 /machine/map: node ",
    ),
    "the map of another": (
        of_another,
        "404 /machine/map: node key in request does not match the machine key",
    ),
    "a map by GET": (ask("/machine/map", {}, "GET"), "405 /machine/map: method not allowed"),
    "what headscale has not either": (
        ask("/machine/set-dns", {}),
        "501 /machine/set-dns: Not implemented yet",
    ),
    "another path": (ask("/key", {}), "404 /key: not found"),
    "an answer nobody asked for": (ask("/c2n/1", b"HTTP/1.1 200 OK\r\n\r\n"), "500 /c2n/1: unknown ping"),
    "a malformed request": (
        raw_frame(frame(HEADERS, END_HEADERS | END_STREAM, 1, headers((":method", "GET"), (":path", "/")))),
        "RST_STREAM: Header block missing mandatory b':scheme' header",
    ),
    "a frame that is too long": (
        raw_frame(frame(GOAWAY, 0, 0, bytes(20_000))[:9]),
        "GOAWAY: cannot read HTTP/2: frame type 7 of 20000 bytes, limit is 16384",
    ),
    "a record that nobody sealed": (garbage, "cannot "),
}


@pytest.mark.parametrize(("do", "detail"), INSIDE.values(), ids=INSIDE)
def test_what_is_refused_inside_noise_is_seen_with_status_and_reason(
    server: RunningServer, do: Callable[[RunningServer, ControlClient], Any], detail: str
) -> None:
    with ControlClient(server.url, Node(), server.server_key) as client:
        do(server, client)
        event = awaited(server, "refused")
        assert event.detail.startswith(detail)
        assert event.remote == client.local_address
        assert len(server.seen("refused")) == 1


def test_a_handshake_with_another_key_is_refused_in_words(server: RunningServer) -> None:
    with pytest.raises(HandshakeRefused):
        ControlClient(server.url, Node(), Node().machine.public())
    (event,) = server.seen("refused")
    assert event.detail.startswith("cannot ")
    assert "handshake" in event.detail


def test_an_answer_that_a_fault_gives_is_no_refusal_of_the_servers(server: RunningServer) -> None:
    server.fault("refusal/status", status=404)
    server.fault("register/error")
    with ControlClient(server.url, Node(), server.server_key) as client:
        assert client.register(server.auth_key)["Error"]
        server.heal(fault="register/error")
        client.register(server.auth_key)
        assert client.answer("/machine/map", client.map_body()).status == 404
    assert server.seen("refused") == []
    assert len(server.seen("fault")) == 2


def test_no_auth_key_is_ever_in_what_was_seen(server: RunningServer) -> None:
    client, _ = joined(server)
    with client:
        client.answer("/machine/register", {"Version": 130, "Auth": {"AuthKey": "devkey-auth-x"}})
        plain(server, b"GET /devkey?key=devkey-auth-x HTTP/1.1\nHost: x\n\n")
    shown = " ".join(event.detail for event in server.seen())
    assert "devkey-auth" not in shown
    assert server.auth_key not in shown


# What was sent


def test_nothing_that_was_sent_is_kept_unless_asked_for(server: RunningServer) -> None:
    joined(server)[0].close()
    assert server.seen("sent") == []


def test_a_trace_tells_who_sent_what_in_order() -> None:
    with running_server(
        nodes=2, trace=True, keep_alive=60.0, keep_alive_jitter=0.0, batch_delay=0.005
    ) as server:
        client, stream = joined(server)
        with client:
            first, second = [node.id for node in server.nodes() if not node.registered]
            server.tailnet.rename(first, "renamed")
            client.message(stream, 1)
            server.tailnet.remove_node(second)
            client.message(stream, 2)
            server.raw('{"KeepAlive":true}')
            client.message(stream, 3)
            client.answer("/machine/map", client.map_body(Stream=False, OmitPeers=True))
            assert client.answer("/machine/nothing", {}).status == 501
            assert server.fault("session/rst-stream", code=7) == 1
            client.wait(lambda: stream.reset is not None)
            number = server.clients()[0].number
            events = server.seen()
    told = [f"{one.kind} {one.detail}" for one in events if one.connection == number]
    assert [words.replace(client.node.key, "KEY") for words in told if not words.startswith("upgrade")] == [
        "accept ",
        "sent 101 /ts2021",
        "register KEY auth",
        "sent 200 /machine/register: MachineAuthorized",
        "map KEY host:client",
        "sent full map, 2 peers",
        "sent PeersChanged 1",
        "sent PeersRemoved 1",
        "sent KeepAlive",
        "lite KEY host:client",
        "sent 200 /machine/map",
        "refused 501 /machine/nothing: Not implemented yet",
        "sent 501 /machine/nothing",
        "fault session/rst-stream code=7",
        "sent RST_STREAM 7",
    ]
    assert "sent 200 /key" in [f"{one.kind} {one.detail}" for one in events if one.connection != number]
    assert [one.at for one in events] == sorted(one.at for one in events)


@pytest.mark.parametrize(
    ("json", "label"),
    [
        (b'{"KeepAlive":true}', "KeepAlive"),
        (b'{"ControlTime":"2026-01-02T03:04:05Z"}', "ControlTime"),
        (b'{"Node":{},"DERPMap":{},"PeersRemoved":[1]}', "full map, 0 peers"),
        (b'{"Node":{},"DERPMap":{},"Peers":[{},{}]}', "full map, 2 peers"),
        (b'{"Node":{},"ControlTime":""}', "Node"),
        (b'{"PeersChangedPatch":[{}],"OnlineChange":{"1":true}}', "PeersChangedPatch 1, OnlineChange 1"),
        (b'{"Peers":null}', "Peers"),
        (b'{"Peers":null,"DERPMap":1,"Node":1}', "full map, 0 peers"),
        (b'{"\\u001b[31m":1}', "\\x1b[31m"),
        (b"{}", "nothing"),
        (b"[]", "no JSON object"),
        (b"{", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b'{"Node":1,"DERPMap":1,"Peers":7}', "full map, 0 peers"),
    ],
)
def test_a_message_in_a_few_words(json: bytes, label: str) -> None:
    assert map_label(json) == label


@pytest.mark.parametrize(
    ("json", "label"),
    [
        (b'{"Error":"authkey expired"}', "Error authkey expired"),
        (b'{"AuthURL":"http://x/auth/1","MachineAuthorized":false}', "AuthURL"),
        (b'{"NodeKeyExpired":true}', "NodeKeyExpired"),
        (b'{"MachineAuthorized":true}', "MachineAuthorized"),
        (b'{"MachineAuthorized":false}', "waits for approval"),
        (b"null", "no JSON object"),
    ],
)
def test_an_answer_to_register_in_a_few_words(json: bytes, label: str) -> None:
    assert register_label(json) == label


@pytest.mark.parametrize(
    ("hostinfo", "words"),
    [
        ({"Hostname": "web"}, ["host:web"]),
        ({"Hostname": "two words\x1b"}, [r"host:two_words\x1b"]),
        ({"OS": "linux"}, ["host:"]),
        (None, []),
    ],
)
def test_a_map_request_is_remembered_with_the_name_of_its_host(
    server: RunningServer, hostinfo: dict[str, str] | None, words: list[str]
) -> None:
    client, _ = joined(server)
    with client:
        client.map(Hostinfo=hostinfo)
        wait_for(lambda: len(server.seen("map")) == 2, LIMIT, "the second request")
    assert [event.detail.split() for event in server.seen("map")] == [
        [client.node.key, "host:client"],
        [client.node.key, *words],
    ]
