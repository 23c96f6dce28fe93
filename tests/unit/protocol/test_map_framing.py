"""Map framing: the same documents in any fragmentation, and bounded allocation."""

from __future__ import annotations

import itertools
import struct
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.boot import MAX_MAP_RESPONSE
from netmap_actors.errors import BadMapResponse, LocalProtocolError
from netmap_actors.protocol.map_framing import MapFrameReader, encode_frame
from netmap_actors.protocol.zstd_frame import encode_zstd_frame, parse_frame_header
from tests.support.work import calls_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEEP_ALIVE = b'{"KeepAlive":true}'
MAGIC = "28b52ffd"
ONE_TERABYTE = "28b52ffde06c06060663636363"
"""Thirteen bytes that declare 7 * 10**18 bytes of content (python-zstandard issue 332)."""


def frame(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def refused(body: bytes, *, max_decoded: int = MAX_MAP_RESPONSE, compressed: bool = True) -> str:
    reader = MapFrameReader(max_decoded, compressed=compressed)
    with pytest.raises(BadMapResponse) as caught:
        reader.receive(frame(body))
    with pytest.raises(BadMapResponse):
        reader.receive(b"")
    return str(caught.value)


def unsized_frame(content: bytes, window_log: int = 17) -> bytes:
    options: dict[int, int] = {
        zstd.CompressionParameter.content_size_flag: 0,
        zstd.CompressionParameter.window_log: window_log,
    }
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(content) + compressor.flush()


documents_strategy = st.lists(st.binary(min_size=1, max_size=3000), max_size=5)


@given(documents_strategy, st.lists(st.integers(0, 20_000), max_size=40), st.booleans())
def test_documents_come_out_whole_at_any_split(
    documents: list[bytes], cuts: list[int], compress: bool
) -> None:
    wire = b"".join(encode_frame(document, compress=compress) for document in documents)
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    reader = MapFrameReader(compressed=compress)
    got = [d for a, b in itertools.pairwise(edges) for d in reader.receive(wire[a:b])]
    assert got == documents
    assert not reader.partial
    reader.eof()


@pytest.mark.parametrize("compress", [True, False])
def test_documents_come_out_whole_byte_by_byte(compress: bool) -> None:
    wire = encode_frame(KEEP_ALIVE, compress=compress) + encode_frame(b"[1]" * 400, compress=compress)
    reader = MapFrameReader(compressed=compress)
    got = []
    for n in range(len(wire)):
        got += reader.receive(wire[n : n + 1])
    assert got == [KEEP_ALIVE, b"[1]" * 400]


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("keep", [1, 3, 4, 5, 12])
def test_a_body_that_ends_inside_a_frame_is_an_error(compress: bool, keep: int) -> None:
    reader = MapFrameReader(compressed=compress)
    assert reader.receive(encode_frame(KEEP_ALIVE, compress=compress)[:keep]) == []
    assert reader.partial
    with pytest.raises(BadMapResponse):
        reader.eof()


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("length", [0, MAX_MAP_RESPONSE + 1, 0xFFFFFFFF])
def test_f18_a_bad_length_is_refused_from_its_four_bytes(length: int, compressed: bool) -> None:
    reader = MapFrameReader(compressed=compressed)
    with pytest.raises(BadMapResponse):
        reader.receive(struct.pack("<I", length))


def test_f18_the_announced_length_allocates_nothing() -> None:
    for compressed in (True, False):
        reader = MapFrameReader(compressed=compressed)
        tracemalloc.start()
        reader.receive(struct.pack("<I", MAX_MAP_RESPONSE))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000


def test_the_limit_holds_for_each_document_and_not_for_their_sum() -> None:
    document = b"x" * 3000
    for compress in (True, False):
        wire = encode_frame(document, compress=compress)
        reader = MapFrameReader(3000, compressed=compress)
        assert reader.receive(wire * 3) == [document] * 3
        with pytest.raises(BadMapResponse):
            MapFrameReader(2999, compressed=compress).receive(wire)


def test_thirteen_bytes_that_ask_for_seven_exabytes_are_refused() -> None:
    tracemalloc.start()
    assert "declared" in refused(bytes.fromhex(ONE_TERABYTE))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (bytes.fromhex("502a4d1804000000aaaaaaaa"), "begins with"),
        (bytes.fromhex("5f2a4d1800000000") + encode_zstd_frame(KEEP_ALIVE), "begins with"),
        (KEEP_ALIVE, "begins with"),
        (b"\x28", "begins with"),
        (bytes.fromhex(MAGIC), "inside its header"),
        (bytes.fromhex(MAGIC + "a0"), "inside its header"),
        (bytes.fromhex(MAGIC + "00"), "inside its header"),
        (bytes.fromhex(MAGIC + "28" + "00" * 20), "reserved bit"),
        (bytes.fromhex(MAGIC + "21" + "07" + "00" * 20), "dictionary"),
        (bytes.fromhex(MAGIC + "00" + "70" + "00" * 20), "window"),
        (bytes.fromhex(MAGIC + "00" + "69" + "00" * 20), "window"),
        (encode_zstd_frame(KEEP_ALIVE)[:-1], "not finished"),
        (encode_zstd_frame(KEEP_ALIVE) + b"\x00", "behind the end"),
        (encode_zstd_frame(KEEP_ALIVE) * 2, "behind the end"),
        (encode_zstd_frame(b"x" * 500) + b"\x00", "behind the end"),
        (encode_zstd_frame(KEEP_ALIVE)[:-4] + b"\x00\x00\x00\x00", "decompress"),
    ],
)
def test_only_one_whole_and_plain_zstd_frame_is_accepted(body: bytes, why: str) -> None:
    assert why in refused(body)


def test_bytes_behind_the_frame_are_refused_even_when_they_come_later() -> None:
    body = encode_zstd_frame(KEEP_ALIVE) + b"\x00"
    reader = MapFrameReader()
    assert reader.receive(frame(body)[:-1]) == []
    with pytest.raises(BadMapResponse):
        reader.receive(b"\x00")


@pytest.mark.parametrize("declared", [499, 501])
def test_the_declared_size_must_be_the_real_one(declared: int) -> None:
    body = bytearray(encode_zstd_frame(b"x" * 500))
    assert body[4] >> 6 == 1
    body[5:7] = struct.pack("<H", declared - 256)
    refused(bytes(body))


def test_a_size_that_so_few_bytes_cannot_hold_is_refused_before_decoding() -> None:
    body = bytes.fromhex(MAGIC + "a0") + struct.pack("<I", 200 << 20) + bytes(10)
    assert "cannot hold" in refused(body)


def test_the_densest_frame_is_still_accepted() -> None:
    zeros = bytes(20 << 20)
    assert MapFrameReader().receive(encode_frame(zeros, compress=True)) == [zeros]


def test_a_bomb_without_declared_size_stops_at_the_limit() -> None:
    limit = 2 << 20
    body = unsized_frame(bytes(64 << 20))
    assert parse_frame_header(body[:18]).content_size is None
    tracemalloc.start()
    assert "more than" in refused(body, max_decoded=limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * limit


def test_a_frame_without_declared_size_is_accepted() -> None:
    assert MapFrameReader().receive(frame(unsized_frame(KEEP_ALIVE))) == [KEEP_ALIVE]
    assert MapFrameReader().receive(frame(unsized_frame(KEEP_ALIVE, 23))) == [KEEP_ALIVE]


def test_our_own_frames_are_those_of_go_servers() -> None:
    for size in (1, 255, 256, 70_000, 9 << 20):
        header = parse_frame_header(encode_zstd_frame(bytes(size))[:18])
        assert header.single_segment
        assert header.content_size == header.window_size == size


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_a_document_or_a_bad_map_response(body: bytes) -> None:
    for prefix in (b"", bytes.fromhex(MAGIC)):
        try:
            MapFrameReader(1 << 20).receive(frame(prefix + body))
        except BadMapResponse:
            continue


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_flip_in_a_compressed_frame_never_passes_unnoticed(position: int, mask: int) -> None:
    document = b'{"Domain":"example.com","KeepAlive":true,"Peers":[1,2,3]}' * 3
    body = bytearray(encode_zstd_frame(document))
    body[position % len(body)] ^= mask
    try:
        got = MapFrameReader(1 << 20).receive(frame(bytes(body)))
    except BadMapResponse:
        return
    assert got == [document]


def test_an_empty_document_cannot_be_framed() -> None:
    with pytest.raises(LocalProtocolError):
        encode_frame(b"", compress=False)
    with pytest.raises(LocalProtocolError):
        encode_frame(b"", compress=True)


def test_a_map_four_times_as_large_takes_four_times_the_work_to_unframe() -> None:
    def calls(peers: int) -> int:
        document = b",".join(
            b'{"ID":%d,"Key":"nodekey:%064x","Online":true}' % (n, n * n) for n in range(peers)
        )
        wire = encode_frame(document, compress=True)
        reader, got = MapFrameReader(), []

        def unframe() -> None:
            for at in range(0, len(wire), 4077):
                got.extend(reader.receive(wire[at : at + 4077]))

        number = calls_of(unframe)
        assert got == [document]
        return number

    assert calls(80_000) < 5 * calls(20_000)
