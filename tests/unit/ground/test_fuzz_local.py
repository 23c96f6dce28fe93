"""Any input from this machine: HTTP clients, clients of the embedded control server, the kernel, files.

A client can only end its own connection; a file is taken whole or refused with what to do about it.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from netmap_actors.boot import Boot, HttpSettings
from netmap_actors.bus.admission import Admission, Origin
from netmap_actors.bus.loop import Loop
from netmap_actors.control_connection.auth_key import read_auth_key
from netmap_actors.control_connection.client.registration.node_file import NodeFile
from netmap_actors.control_connection.client.registration.record import Registration
from netmap_actors.curve_keys import AllowList, read_secret
from netmap_actors.dev_control.http.connection import ClientConnection
from netmap_actors.dev_control.http.state import Control, Options
from netmap_actors.dev_control.operator.commands import Commands
from netmap_actors.dev_control.registration.registrar import NodeRegistrar, PreAuthKey
from netmap_actors.dev_control.registration.requests import BadRequest, decode_map, decode_register
from netmap_actors.dev_control.registration.store import State, Store
from netmap_actors.dev_control.tailnet.tailnet import Tailnet
from netmap_actors.errors import ConfigurationError, NetmapError
from netmap_actors.http_endpoint.access import Access
from netmap_actors.http_endpoint.actor import HttpEndpoint
from netmap_actors.http_endpoint.connection import Connection, Turns
from netmap_actors.http_endpoint.supervisor_status import SupervisorStatus
from netmap_actors.process import bootstrap
from netmap_actors.protocol.http2 import Http2Client
from netmap_actors.protocol.keys import MachinePrivate, NodePrivate
from netmap_actors.protocol.noise import Initiator, NoiseFrames, RecordStream
from netmap_actors.protocol.upgrade import UpgradeAccepted, UpgradeClient
from netmap_actors.wire import internal_pb2
from netmap_supervisor.config.settings import RunSettings
from netmap_supervisor.daemon.status_report import SupervisorFacts, make_report
from netmap_supervisor.system.route_watch import route_in, route_to
from tests.support.inputs.fuzzing import EXAMPLES, damaged, damaged_json, fuzzed, hostile, survive
from tests.support.machines.simulated_shell import SimulatedShell
from tests.support.netmaps.publishing import Follower, Server, full, node
from tests.support.servers.scripted_control import FRESH, MACHINE_KEY, NODE_KEY, SERVER_KEY

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1000.0
WALL = 1_800_000_000.0
cuts = st.integers(0, 500)

# The HTTP endpoint


class _Endpoint:
    """The HTTP endpoint without its process: one client at one end of a socket pair."""

    def __init__(self) -> None:
        server, follower = Server(), Follower()
        server.feed(full(node(2), node(3)), NOW)
        follower.ask(server.publication, NOW)
        replica = follower.replica
        view = SimpleNamespace(store=SimpleNamespace(snapshot=lambda: replica.snapshot(NOW)))
        self.loop = Loop()
        self.errors: list[Exception] = []
        self.ended: list[Connection] = []
        self.client, mine = socket.socketpair()
        self.client.setblocking(False)
        self.endpoint: Any = HttpEndpoint.__new__(HttpEndpoint)
        quiet: Any = SimpleNamespace(warning=lambda *_, **__: None)
        self.endpoint.__dict__.update(
            _access=Access(HttpSettings(listen="127.0.0.1:1"), quiet, lambda *_: None),
            _subscriber=view, _host="127.0.0.1", _requests=0, _refused=0, _followers={}, _scrapes={}, _scraping=False,
            _viewers=[],
            _status=SupervisorStatus(self.loop, lambda asked: self.loop.call_soon(partial(self.answer, asked.token))),
            _places=Admission(10), loop=self.loop,
        )  # fmt: skip
        self.endpoint._acceptor = SimpleNamespace(whose=lambda _: Origin(1, 1))
        self.connection = Connection(
            self.loop,
            Turns(self.loop),
            mine,
            self.endpoint._on_request,
            self.ended.append,
            self.errors.append,
            lambda _: None,
        )

    def answer(self, token: int) -> None:
        shell = SimulatedShell().start()
        shown = RunSettings(state_dir="/s", runtime_dir="/r")
        report = make_report(shell.core, shown, SupervisorFacts("1", 1, 0.0), shell.now)
        shown = msgspec.json.encode({"status": report, "counters": {"publisher": {"gaps": 1}}})
        self.endpoint._status.answered(internal_pb2.StatusReply(token=token, json=shown))

    def send(self, data: bytes) -> bytes:
        """All it answers until it is idle."""
        heard = b""
        if data:
            self.client.send(data)
        for _ in range(30):
            for call in self.loop.wait(block=False):
                call()
            try:
                heard += self.client.recv(1 << 20)
            except OSError:
                continue
        return heard

    def close(self) -> None:
        self.connection.close()
        self.client.close()
        self.loop.close()


HTTP = [
    b"GET /netmap HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /netmap?peer=a HTTP/1.1\r\nHost: localhost:1\r\n\r\nHEAD /sd?port=9100&tag=a&online=true HTTP/1.0\r\n\r\n",
    b"GET /events?kind=peer_upserted&peer=node2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n",
    b"GET /metrics?peers=true HTTP/1.1\r\nHost: [::1]\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n",
    b'GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: W/"x", *\r\nSec-Fetch-Site: none\r\n\r\n',
    b"GET /page/main.js HTTP/1.1\r\nHost: localhost\r\n\r\nGET /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    (
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: 7\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nCookie: netmap-session=1.2.3\r\n\r\ntoken=x"
    ),
    b"POST /netmap HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"GET /netmap HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Site: cross-site\r\n\r\n",
    b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /sd?port=\xd9\xa3 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /sd?port=" + b"9" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


@fuzzed
@given(hostile(HTTP), cuts)
@example(b"GET /netmap?peer HTTP/1.1\r\nHost: localhost\r\n\r\n", 5)
@example(b"GET /netmap?peer=%5B HTTP/1.1\r\nHost: localhost\r\n\r\n", 5)
@example(b"GET /netmap?peer=fe80::1%25x HTTP/1.1\r\nHost: localhost\r\n\r\n", 5)
@example(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: \xff,;q=a;=\r\n\r\n", 5)
@example(b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000, 5)
@example(HTTP[9], 0)
def test_requests_to_the_http_endpoint(data: bytes, cut: int) -> None:
    endpoint = _Endpoint()
    try:

        def talk() -> bytes:
            return endpoint.send(data[:cut]) + endpoint.send(data[cut:])

        heard = survive(talk, len(data), BrokenPipeError, ConnectionResetError, cap=1 << 20) or b""
        assert not endpoint.errors, "an error nobody foresaw"
        assert not heard or heard.startswith(b"HTTP/1.1 ")
        assert b"500 " not in heard[:20]
    finally:
        endpoint.close()


# The embedded control server


class _Office:
    """A control server without sockets, and the client's half of one connection to it."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        tailnet = Tailnet()
        registrar = NodeRegistrar(tailnet, url="http://x", random_hex=lambda n: f"{next(numbers):0{2 * n}x}")
        registrar.add_auth_key(PreAuthKey(text="key"))
        self.control = Control(
            tailnet,
            registrar,
            SERVER_KEY,
            Options(early_payload="off"),
            wall=lambda: WALL,
            random_bytes=lambda n: next(numbers).to_bytes(n, "big"),
        )
        self.connection = ClientConnection(self.control, 1, "192.0.2.1:1", NOW)

    def upgraded(self) -> tuple[RecordStream, Http2Client]:
        initiator = Initiator(MACHINE_KEY, SERVER_KEY.public(), 130, b"\x22" * 32)
        upgrade = UpgradeClient("x", initiator.initiation)
        self.connection.receive(upgrade.data_to_send(), NOW)
        accepted = upgrade.receive(self.connection.data_to_send())
        assert isinstance(accepted, UpgradeAccepted)
        frames = NoiseFrames()
        response = frames.receive(accepted.trailing)
        assert response is not None
        return RecordStream(initiator.receive(response)), Http2Client("x")


REQUESTS = [
    b"GET /key?v=130 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /key?v=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /auth/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ndeny",
    b"HEAD /machine/ping-response?id=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT /key?v=130 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\nX-Tailscale-Handshake: A\r\n\r\n",
    UpgradeClient(
        "x", Initiator(MACHINE_KEY, SERVER_KEY.public(), 130, b"\x22" * 32).initiation
    ).data_to_send(),
]


@fuzzed
@given(hostile(REQUESTS), cuts)
@example(REQUESTS[4], 0)
@example(REQUESTS[-1] + b"no record at all", 0)
def test_the_front_door_of_the_control_server(data: bytes, cut: int) -> None:
    office = _Office()

    def talk() -> None:
        for piece in (data[:cut], data[cut:]):
            office.connection.receive(piece, NOW)
            office.connection.data_to_send()
        office.connection.expire(NOW + 1.0)
        office.connection.eof(NOW)

    survive(talk, len(data), cap=512 << 10)


KEY = str(NODE_KEY.public())
REGISTER: dict[str, Any] = {
    "Version": 130,
    "NodeKey": KEY,
    "OldNodeKey": "nodekey:" + "0" * 64,
    "Auth": {"AuthKey": "key"},
    "Expiry": "0001-01-01T00:00:00Z",
    "Followup": "",
    "Hostinfo": {"Hostname": "a", "RequestTags": ["tag:a"], "RoutableIPs": ["192.0.2.0/24"]},
    "Ephemeral": True,
}
MAP: dict[str, Any] = {
    "Version": 130,
    "NodeKey": KEY,
    "DiscoKey": "discokey:" + "1" * 64,
    "Stream": True,
    "Compress": "zstd",
    "Endpoints": ["192.0.2.1:1"],
    "Hostinfo": {"Hostname": "b", "Services": [{"Port": 1}]},
}
bodies = damaged_json([REGISTER, MAP]) | damaged([json.dumps(REGISTER).encode(), json.dumps(MAP).encode()])


@fuzzed
@given(bodies)
def test_what_a_client_asks_of_the_control_server_is_read_or_refused(body: bytes) -> None:
    survive(lambda: decode_register(body), len(body), BadRequest)
    survive(lambda: decode_map(body), len(body), BadRequest)


@fuzzed
@given(
    st.lists(
        st.tuples(st.sampled_from(["/machine/register", "/machine/map", "/c2n/1", "/x"]), bodies),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
    hostile(
        [
            b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8),
            b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
        ]
    ),
)
def test_requests_inside_noise(asked: list[tuple[str, bytes]], joined: bool, last: bytes) -> None:
    office = _Office()
    records, http2 = office.upgraded()
    requests = [("/machine/register", json.dumps(REGISTER).encode())] if joined else []

    def talk() -> None:
        for path, body in [*requests, *asked]:
            http2.request("POST", path, body=body[:50_000])
            office.connection.receive(records.seal(http2.data_to_send()), NOW)
            office.connection.data_to_send()
            office.control.distribute(NOW)
        office.connection.receive(records.seal(last), NOW)
        office.connection.data_to_send()
        office.connection.expire(NOW + 100.0)
        office.connection.closed(NOW, "done")

    survive(talk, sum(len(body) for _, body in asked), cap=4 << 20, work=0.5)


@fuzzed
@given(
    damaged_json(
        [
            {"command": "fault", "name": "silence", "scope": "current", "times": 1},
            {"command": "add_node", "name": "a", "tags": ["tag:a"], "online": None},
            {"command": "set_routes", "word": "a", "routes": ["192.0.2.0/24"]},
            {"command": "set_aspect", "aspect": "Domain", "json": '"x"'},
            {"command": "expire", "word": "a", "in_seconds": 1.5},
            {"command": "churn", "count": 2},
        ]
    )
    | st.binary(max_size=40)
)
@example(b'{"command":"__init__","server":1}')
@example(b'{"command":"expire","word":"a","in_seconds":-9223372036854775808}')
@example(b'{"command":"execute","document":"x"}')
@example(b"[" * 100_000)
def test_commands_to_the_control_server(document: bytes) -> None:
    office = _Office()
    server: Any = SimpleNamespace(
        control=office.control, connections={}, changed=lambda: None, churn=SimpleNamespace(step=lambda _: None),
        inject=lambda fault: 0, heal=lambda: None, drop_all=lambda **_: 0,
    )  # fmt: skip
    commands = Commands(server, lambda: NOW)
    office.control.tailnet.add_node("a", key=KEY, machine="mkey:" + "1" * 64, wall=WALL)
    survive(lambda: commands.execute(document), len(document), NetmapError, work=1.0, quotes=True)


# The kernel


def _routes() -> list[bytes]:
    attributes = b"".join(
        struct.pack("=HH", 4 + len(value), kind) + value
        for kind, value in (
            (1, b"\xc0\x00\x02\x01"),
            (4, b"\x01\x00\x00\x00"),
            (5, b"\xc0\x00\x02\xfe"),
            (7, b"\xc0\x00\x02\x07"),
            (18, b"\x0a\x00" + bytes(16)),
        )
    )
    body = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 0, 0, 1, 0) + attributes
    header = struct.pack("=IHHII", 16 + len(body), 24, 0, 1, 0)
    return [header + body, header + body[:12], struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -101)]


@fuzzed
@given(hostile(_routes(), 120))
@example(b"")
@example(_routes()[0][:16])
@example(_routes()[0].replace(b"\x08\x00\x04\x00\x01\x00\x00\x00", b"\x08\x00\x04\x00\xff\xff\xff\xff"))
def test_the_kernels_answer_about_a_route(data: bytes) -> None:
    survive(lambda: route_in(data), len(data))


def test_a_true_answer_of_the_kernel_is_understood() -> None:
    assert route_in(_routes()[0]) == "lo via 192.0.2.254 from 192.0.2.7"
    assert (route_to("127.0.0.1") or "").startswith("lo")


# Files

NODE_FILE = NodeFile(NODE_KEY, MACHINE_KEY, "http://x", SERVER_KEY.public()).to_json()
REGISTRATION = FRESH.to_json()


@fuzzed
@given(damaged_json([json.loads(NODE_FILE)]) | hostile([NODE_FILE]))
def test_the_node_file(data: bytes) -> None:
    survive(lambda: NodeFile.from_json(data, "/s/node.json"), len(data), ConfigurationError)


@fuzzed
@given(damaged_json([json.loads(REGISTRATION)]) | hostile([REGISTRATION]))
def test_the_registration(data: bytes) -> None:
    read = survive(
        lambda: Registration.from_json(data, "/s/registration.json"), len(data), ConfigurationError
    )
    if read is not None:
        Registration.from_json(read.to_json(), "again")


IN_A_DIRECTORY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
STATE = msgspec.json.encode(
    State(machine_private=MachinePrivate.from_raw(b"\x01" * 32).to_text(), auth_keys=[PreAuthKey(text="a")])
)


@IN_A_DIRECTORY
@given(damaged_json([json.loads(STATE)]) | hostile([STATE]))
def test_the_state_of_the_control_server(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "state.json").write_bytes(data)
    survive(Store(str(tmp_path)).load, len(data), ConfigurationError)


CURVE = b"# a comment\n" + b"a" * 40 + b"\n" + b"b" * 40 + b"\n"


@IN_A_DIRECTORY
@given(hostile([CURVE]))
def test_curve_keys(tmp_path: Path, data: bytes) -> None:
    secret, allowed = tmp_path / "secret", tmp_path / "allowed"
    allowed.mkdir(exist_ok=True)
    for path in (secret, allowed / "a.key"):
        path.write_bytes(data)
    survive(lambda: read_secret(secret), len(data), ConfigurationError)
    survive(AllowList(tmp_path).clients, len(data))


@IN_A_DIRECTORY
@given(hostile([b"tskey-auth-abc\n", b"\n\n", b"a" * 5000]))
@example(b"--TLabc")
def test_an_auth_key_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    key = survive(lambda: read_auth_key(f"file:{path}", {}), len(data), ConfigurationError)
    assert key is None or (key.secret and key.secret.isprintable())


@IN_A_DIRECTORY
@given(
    st.binary(max_size=200)
    | damaged_json([{"run": "00", "actor": "liveness", "incarnation": 1, "parent_pid": 1}])
)
@example(b"[" * 60_000)
def test_a_boot_record(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "boot"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    read = survive(lambda: bootstrap._read_boot(descriptor, "liveness"), len(data), ConfigurationError)
    assert read is None or isinstance(read, Boot)


@pytest.mark.parametrize("kind", [NodePrivate, MachinePrivate])
def test_a_refusal_repeats_no_key(kind: Any) -> None:
    private = kind.from_raw(b"\x5a" * 32)
    spoilt = NODE_FILE.replace(NODE_KEY.to_text().encode(), private.to_text()[:-1].encode())
    with pytest.raises(ConfigurationError) as caught:
        NodeFile.from_json(spoilt, "/s/node.json")
    assert "5a5a5a" not in str(caught.value)
