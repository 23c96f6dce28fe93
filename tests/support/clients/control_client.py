"""A small blocking client of the control protocol, built on `netmap_actors.protocol` alone, without retries."""

from __future__ import annotations

import json
import os
import socket
import ssl
import time
import urllib.parse
from typing import TYPE_CHECKING, Any, Self

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.early_payload import EarlyPayloadReader
from netmap_actors.protocol.http2 import (
    GoAway,
    Http2Client,
    PingAcked,
    ResponseData,
    ResponseEnded,
    ResponseHeaders,
    ResponseReset,
)
from netmap_actors.protocol.key_endpoint import KeyClient
from netmap_actors.protocol.keys import DiscoPrivate, MachineKey, MachinePrivate, NodePrivate
from netmap_actors.protocol.map_framing import MapFrameReader
from netmap_actors.protocol.noise import Initiator, NoiseFrames, RecordStream
from netmap_actors.protocol.upgrade import UpgradeClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.dev_control.standalone import Announcement

VERSION = 130
LIMIT = 10.0
"""Seconds a test waits for anything."""


class Closed(Exception):
    """The server closed the connection: in good order, or with a reset."""


def fetch_key(url: str) -> MachineKey:
    """The server's Noise key, from /key."""
    client = KeyClient(urllib.parse.urlsplit(url).netloc, VERSION)
    with _dial(url) as sock:
        sock.sendall(client.data_to_send())
        while True:
            data = sock.recv(65536)
            try:
                keys = client.receive(data) if data else client.eof()
            except RemoteProtocolError as error:
                if data:
                    raise
                raise Closed from error
            if keys is not None:
                return keys.public_key


def _dial(url: str) -> socket.socket:
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    sock = socket.create_connection((parts.hostname, parts.port), LIMIT)
    if parts.scheme == "http":
        return sock
    # The roots are those that SSL_CERT_FILE names.
    return ssl.create_default_context().wrap_socket(sock, server_hostname=parts.hostname)


class Node:
    """The keys of one node; several connections may be made with them."""

    def __init__(self, name: str = "client") -> None:
        self.name = name
        self.machine = MachinePrivate.generate(os.urandom(32))
        self.private = NodePrivate.generate(os.urandom(32))
        self.disco = DiscoPrivate.generate(os.urandom(32)).public()

    @property
    def key(self) -> str:
        return str(self.private.public())

    @property
    def hostinfo(self) -> dict[str, Any]:
        return {"OS": "linux", "Hostname": self.name, "IPNVersion": "1.0.0", "BackendLogID": "00"}


class Response:
    """One HTTP/2 exchange as far as it has come."""

    def __init__(self, *, compressed: bool) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.reset: int | None = None
        self.messages: list[dict[str, Any]] = []
        self.frames: MapFrameReader | None = None
        self.compressed = compressed


class ControlClient:
    """One TCP connection through handshake and HTTP/2."""

    def __init__(
        self,
        url: str,
        node: Node,
        server_key: MachineKey | None = None,
        version: int = VERSION,
        *,
        patience: float = LIMIT,
    ) -> None:
        """`patience`: seconds each of the server's first answers may take."""
        self.node = node
        self.version = version
        self.sock = _dial(url)
        self.sock.settimeout(patience)
        host = urllib.parse.urlsplit(url).netloc
        initiator = Initiator(node.machine, server_key or fetch_key(url), version, os.urandom(32))
        upgrade = UpgradeClient(host, initiator.initiation)
        self.sock.sendall(upgrade.data_to_send())
        accepted = None
        while accepted is None:
            data = self._recv()
            accepted = upgrade.receive(data)
        frames = NoiseFrames()
        response = frames.receive(accepted.trailing)
        while response is None:
            data = self._recv(frames.eof)
            response = frames.receive(data)
        self.records = RecordStream(initiator.receive(response))
        self.early = EarlyPayloadReader()
        self.early_payload: bytes | None = None
        self.http2 = Http2Client(host)
        self.responses: dict[int, Response] = {}
        self.goaway: GoAway | None = None
        self.pings_acked = 0
        self.bytes_received = 0
        self._take(frames.trailing)
        self._flush()

    @property
    def local_address(self) -> str:
        host, port = self.sock.getsockname()
        return f"{host}:{port}"

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Requests

    def request(self, path: str, body: object, *, method: str = "POST", stream: bool = False) -> Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        stream_id = self.http2.request(method, path, (), data, stream=stream)
        response = Response(compressed=isinstance(body, dict) and bool(body.get("Compress")))
        self.responses[stream_id] = response
        self._flush()
        return response

    def answer(self, path: str, body: object, *, method: str = "POST") -> Response:
        """The whole response."""
        response = self.request(path, body, method=method)
        self.wait(lambda: response.ended or response.reset is not None)
        return response

    def register(self, auth_key: str = "", **fields: object) -> dict[str, Any]:
        """The decoded RegisterResponse."""
        response = self.answer("/machine/register", self.register_body(auth_key, **fields))
        assert response.status == 200, (response.status, response.body)
        answer: dict[str, Any] = json.loads(response.body)
        return answer

    def register_body(self, auth_key: str = "", **fields: object) -> dict[str, Any]:
        body: dict[str, Any] = {
            "Version": self.version,
            "NodeKey": self.node.key,
            "Hostinfo": self.node.hostinfo,
            **fields,
        }
        if auth_key:
            body["Auth"] = {"AuthKey": auth_key}
        return body

    def map_body(self, **fields: object) -> dict[str, Any]:
        return {
            "Version": self.version,
            "Compress": "zstd",
            "KeepAlive": True,
            "NodeKey": self.node.key,
            "DiscoKey": str(self.node.disco),
            "Hostinfo": self.node.hostinfo,
            "Stream": True,
            **fields,
        }

    def map(self, **fields: object) -> Response:
        """Begin a map stream (or another map request, as the fields say)."""
        return self.request("/machine/map", self.map_body(**fields), stream=True)

    def message(self, stream: Response, number: int) -> dict[str, Any]:
        """The MapResponse of that number, from 0."""
        self.wait(lambda: len(stream.messages) > number)
        return stream.messages[number]

    def told(
        self, stream: Response, fact: Callable[[dict[str, Any]], object], since: int = 0
    ) -> dict[str, Any]:
        """The first MapResponse, from that number on, of which this is true: a keep-alive may follow at once."""
        self.wait(lambda: any(map(fact, stream.messages[since:])))
        return next(filter(fact, stream.messages[since:]))

    # Bytes

    def wait(self, fact: Any, limit: float = LIMIT) -> None:
        """Read until `fact()` holds. Raises Closed, or TimeoutError."""
        until = time.monotonic() + limit
        self._flush()
        while not fact():
            self.sock.settimeout(max(0.001, until - time.monotonic()))
            self._take(self._recv())
            self._flush()

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing at all comes in that time."""
        before = self.bytes_received
        try:
            self.wait(lambda: self.bytes_received > before, seconds)
        except TimeoutError:
            return True
        return False

    def _recv(self, on_eof: Any = None) -> bytes:
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            raise Closed("reset") from None
        if not data:
            if on_eof is not None:
                on_eof()
            raise Closed("eof")
        return data

    def _take(self, data: bytes) -> None:
        self.bytes_received += len(data)
        for piece in self.records.receive(data):
            payload, rest = self.early.receive(piece)
            self.early_payload = payload or self.early_payload
            if rest:
                for event in self.http2.receive(rest, time.monotonic()):
                    self._on_event(event)

    def _on_event(self, event: object) -> None:
        match event:
            case ResponseHeaders(stream_id, status, headers):
                response = self.responses[stream_id]
                response.status, response.headers = status, dict(headers)
                response.frames = MapFrameReader(256 << 20, compressed=response.compressed)
            case ResponseData(stream_id, data):
                response = self.responses[stream_id]
                response.body += data
                if response.status == 200 and response.compressed and response.frames is not None:
                    response.messages += [json.loads(one) for one in response.frames.receive(data)]
            case ResponseEnded(stream_id):
                self.responses[stream_id].ended = True
            case ResponseReset(stream_id, code):
                self.responses[stream_id].reset = code
            case GoAway():
                self.goaway = event
            case PingAcked():
                self.pings_acked += 1

    def _flush(self) -> None:
        data = self.http2.data_to_send()
        if data:
            self.sock.sendall(self.records.seal(data))


def joined(
    server: Announcement, name: str = "client", node: Node | None = None
) -> tuple[ControlClient, Response]:
    """A client with a live map stream whose first message has come."""
    client = ControlClient(server.url, node or Node(name))
    assert client.register(server.auth_key)["MachineAuthorized"]
    stream = client.map()
    client.message(stream, 0)
    return client, stream
