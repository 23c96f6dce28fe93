"""Hostile control clients, each a program of its own, so that they take no processor time from the test that measures.

    python -m tests.support.clients.hostile_control_client HARM URL AUTH_KEY SEED

It writes a line when it has begun, goes on until its standard input is closed, and ends with a line of JSON that counts
what it did and met.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import resource
import select
import socket
import sys
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

import h2.settings

from netmap_actors.protocol.noise import HandshakeRefused
from tests.support.clients.control_client import Closed, ControlClient, Node, fetch_key

if TYPE_CHECKING:
    from collections.abc import Callable

    Facts = dict[str, int]

CONNECTS = 10_000
CROWD = 5_000
HALF_OPEN = 800
FOREIGN = 20
"""Nodes of others in one connection, which is cut when it asks too much in a short time."""
CLOSE_LIMIT = 20.0
UPGRADE = (
    b"POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n"
    b"X-Tailscale-Handshake: %b\r\nContent-Length: 0\r\n\r\n"
)
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(200)
GARBAGE: dict[str, Callable[[random.Random], bytes]] = {
    "TLS hello": lambda rng: TLS_HELLO,
    "noise of any length": lambda rng: rng.randbytes(rng.randrange(1, 100_000)),
    "HTTP/2 without upgrade": lambda rng: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "a line without end": lambda rng: b"GET /" + b"a" * rng.randrange(70_000, 200_000),
    "one header without end": lambda rng: b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
    "headers without end": lambda rng: b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    "a body without end": lambda rng: (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + bytes(1 << 20)
    ),
    "chunks without end": lambda rng: (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000
    ),
    "requests without end": lambda rng: b"GET /key?v=130 HTTP/1.1\r\nHost: x\r\n\r\n" * 50_000,
    "a length below zero": lambda rng: b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two lengths": lambda rng: (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    ),
    "no initiation": lambda rng: UPGRADE % b"AAAA",
    "an initiation of noise": lambda rng: UPGRADE % (b"A" * 136),
    "no base64": lambda rng: UPGRADE % b"\xff\xfe",
    "nothing": lambda rng: b"",
}
"""Each of them has to be answered, or ended, or both; none may keep its connection."""
DEEP = b'{"Hostinfo":' * 50_000 + b"1" + b"}" * 50_000
BROKEN = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"1e999",
    b"\xff\xfe",
    b"\x00",
    DEEP,
    b"[" * 100_000,
    b'{"Version":"130"}',
    b'{"Version":1e400}',
    b'{"Version":-1}',
    b'{"Version":99999999999999999999}',
    b'{"Version":true}',
    b'{"Version":130}',
    b'{"Version":130,"NodeKey":1}',
    b'{"Version":130,"NodeKey":"nodekey:xyz"}',
    b'{"Version":130,"NodeKey":"nodekey:' + b"f" * 100_000 + b'"}',
    b'{"Version":130,"NodeKey":"nodekey:\\ud800"}',
    b'{"Version":130,"NodeKey":"%b","Hostinfo":[]}',
    b'{"Version":130,"NodeKey":"%b","Hostinfo":{"OS":"' + b"x" * 70_000 + b'"}}',
    b'{"Version":130,"NodeKey":"%b","Hostinfo":{"NetInfo":' + b"[" * 3000 + b"]" * 3000 + b"}}",
    b'{"Version":130,"NodeKey":"%b","Endpoints":"all","Expiry":"soon","Auth":[]}',
    b'{"Version":130,"NodeKey":"%b","Endpoints":[1],"Expiry":"9999-99-99T99:99:99Z"}',
    b'{"Version":1,"NodeKey":"%b"}',
]
"""Bodies that are no request; `%b` becomes the client's own node key."""  # fmt: skip


class Harm:
    """Where to go, and whether to go on."""

    def __init__(self, url: str, auth_key: str, seed: int) -> None:
        parts = urllib.parse.urlsplit(url)
        self.url = url
        self.auth_key = auth_key
        self.address = (parts.hostname or "", parts.port or 0)
        self.random = random.Random(seed)

    def begun(self) -> None:
        print("begun", flush=True)

    def goes_on(self) -> bool:
        return not select.select([sys.stdin], [], [], 0)[0]

    def wait_end(self) -> None:
        select.select([sys.stdin], [], [])

    def raw(self) -> socket.socket:
        return socket.create_connection(self.address, CLOSE_LIMIT)

    def client(self, name: str = "harm", *, register: bool = True, **options: Any) -> ControlClient:
        client = ControlClient(self.url, Node(name), **options)
        if register:
            assert client.register(self.auth_key)["MachineAuthorized"]
        return client


def allow_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def garbage(harm: Harm) -> Facts:
    """Clients of other protocols, one after another."""
    met: collections.Counter[str] = collections.Counter()
    harm.begun()
    while not met or harm.goes_on():
        for name, make in GARBAGE.items():
            with harm.raw() as sock, contextlib.suppress(ConnectionError):
                met["sent"] += 1
                try:
                    sock.sendall(make(harm.random))
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
                except TimeoutError:
                    print(f"kept open after {name}", file=sys.stderr)
                    met["kept"] += 1
    return {"sent": met["sent"], "kept": met["kept"]}


def half_open(harm: Harm) -> Facts:
    """Requests that come byte by byte and never end."""
    sockets = [harm.raw() for _ in range(HALF_OPEN)]
    text = b"GET /key?v=130 HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 10_000
    cut = 0
    harm.begun()
    number = 0
    while harm.goes_on():
        for sock in list(sockets):
            try:
                sock.send(text[number : number + 1])
            except OSError:
                cut += 1
                sockets.remove(sock)
        number += 1
        time.sleep(0.2)  # slow is what it is
    return {"cut": cut, "bytes": number}


def connects(harm: Harm) -> Facts:
    """Ten thousand connections in a row, each left at once."""
    harm.begun()
    for number in range(CONNECTS):
        sock = harm.raw()
        if number % 3:
            sock.send(b"GET /key?v=130 HTTP/1.1\r\nHost: x\r\n\r\n"[: number % 50])
        sock.close()
    harm.wait_end()
    return {"made": CONNECTS}


def crowd(harm: Harm) -> Facts:
    """More connections at once than there is room for."""
    allow_files()
    sockets = [harm.raw() for _ in range(CROWD)]
    refused = 0
    until = time.monotonic() + CLOSE_LIMIT
    poller = select.poll()
    for sock in sockets:
        poller.register(sock, select.POLLIN)
    while not refused and time.monotonic() < until:
        refused = len(poller.poll(200))
    harm.begun()
    harm.wait_end()
    return {"opened": len(sockets), "refused": len(poller.poll(0))}


def strangers(harm: Harm) -> Facts:
    """Handshakes with a wrong key, and clients that are too old."""
    met: collections.Counter[str] = collections.Counter(refused=0, old=0)
    wrong, right = Node().machine.public(), fetch_key(harm.url)
    harm.begun()
    while not met["old"] or harm.goes_on():
        try:
            harm.client(server_key=wrong)
        except HandshakeRefused:
            met["refused"] += 1
        with harm.client(register=False, server_key=right, version=20) as client:
            answer = client.answer("/machine/register", client.register_body(harm.auth_key))
            assert (answer.status, b"unsupported client version" in answer.body) == (400, True)
            met["old"] += 1
    return dict(met)


def broken_json(harm: Harm) -> Facts:
    """Requests that cannot be read; their connection goes on."""
    answered = 0
    harm.begun()
    while not answered or harm.goes_on():
        with harm.client() as client:
            for path in ("/machine/register", "/machine/map"):
                for broken in BROKEN:
                    body = broken.replace(b"%b", client.node.key.encode())
                    response = client.answer(path, body)
                    readable = response.status == 200 and b"Endpoints" in body  # of the one, not of the other
                    assert response.status == 400 or readable, (path, body[:80], response.status)
                    answered += 1
            assert client.register(harm.auth_key)["MachineAuthorized"]
    return {"answered": answered}


def foreign_keys(harm: Harm) -> Facts:
    """Requests for the nodes of others, whose public keys every peer knows."""
    refused = 0
    harm.begun()
    while not refused or harm.goes_on():
        with harm.client() as client:
            first = client.message(client.map(), 0)
            others = [peer["Key"] for peer in first["Peers"]]
            for key in (others[0], *harm.random.sample(others, FOREIGN - 1)):
                update = {"Stream": False, "OmitPeers": True, "Endpoints": ["192.0.2.66:6"]}
                for fields in ({}, update):
                    assert client.answer("/machine/map", client.map_body(NodeKey=key, **fields)).status == 404
                for wish in (
                    client.register_body(harm.auth_key, NodeKey=key),
                    client.register_body(NodeKey=key, Expiry="2001-01-01T00:00:00Z"),
                ):
                    answer = json.loads(client.answer("/machine/register", wish).body)
                    assert "different machine key" in answer["Error"]
                refused += 4
    return {"refused": refused}


def rapid_reset(harm: Harm) -> Facts:
    """Map streams begun and reset as fast as they can be written."""
    connections = cut = 0
    harm.begun()
    while not connections or harm.goes_on():
        with harm.client() as client:
            connections += 1
            try:
                for _ in range(5000):
                    client.map()
                    client.http2._reset(max(client.responses), 8)
                    client._flush()
                client.wait(lambda client=client: client.goaway is not None)
                cut += 1
            except (ConnectionError, Closed):
                cut += 1
    return {"connections": connections, "cut": cut}


class Shut(ControlClient):
    """A client whose windows are never opened."""

    def __init__(self, url: str, node: Node) -> None:
        super().__init__(url, node)
        codes = h2.settings.SettingCodes
        self.http2._h2.update_settings({codes.INITIAL_WINDOW_SIZE: 0})
        self.http2._collect()
        self._flush()


def shut_windows(harm: Harm) -> Facts:
    """Asks for whole maps again and again, and lets none of them through."""
    with contextlib.ExitStack() as kept:
        clients = []
        for number in range(4):
            with harm.client(f"shut-{number}") as first:
                node = first.node
            clients.append(kept.enter_context(Shut(harm.url, node)))
        asked = 0
        for client in clients:
            for _ in range(95):
                client.request("/machine/map", client.map_body(Stream=False, Compress=""))
                asked += 1
        for client in clients:
            client.http2.ping(b"12345678")
            client.wait(lambda client=client: client.pings_acked)
        harm.begun()
        harm.wait_end()
        refused = sum(one.status == 429 for client in clients for one in client.responses.values())
    return {"asked": asked, "refused": refused}


def never_reads(harm: Harm) -> Facts:
    """Asks for whole maps while its requests are read, and never reads from the socket."""
    asked = 0
    with contextlib.ExitStack() as kept:
        clients = []
        for number in range(4):
            client = kept.enter_context(harm.client(f"deaf-{number}"))
            client.map()
            clients.append(client)
        harm.begun()
        while harm.goes_on():
            for client in clients:
                client.sock.settimeout(0.05)
                with contextlib.suppress(Exception):
                    client.request("/machine/map", client.map_body(Stream=False, Compress=""))
                    asked += 1
            time.sleep(0.02)  # fast enough; what matters is that nothing is read
    return {"asked": asked}


HARMS = (
    garbage, half_open, connects, crowd, strangers, broken_json, foreign_keys, rapid_reset, shut_windows, never_reads,
)  # fmt: skip


def main() -> None:
    name, url, auth_key, seed = sys.argv[1:]
    chosen = {harm.__name__: harm for harm in HARMS}[name]
    print(json.dumps(chosen(Harm(url, auth_key, int(seed)))), flush=True)


if __name__ == "__main__":
    main()
