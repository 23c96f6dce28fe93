"""Transport records: any fragmentation, any size, fatal errors."""

from __future__ import annotations

import itertools
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.noise import MAX_PLAINTEXT, RecordStream, TransportCiphers

A, B = b"\xaa" * 32, b"\xbb" * 32


def pair() -> tuple[RecordStream, RecordStream]:
    return RecordStream(TransportCiphers(A, B, b"")), RecordStream(TransportCiphers(B, A, b""))


def empty_record(counter: int) -> bytes:
    ciphertext = ChaCha20Poly1305(A).encrypt(struct.pack(">4xQ", counter), b"", None)
    return struct.pack(">BH", 4, len(ciphertext)) + ciphertext


@given(st.lists(st.binary(max_size=9000), max_size=4), st.lists(st.integers(0, 40_000), max_size=30))
def test_what_is_sealed_arrives_whole_at_any_split(writes: list[bytes], cuts: list[int]) -> None:
    sender, receiver = pair()
    wire = b"".join(sender.seal(write) for write in writes)
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    got = [p for a, b in itertools.pairwise(edges) for p in receiver.receive(wire[a:b])]
    whole = pair()[1].receive(wire)
    assert got == whole
    assert b"".join(got) == b"".join(writes)
    assert all(0 < len(piece) <= MAX_PLAINTEXT for piece in got)
    assert not receiver.partial


def test_a_record_trickled_byte_by_byte_arrives() -> None:
    sender, receiver = pair()
    wire = sender.seal(b"hello") + sender.seal(b"world")
    got = []
    for byte in wire:
        got += receiver.receive(bytes([byte]))
    assert got == [b"hello", b"world"]


@pytest.mark.parametrize(
    ("size", "records"), [(0, 0), (1, 1), (4077, 1), (4078, 2), (8154, 2), (8155, 3), (100_000, 25)]
)
def test_writes_are_split_at_4077_bytes(size: int, records: int) -> None:
    sender, receiver = pair()
    wire = sender.seal(bytes(size))
    assert len(wire) == size + records * 19
    got = receiver.receive(wire)
    assert len(got) == records
    assert sum(map(len, got)) == size


def test_empty_records_are_skipped_and_counted() -> None:
    _, receiver = pair()
    wire = b"".join(empty_record(n) for n in range(5))
    assert receiver.receive(wire[:50]) == []
    assert receiver.receive(wire[50:]) == []
    assert receiver.empty_records == 5


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">BH", 3, 40),
        struct.pack(">BH", 1, 40),
        struct.pack(">BH", 0, 0),
        struct.pack(">BH", 4, 0),
        struct.pack(">BH", 4, 15),
        struct.pack(">BH", 4, 4094),
        struct.pack(">BH", 4, 65535),
    ],
)
def test_a_bad_header_is_refused_before_its_body_is_there(header: bytes) -> None:
    _, receiver = pair()
    with pytest.raises(RemoteProtocolError):
        receiver.receive(header)
    with pytest.raises(RemoteProtocolError):
        receiver.receive(b"")
    with pytest.raises(LocalProtocolError):
        receiver.seal(b"x")


def test_the_largest_record_is_accepted() -> None:
    sender, receiver = pair()
    wire = sender.seal(bytes(MAX_PLAINTEXT))
    assert len(wire) == 4096
    assert receiver.receive(wire) == [bytes(MAX_PLAINTEXT)]


def test_a_repeated_or_swapped_record_is_refused() -> None:
    sender, receiver = pair()
    first, second = sender.seal(b"one"), sender.seal(b"two")
    assert receiver.receive(first) == [b"one"]
    with pytest.raises(RemoteProtocolError):
        receiver.receive(first)
    with pytest.raises(RemoteProtocolError):
        pair()[1].receive(second + first)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_flip_in_any_later_record_is_fatal(position: int, mask: int) -> None:
    sender, receiver = pair()
    receiver.receive(sender.seal(b"one"))
    wire = bytearray(sender.seal(b"some longer plaintext"))
    wire[position % len(wire)] ^= mask
    with pytest.raises(RemoteProtocolError):
        receiver.receive(bytes(wire))
        receiver.receive(bytes(4096))


def test_the_last_nonce_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netmap_actors.protocol.noise.record.NONCE_LIMIT", 2)
    sender, receiver = pair()
    receiver.receive(sender.seal(b"a") + sender.seal(b"b"))
    with pytest.raises(LocalProtocolError):
        sender.seal(b"c")
    with pytest.raises(RemoteProtocolError):
        receiver.receive(empty_record(2))


@given(st.binary(max_size=300))
def test_any_bytes_give_plaintext_or_a_protocol_error(data: bytes) -> None:
    _, receiver = pair()
    try:
        assert receiver.receive(data) == []
    except RemoteProtocolError:
        pass
    else:
        assert receiver.partial == bool(data)
