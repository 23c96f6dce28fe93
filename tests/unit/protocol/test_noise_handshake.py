"""The handshake machines: order of calls, and valid and invalid messages."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.keys import BadKey, MachineKey, MachinePrivate
from netmap_actors.protocol.noise import (
    HandshakeError,
    HandshakeRefused,
    Initiator,
    NoiseFrames,
    RecordStream,
    Responder,
    encode_error,
)

CLIENT = MachinePrivate.from_raw(b"\x11" * 32)
SERVER = MachinePrivate.from_raw(b"\x33" * 32)

secrets32 = st.binary(min_size=32, max_size=32).filter(any)


def handshake(version: int = 145) -> tuple[bytes, bytes]:
    client = Initiator(CLIENT, SERVER.public(), version, b"\x22" * 32)
    response, _, _, _ = Responder(SERVER, b"\x44" * 32).receive(client.initiation)
    return client.initiation, response


@settings(max_examples=30)
@given(secrets32, secrets32, secrets32, secrets32, st.integers(0, 65535))
def test_any_keys_and_version_agree(
    client_static: bytes, client_ephemeral: bytes, server_static: bytes, server_ephemeral: bytes, version: int
) -> None:
    machine, server = MachinePrivate.generate(client_static), MachinePrivate.generate(server_static)
    client = Initiator(machine, server.public(), version, client_ephemeral)
    response, ciphers, seen, stated = Responder(server, server_ephemeral).receive(client.initiation)
    mine = client.receive(response)
    assert (seen, stated) == (machine.public(), version)
    assert (mine.send, mine.receive) == (ciphers.receive, ciphers.send)
    assert mine.handshake_hash == ciphers.handshake_hash
    assert RecordStream(mine).receive(RecordStream(ciphers).seal(b"x")) == [b"x"]


def test_a_new_ephemeral_changes_every_secret_part_of_the_messages() -> None:
    first = Initiator(CLIENT, SERVER.public(), 145, b"\x22" * 32).initiation
    second = Initiator(CLIENT, SERVER.public(), 145, b"\x23" * 32).initiation
    assert first[5:37] != second[5:37]
    assert first[37:85] != second[37:85]
    assert first[85:] != second[85:]


def test_another_server_key_cannot_read_the_initiation() -> None:
    initiation, _ = handshake()
    with pytest.raises(RemoteProtocolError):
        Responder(MachinePrivate.from_raw(b"\x34" * 32), b"\x44" * 32).receive(initiation)


def test_an_ephemeral_of_low_order_is_refused() -> None:
    initiation, response = handshake()
    with pytest.raises(RemoteProtocolError):
        Responder(SERVER, b"\x44" * 32).receive(initiation[:5] + bytes(32) + initiation[37:])
    with pytest.raises(RemoteProtocolError):
        Initiator(CLIENT, SERVER.public(), 145, b"\x22" * 32).receive(
            response[:3] + bytes(32) + response[35:]
        )


@pytest.mark.parametrize("version", [-1, 65536])
def test_a_version_beyond_16_bits_is_our_own_fault(version: int) -> None:
    with pytest.raises(LocalProtocolError):
        Initiator(CLIENT, SERVER.public(), version, b"\x22" * 32)


def test_a_zero_server_key_or_ephemeral_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(BadKey):
        Initiator(CLIENT, MachineKey.zero(), 145, b"\x22" * 32)
    with pytest.raises(BadKey):
        Initiator(CLIENT, SERVER.public(), 145, bytes(32))
    with pytest.raises(BadKey):
        Responder(SERVER, bytes(32))


@pytest.mark.parametrize("cut", [0, 1, 5, 50, 100, 102, 200])
def test_an_initiation_of_another_size_is_refused(cut: int) -> None:
    initiation, _ = handshake()
    with pytest.raises(RemoteProtocolError):
        Responder(SERVER, b"\x44" * 32).receive((initiation + bytes(100))[:cut])


@pytest.mark.parametrize("cut", [0, 1, 3, 50, 52])
def test_a_response_of_another_size_is_refused(cut: int) -> None:
    _, response = handshake()
    with pytest.raises(RemoteProtocolError):
        Initiator(CLIENT, SERVER.public(), 145, b"\x22" * 32).receive((response + bytes(9))[:cut])


def test_each_machine_works_once_even_after_a_failure() -> None:
    initiation, response = handshake()
    client = Initiator(CLIENT, SERVER.public(), 145, b"\x22" * 32)
    with pytest.raises(RemoteProtocolError):
        client.receive(bytes(51))
    with pytest.raises(LocalProtocolError):
        client.receive(response)
    server = Responder(SERVER, b"\x44" * 32)
    server.receive(initiation)
    with pytest.raises(LocalProtocolError):
        server.receive(initiation)


def test_transport_keys_are_not_printed() -> None:
    client = Initiator(CLIENT, SERVER.public(), 145, b"\x22" * 32)
    _, ciphers, _, _ = Responder(SERVER, b"\x44" * 32).receive(client.initiation)
    assert repr(ciphers) == "TransportCiphers[redacted]"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(st.integers(0, 10_000)), st.binary(max_size=200))
def test_the_response_frame_is_found_at_any_split(cuts: list[int], trailing: bytes) -> None:
    _, response = handshake()
    frames = NoiseFrames()
    found, rest = None, b""
    for piece in pieces(response + trailing, cuts):
        if found is None:
            found = frames.receive(piece)
            rest = frames.trailing
        else:
            rest += piece
    assert found == response
    assert rest == trailing


@given(st.lists(st.integers(0, 10_000)), st.text(max_size=50))
def test_the_error_frame_is_read_at_any_split_and_escaped(cuts: list[int], text: str) -> None:
    frames = NoiseFrames()
    with pytest.raises(HandshakeError) as caught:
        for piece in pieces(encode_error(text + "\x1b[31m"), cuts):
            assert frames.receive(piece) is None
    assert "\x1b" not in caught.value.text
    assert caught.value.text.endswith("\\x1b[31m")


@pytest.mark.parametrize(
    "frame",
    [
        b"\x01\x00\x30",
        b"\x04\x00\x15",
        b"\x00",
        b"HTTP/1.1",
        b"\x02\x00\x31",
        b"\x02\x00\x00",
        b"\x03\xff\xff",
    ],
)
def test_anything_else_after_101_is_refused_by_its_header(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        NoiseFrames().receive(frame)


@pytest.mark.parametrize("received", [b"", b"\x02", b"\x02\x00\x30" + bytes(47)])
def test_the_end_of_file_before_the_response_means_that_we_were_refused(received: bytes) -> None:
    frames = NoiseFrames()
    assert frames.receive(received) is None
    with pytest.raises(HandshakeRefused):
        frames.eof()


def test_the_end_of_file_inside_an_error_text_still_tells_it() -> None:
    frames = NoiseFrames()
    frames.receive(encode_error("unknown machine")[:-3])
    with pytest.raises(HandshakeError) as caught:
        frames.eof()
    assert caught.value.text == "unknown mach"


def test_a_long_error_text_is_cut() -> None:
    with pytest.raises(HandshakeError) as caught:
        NoiseFrames().receive(encode_error("x" * 100_000))
    assert len(caught.value.text) <= 201
