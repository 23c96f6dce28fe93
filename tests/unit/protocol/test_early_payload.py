"""The early payload: found or passed on in any fragmentation, within its limit."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.early_payload import (
    MAX_EARLY_PAYLOAD,
    EarlyPayloadReader,
    challenge_json,
    encode_early_payload,
)
from netmap_actors.protocol.keys import ChallengePublic

SETTINGS = bytes.fromhex("00000604000000000000040010000000")
JSON = challenge_json(ChallengePublic(b"\x07" * 32))


def run(wire: bytes, cuts: list[int]) -> tuple[list[bytes], bytes]:
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    reader = EarlyPayloadReader()
    payloads, rest = [], b""
    for a, b in itertools.pairwise(edges):
        payload, behind = reader.receive(wire[a:b])
        rest += behind
        if payload is not None:
            payloads.append(payload)
    return payloads, rest


@given(st.binary(max_size=300), st.binary(max_size=50), st.lists(st.integers(0, 1000)))
def test_a_payload_is_taken_out_at_any_split(json: bytes, rest: bytes, cuts: list[int]) -> None:
    assert run(encode_early_payload(json) + rest, cuts) == ([json], rest)


@given(st.lists(st.integers(0, 1000)))
def test_without_a_payload_http2_gets_every_byte(cuts: list[int]) -> None:
    assert run(SETTINGS, cuts) == ([], SETTINGS)


def test_what_servers_send() -> None:
    assert JSON == b'{"nodeKeyChallenge":"chalpub:' + b"07" * 32 + b'"}'
    assert encode_early_payload(JSON)[:9] == b"\xff\xff\xffTS\x00\x00\x00" + bytes([len(JSON)])


def test_a_frame_that_only_begins_like_the_magic_is_pushed_back() -> None:
    assert run(b"\xff\xff\xffTX" + SETTINGS, [1, 2, 3, 4, 5]) == ([], b"\xff\xff\xffTX" + SETTINGS)


def test_the_reader_says_when_it_is_done() -> None:
    reader = EarlyPayloadReader()
    assert reader.receive(b"\xff\xff") == (None, b"")
    assert not reader.done
    assert reader.receive(b"\x00") == (None, b"\xff\xff\x00")
    assert reader.receive(b"\xff\xff\xffTS") == (None, b"\xff\xff\xffTS")
    assert [reader.done] == [True]


@pytest.mark.parametrize("length", [MAX_EARLY_PAYLOAD + 1, 0xFFFFFFFF])
def test_a_long_payload_is_refused_from_its_length(length: int) -> None:
    with pytest.raises(RemoteProtocolError):
        EarlyPayloadReader().receive(b"\xff\xff\xffTS" + length.to_bytes(4, "big"))


def test_we_do_not_send_what_we_would_refuse() -> None:
    assert run(encode_early_payload(bytes(MAX_EARLY_PAYLOAD)), [])[0] == [bytes(MAX_EARLY_PAYLOAD)]
    with pytest.raises(LocalProtocolError):
        encode_early_payload(bytes(MAX_EARLY_PAYLOAD + 1))
