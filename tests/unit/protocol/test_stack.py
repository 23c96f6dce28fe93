"""The whole protocol stack: one map session, cut at every byte, gives the same documents."""

from __future__ import annotations

import contextlib

import pytest

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.early_payload import EarlyPayloadReader, challenge_json, encode_early_payload
from netmap_actors.protocol.http2 import Http2Client, Http2Server, ResponseData, ResponseEnded
from netmap_actors.protocol.keys import ChallengePublic, MachinePrivate
from netmap_actors.protocol.map_framing import MapFrameReader, encode_frame
from netmap_actors.protocol.noise import Initiator, NoiseFrames, RecordStream, Responder
from netmap_actors.protocol.upgrade import UpgradeClient, UpgradeServer

SERVER_KEY = MachinePrivate.from_raw(b"\x33" * 32)
CHALLENGE = challenge_json(ChallengePublic(b"\x07" * 32))
DOCUMENTS = [
    b'{"KeepAlive":true}',
    b'{"Domain":"example.com","Peers":[' + b"0," * 3000 + b"0]}",
    b'{"KeepAlive":true}',
]


class Client:
    """The client's stack of a control connection."""

    def __init__(self) -> None:
        self.initiator = Initiator(
            MachinePrivate.from_raw(b"\x11" * 32), SERVER_KEY.public(), 145, b"\x22" * 32
        )
        self.upgrade: UpgradeClient | None = UpgradeClient("h", self.initiator.initiation)
        self.frames = NoiseFrames()
        self.records: RecordStream | None = None
        self.early = EarlyPayloadReader()
        self.payload: bytes | None = None
        self.http2 = Http2Client("h")
        self.stream_id = self.http2.request("POST", "/machine/map", body=b"{}", stream=True)
        self.map = MapFrameReader()
        self.documents: list[bytes] = []
        self.ended = False

    def receive(self, data: bytes) -> None:
        if self.upgrade is not None:
            accepted = self.upgrade.receive(data)
            if accepted is None:
                return
            self.upgrade, data = None, accepted.trailing
        if self.records is None:
            response = self.frames.receive(data)
            if response is None:
                return
            self.records, data = RecordStream(self.initiator.receive(response)), self.frames.trailing
        plaintext = b"".join(self.records.receive(data))
        payload, rest = self.early.receive(plaintext)
        self.payload = self.payload if payload is None else payload
        for event in self.http2.receive(rest, 0.0):
            if isinstance(event, ResponseData):
                self.documents += self.map.receive(event.data)
            elif isinstance(event, ResponseEnded):
                self.map.eof()
                self.ended = True


def session(*, early_payload: bool) -> bytes:
    """Everything a server sends in one short session, to the client above."""
    client, door = Client(), UpgradeServer()
    assert client.upgrade is not None
    (request,) = door.receive(client.upgrade.data_to_send())
    response, ciphers, _, _ = Responder(SERVER_KEY, b"\x44" * 32).receive(door.initiation(request))
    assert door.accept() == b""
    wire = door.data_to_send() + response
    records, http2 = RecordStream(ciphers), Http2Server()
    if early_payload:
        block = encode_early_payload(CHALLENGE)
        wire += b"".join(records.seal(part) for part in (block[:5], block[5:9], block[9:]))
    http2.receive(client.http2.data_to_send(), 0.0)
    http2.respond(client.stream_id, 200, end=False)
    for document in DOCUMENTS:
        http2.send_data(client.stream_id, encode_frame(document, compress=True))
        wire += records.seal(http2.data_to_send())
    http2.send_data(client.stream_id, b"", end=True)
    return wire + records.seal(http2.data_to_send())


@pytest.mark.parametrize("early_payload", [True, False])
def test_f20_a_session_cut_at_each_byte_is_the_same_session(early_payload: bool) -> None:
    wire = session(early_payload=early_payload)
    for cut in range(len(wire) + 1):
        client = Client()
        client.receive(wire[:cut])
        client.receive(wire[cut:])
        assert client.documents == DOCUMENTS
        assert client.ended
        assert client.payload == (CHALLENGE if early_payload else None)


@pytest.mark.parametrize("early_payload", [True, False])
def test_f20_a_session_trickled_byte_by_byte_is_the_same_session(early_payload: bool) -> None:
    client = Client()
    for byte in session(early_payload=early_payload):
        client.receive(bytes([byte]))
    assert client.documents == DOCUMENTS
    assert client.ended


def test_a_flip_of_any_byte_never_changes_a_document() -> None:
    wire = session(early_payload=True)
    for position in range(len(wire)):
        client = Client()
        tampered = bytearray(wire)
        tampered[position] ^= 0x01
        with contextlib.suppress(RemoteProtocolError):
            client.receive(bytes(tampered))
        assert client.documents == DOCUMENTS[: len(client.documents)]
