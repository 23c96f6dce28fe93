"""The documents of a map session: large ones are told in parts while they come."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.control_connection.client import map_session
from netmap_actors.control_connection.client.events import MapDocument, MapText
from netmap_actors.control_connection.client.map_session import MapSession
from netmap_actors.protocol.map_framing import encode_frame

PART = 16 * 1024


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_session, "TEXT_PART", PART)


def document(size: int) -> bytes:
    # Digits that compress little, so that the frame takes many reads.
    noise = "".join(f"{number * number:x}" for number in range(size // 4))[:size]
    return json.dumps({"Node": {"ID": 1}, "Domain": "x", "Later": noise}).encode()


DOCUMENTS = {size: document(size) for size in (10, PART, 4 * PART, 9 * PART)}


@given(
    st.lists(st.sampled_from([10, PART, 4 * PART, 9 * PART]), min_size=1, max_size=4),
    st.integers(3_000, 100_000),
)
def test_parts_and_rest_are_the_document_at_any_read(sizes: list[int], read: int) -> None:
    documents = [DOCUMENTS[size] for size in sizes]
    wire = b"".join(encode_frame(one, compress=True) for one in documents)
    session = MapSession(1, 1, 0.0, 1 << 20)
    whole: list[bytes] = []
    text = b""
    for start in range(0, len(wire), read):
        session.begin_read()
        for come in session.receive(wire[start : start + read], 1.0):
            if isinstance(come, MapText):
                assert len(come.text) >= PART
                assert (come.session, come.number, come.offset) == (1, len(whole) + 1, len(text))
                text += come.text
            else:
                event, _ = come
                assert isinstance(event, MapDocument)
                assert (event.number, event.told) == (len(whole) + 1, len(text))
                assert event.json.startswith(text)
                whole.append(event.json)
                text = b""
    assert whole == documents


def test_only_a_large_document_is_told_in_parts() -> None:
    large, small = (MapSession(1, 1, 0.0, 1 << 20) for _ in range(2))
    wire = encode_frame(DOCUMENTS[9 * PART], compress=True)
    assert any(isinstance(come, MapText) for come in large.receive(wire, 1.0))
    wire = encode_frame(document(PART // 2), compress=True)
    assert [type(come) for come in small.receive(wire, 1.0)] == [tuple]
