"""Many control clients in one process, each with a map stream of its own: the load of `thousand_clients`.

    python -m bench.peers.client_crowd URL AUTH_KEY COUNT

It says in a line of JSON what it took to join, then waits for words: `update PORT` lets its first member tell the
server a new endpoint and says when each of the others has heard of that port; `stop` ends it. The clients consist of
the protocol room's pieces and have no supervision.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from bench.peers.open_files import allow_files
from netmap_actors.bus.loop import Loop
from netmap_actors.protocol.early_payload import EarlyPayloadReader
from netmap_actors.protocol.http2 import Http2Client, ResponseData, ResponseEnded, ResponseReset
from netmap_actors.protocol.map_framing import MapFrameReader
from netmap_actors.protocol.noise import Initiator, NoiseFrames, RecordStream
from netmap_actors.protocol.upgrade import UpgradeClient
from tests.support.clients.control_client import VERSION, Node, fetch_key

if TYPE_CHECKING:
    from netmap_actors.protocol.keys import MachineKey

AT_ONCE = 64
"""Members that are on their way in at the same moment."""
ENDPOINT = "198.51.100.1"


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Member:
    """One client: upgrade, register, map stream."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self.number = number
        self.node = Node(f"member-{number}")
        self.initiator = Initiator(self.node.machine, crowd.server_key, VERSION, os.urandom(32))
        self.upgrade: UpgradeClient | None = UpgradeClient(crowd.host, self.initiator.initiation)
        self.noise = NoiseFrames()
        self.records: RecordStream | None = None
        self.early = EarlyPayloadReader()
        self.http2 = Http2Client(crowd.host)
        self.register_id = self.map_id = 0
        self.frames = MapFrameReader()
        self.maps = 0
        self.out = self.upgrade.data_to_send()
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.connect_ex(crowd.address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        crowd.loop.watch(self.sock.fileno(), self.on_ready, write=True)

    def on_ready(self) -> None:
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            self.flush()
            return
        if not data:
            raise ConnectionError(f"the server closed the connection of {self.node.name}")
        self.receive(data)
        self.flush()

    def flush(self) -> None:
        if self.records is not None:
            self.out += self.records.seal(self.http2.data_to_send())
        if self.out:
            sent = self.sock.send(self.out)
            self.out = self.out[sent:]
        self.crowd.loop.watch(self.sock.fileno(), self.on_ready, write=bool(self.out))

    def receive(self, data: bytes) -> None:
        if self.upgrade is not None:
            accepted = self.upgrade.receive(data)
            if accepted is None:
                return
            self.upgrade, data = None, accepted.trailing
        if self.records is None:
            response = self.noise.receive(data)
            if response is None:
                return
            self.records = RecordStream(self.initiator.receive(response))
            self.register_id = self.request("register", Auth={"AuthKey": self.crowd.auth_key})
            data = self.noise.trailing
        for piece in self.records.receive(data):
            _, rest = self.early.receive(piece)
            if rest:
                for event in self.http2.receive(rest, boottime()):
                    self.on_event(event)

    def on_event(self, event: object) -> None:
        match event:
            case ResponseData(stream_id, data) if stream_id == self.map_id:
                for document in self.frames.receive(data):
                    self.maps += 1
                    self.crowd.heard(self, document)
            case ResponseData(stream_id, data) if stream_id == self.register_id:
                assert b'"MachineAuthorized":true' in data, data
            case ResponseEnded(stream_id) if stream_id == self.register_id:
                self.map_id = self.request(
                    "map",
                    stream=True,
                    Stream=True,
                    KeepAlive=True,
                    Compress="zstd",
                    DiscoKey=str(self.node.disco),
                )
            case ResponseReset():
                raise ConnectionError(f"the server reset a stream of {self.node.name}")

    def update(self, port: int) -> None:
        """Tell the server where this node can be reached, as clients do."""
        endpoints = [f"{ENDPOINT}:{port}"]
        self.request(
            "map",
            Stream=False,
            OmitPeers=True,
            DiscoKey=str(self.node.disco),
            Endpoints=endpoints,
            EndpointTypes=[1],
        )
        self.flush()

    def request(self, what: str, *, stream: bool = False, **fields: Any) -> int:
        body = {"Version": VERSION, "NodeKey": self.node.key, "Hostinfo": self.node.hostinfo} | fields
        return self.http2.request("POST", f"/machine/{what}", (), json.dumps(body).encode(), stream=stream)


class Crowd:
    """All members and the loop they share."""

    def __init__(self, url: str, auth_key: str, count: int) -> None:
        parts = urllib.parse.urlsplit(url)
        self.loop = Loop()
        self.host = parts.netloc
        self.address = (parts.hostname, parts.port)
        self.auth_key = auth_key
        self.server_key: MachineKey = fetch_key(url)
        self.members: list[Member] = []
        self.wanted = count
        self.joined = 0
        self.began = boottime()
        self.marker = b""
        self.told_at = 0.0
        self.arrivals: dict[int, float] = {}
        self.ended = False
        os.set_blocking(0, False)
        self.loop.watch(0, self.on_word)

    def run(self) -> None:
        for _ in range(min(AT_ONCE, self.wanted)):
            self.members.append(Member(self, len(self.members)))
        self.loop.run(lambda: self.ended)

    def heard(self, member: Member, document: bytes) -> None:
        if member.maps == 1:
            self.joined += 1
            if len(self.members) < self.wanted:
                self.members.append(Member(self, len(self.members)))
            if self.joined == self.wanted:
                say(joined=boottime() - self.began)
        if self.marker and self.marker in document and member.number and member.number not in self.arrivals:
            self.arrivals[member.number] = boottime() - self.told_at
            if len(self.arrivals) == self.wanted - 1:
                say(arrivals=sorted(self.arrivals.values()))
                self.marker = b""

    def on_word(self) -> None:
        words = os.read(0, 4096).split()
        if not words or words[0] == b"stop":
            say(maps=sum(member.maps for member in self.members))
            self.ended = True
            return
        self.marker = b'"%b:%b"' % (ENDPOINT.encode(), words[1])
        self.arrivals.clear()
        self.told_at = boottime()
        self.members[0].update(int(words[1]))


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    allow_files(4096)
    Crowd(sys.argv[1], sys.argv[2], int(sys.argv[3])).run()
