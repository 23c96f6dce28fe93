"""The ts2021 handshake against fixed vectors, with the second record of both directions, and under tampering.

The expected bytes come from an independent model of the handshake that reproduces the public cacophony vector of
Noise_IK_25519_ChaChaPoly_BLAKE2s. A little-endian nonce would pass every first record and fail every second.
"""

from __future__ import annotations

import base64

import pytest

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.keys import MachineKey, MachinePrivate
from netmap_actors.protocol.noise import Initiator, RecordStream, Responder, TransportCiphers

CLIENT_STATIC = MachinePrivate.from_raw(b"\x11" * 32)
CLIENT_EPHEMERAL = b"\x22" * 32
SERVER_STATIC = MachinePrivate.from_raw(b"\x33" * 32)
SERVER_EPHEMERAL = b"\x44" * 32
VERSION = 130

CLIENT_PUBLIC = MachineKey.parse("mkey:7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13")
SERVER_PUBLIC = MachineKey.parse("mkey:7b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b14")
INITIATION = bytes.fromhex(
    "00820100600faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"
    "61d2949213e755bc180b5d5dbbd8c50a2a1beb69f8940d24cab4606a34cd5d41bc1ff365da"
    "b9720023c14c30934a4833f8c3c41ef9bdfa0e56f6895571c8f6f4"
)
HEADER = (
    "AIIBAGAPqmhO0ohnuX9Kai3uXfjOl052twGOPyKhxM8meFcPIGHSlJIT51W8GAtdXbvYxQoqG+tp"
    "+JQNJMq0YGo0zV1BvB/zZdq5cgAjwUwwk0pIM/jDxB75vfoOVvaJVXHI9vQ="
)
RESPONSE = bytes.fromhex(
    "020030ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b2c3f1b7bf58f2edaee270afd38fbfb96"
)
HANDSHAKE_HASH = "ea034da9232f84fcefa7a09cf76dc84a3467bb5af8a988a1abd8103031b00fcc"
K1 = "d9811dd6a320dc8484bb37ea989640c99f99a8582f50b829e347bd75da510717"
K2 = "8561e3fd4551ed82ee22220925e41e923d64b1c04b856f8ec1eaa544a511a427"
CLIENT_RECORDS = [
    (b"hello", "0400153eb7c70f517b459ce906fe831d0a1cc7d9d8bf3725"),
    (b"world", "040015192e649f9025fcbe0d2f65570f763035dd30ce57ae"),
]
SERVER_RECORDS = [
    (b"hello", "040015916b2f8d08168f8cec88cc3a625b975d5566051b63"),
    (b"world", "040015de1a70b50c2b8d6b43ae8557cf26c22c4d5542e018"),
]


def initiator() -> Initiator:
    return Initiator(CLIENT_STATIC, SERVER_PUBLIC, VERSION, CLIENT_EPHEMERAL)


def responder() -> Responder:
    return Responder(SERVER_STATIC, SERVER_EPHEMERAL)


def ciphers() -> tuple[TransportCiphers, TransportCiphers]:
    client = initiator()
    response, server, _, _ = responder().receive(client.initiation)
    return client.receive(response), server


def test_public_keys_of_the_vector() -> None:
    assert CLIENT_STATIC.public() == CLIENT_PUBLIC
    assert SERVER_STATIC.public() == SERVER_PUBLIC


def test_the_initiation_is_that_of_the_vector() -> None:
    assert initiator().initiation == INITIATION
    assert base64.b64encode(INITIATION).decode() == HEADER


def test_the_response_is_that_of_the_vector() -> None:
    response, _, client, version = responder().receive(INITIATION)
    assert response == RESPONSE
    assert client == CLIENT_PUBLIC
    assert version == VERSION


def test_both_sides_derive_the_keys_of_the_vector() -> None:
    client, server = ciphers()
    assert (client.send.hex(), client.receive.hex(), client.handshake_hash.hex()) == (K1, K2, HANDSHAKE_HASH)
    assert (server.send.hex(), server.receive.hex(), server.handshake_hash.hex()) == (K2, K1, HANDSHAKE_HASH)


def test_the_first_and_second_records_of_both_directions() -> None:
    client, server = (RecordStream(side) for side in ciphers())
    for plaintext, record in CLIENT_RECORDS:
        assert client.seal(plaintext).hex() == record
        assert server.receive(bytes.fromhex(record)) == [plaintext]
    for plaintext, record in SERVER_RECORDS:
        assert server.seal(plaintext).hex() == record
        assert client.receive(bytes.fromhex(record)) == [plaintext]


@pytest.mark.parametrize("bit", [0x01, 0x80])
@pytest.mark.parametrize("position", range(len(INITIATION)))
def test_a_flip_anywhere_in_the_initiation_fails(position: int, bit: int) -> None:
    tampered = bytearray(INITIATION)
    tampered[position] ^= bit
    with pytest.raises(RemoteProtocolError):
        responder().receive(bytes(tampered))


@pytest.mark.parametrize("bit", [0x01, 0x80])
@pytest.mark.parametrize("position", range(len(RESPONSE)))
def test_a_flip_anywhere_in_the_response_fails(position: int, bit: int) -> None:
    tampered = bytearray(RESPONSE)
    tampered[position] ^= bit
    with pytest.raises(RemoteProtocolError):
        initiator().receive(bytes(tampered))


@pytest.mark.parametrize("bit", [0x01, 0x80])
@pytest.mark.parametrize("position", range(len(bytes.fromhex(SERVER_RECORDS[0][1]))))
def test_a_flip_anywhere_in_a_record_fails_or_never_yields_plaintext(position: int, bit: int) -> None:
    client = RecordStream(ciphers()[0])
    tampered = bytearray.fromhex(SERVER_RECORDS[0][1])
    tampered[position] ^= bit
    # The length is not authenticated: a longer one leaves the stream waiting until enough bytes are there to fail.
    with pytest.raises(RemoteProtocolError):
        assert client.receive(bytes(tampered)) == []
        client.receive(bytes(4096))
    with pytest.raises(RemoteProtocolError):
        client.receive(b"")
