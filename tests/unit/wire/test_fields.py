from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.fields import BadPieces, cut, first_text, prefix, tag

peers = st.lists(
    st.builds(netmap_pb2.Peer, stable_id=st.text(max_size=5), json=st.binary(max_size=5000)), max_size=6
)


@given(peers, st.text(max_size=300), st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_what_is_joined_as_bytes_is_what_protobuf_would_have_written(peers, domain, dns, count) -> None:
    rest = netmap_pb2.SnapshotChunk(domain=domain, dns=dns, peer_count=count)
    pieces = [peer.SerializeToString() for peer in peers]
    joined = rest.SerializeToString() + b"".join(prefix(tag(1), len(piece)) + piece for piece in pieces)
    message = netmap_pb2.SnapshotChunk.FromString(joined)
    assert list(message.peers) == peers
    found, remaining = cut(message.SerializeToString(), 1)
    assert found == pieces
    assert netmap_pb2.SnapshotChunk.FromString(remaining) == rest


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data) -> None:
    for field in (1, 18):
        try:
            found, rest = cut(data, field)
        except BadPieces:
            continue
        assert sum(map(len, found)) + len(rest) <= len(data)
    with contextlib.suppress(BadPieces):
        first_text(data, 1)


def test_every_cut_of_a_message_is_one_or_is_refused() -> None:
    data = netmap_pb2.Reply(
        schema=1,
        token=b"t",
        epoch=2**40,
        age_s=1.5,
        part=3,
        snapshot=netmap_pb2.SnapshotChunk(domain="d" * 300),
    ).SerializeToString()
    whole, _ = cut(data, 18)
    assert len(whole) == 1
    refused = 0
    for end in range(len(data)):
        try:
            cut(data[:end], 18)
        except BadPieces:
            refused += 1
    assert refused > 300


@pytest.mark.parametrize(
    "data", [b"\x0b", b"\x0f\x00", b"\xff" * 12, b"\x0a\xff\xff\xff\xff\x0f", b"\x09\x00"]
)
def test_broken_messages_are_refused(data) -> None:
    with pytest.raises(BadPieces, match="cannot cut"):
        cut(data, 3)


def test_the_first_text_is_only_that_of_a_first_field() -> None:
    assert first_text(netmap_pb2.Peer(stable_id="näme", id=1).SerializeToString(), 1) == "näme"
    assert first_text(netmap_pb2.Peer(id=1).SerializeToString(), 1) is None
    with pytest.raises(BadPieces, match="UTF-8"):
        first_text(b"\x0a\x01\xff", 1)
