"""Output holds no invisible or controlling character and keeps its value."""

from __future__ import annotations

import functools
import json
import os
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from netmap_actors import shown_json
from netmap_actors.errors import escape
from netmap_actors.exports import netmap_json, prometheus_sd
from netmap_actors.http_endpoint import json_parts, metrics
from netmap_actors.slices import complete
from netmap_actors.subscriber import Snapshot
from tests.unit.exports.test_exports import netmap_of

HIDDEN = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0x61C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    0xE0041,
]
"""C0 and C1 controls, DELETE, bidirectional marks, line separators, characters without width, a tag."""
NAME = "a" + "".join(map(chr, HIDDEN)) + '\\ " é 日 😀 z'


def hides(text: str) -> set[str]:
    return {character for character in text if ord(character) in HIDDEN} - {"\n"}


def evil():
    return netmap_of({"name": NAME, "os": NAME, "tags": [NAME], "hostname": NAME, "online": True})


def outputs() -> dict[str, str]:
    netmap = evil()
    snapshot = Snapshot(netmap=netmap, state="fresh", age_s=1.0, epoch=1, seq=1)
    document = netmap_json.json_object(snapshot)
    shown = metrics.Shown(snapshot, None, {}, peers=frozenset())
    groups = list(prometheus_sd.target_groups(netmap, state="fresh", port=1))
    return {
        "netmap --json": netmap_json.text(document),
        "export sd": prometheus_sd.text(groups),
        "/netmap": b"".join(json_parts.json_parts(netmap)).decode(),
        "/sd": b"".join(json_parts.array_parts(iter(groups))).decode(),
        "/metrics": complete(metrics.page(shown, ""))[1].decode(),
        "/metrics as OpenMetrics": complete(
            metrics.page(shown, "application/openmetrics-text; version=1.0.0")
        )[1].decode(),
    }


@pytest.mark.parametrize("output", sorted(outputs()))
def test_no_output_holds_a_character_that_hides(output) -> None:
    assert hides(outputs()[output]) == set()


@pytest.mark.parametrize("output", ["netmap --json", "/netmap"])
def test_json_says_the_same(output) -> None:
    (peer,) = json.loads(outputs()[output])["peers"]
    assert (peer["name"], peer["os"], peer["tags"]) == (NAME, NAME, [NAME])


def test_metrics_can_be_read() -> None:
    families = {family.name: family for family in text_string_to_metric_families(outputs()["/metrics"])}
    (sample,) = families["netmap_peer_online"].samples
    assert sample.labels["name"].startswith("a")
    assert sample.labels["name"].endswith('\\ " é 日 😀 z')


TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from([chr(one) for one in HIDDEN]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_is_shown_is_the_same_value_and_hides_nothing(value) -> None:
    data = shown_json.encode(value)
    assert json.loads(data) == msgspec.json.decode(data) == value
    assert _hidden(data.decode()) == []
    assert shown_json.escaped(data) == data, "it is written once"
    assert json.loads(shown_json.indented(value)) == value


@given(TEXT)
def test_json_of_others_stays_the_same_value(text) -> None:
    for data in (
        msgspec.json.encode(text),
        json.dumps(text).encode(),
        json.dumps(text, ensure_ascii=False).encode(),
    ):
        assert json.loads(shown_json.escaped(data)) == text
        assert _hidden(shown_json.escaped(data).decode()) == []


@given(TEXT)
def test_a_label_hides_nothing_and_what_shows_stays(text) -> None:
    assert _hidden(shown_json.label(text)) == []
    # Some that show as nothing have no category of their own: they are not assigned yet.
    if not _hidden(text) and not any(ord(one) in ignorable() for one in text):
        assert shown_json.label(text) == text


def _hidden(text: str) -> list[str]:
    return [one for one in text if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp", "Cs"}]


IGNORABLE = (
    "AD 34F 61C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF0-FFF8 "
    "1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
"""Default_Ignorable_Code_Point, Unicode 16.0, DerivedCoreProperties.txt."""


@functools.cache
def ignorable() -> set[int]:
    ends = [[int(end, 16) for end in word.split("-")] for word in IGNORABLE.split()]
    return {number for first, *last in ends for number in range(first, (last or [first])[0] + 1)}


def test_what_shows_as_nothing_is_an_escape_in_json_in_labels_and_in_text() -> None:
    for number in ignorable():
        name = f"a{chr(number)}b"
        assert shown_json.encode(name).isascii(), hex(number)
        assert json.loads(shown_json.encode(name)) == name
        assert shown_json.label(name).isascii(), hex(number)
        assert escape(name) == shown_json.label(name), hex(number)


@given(TEXT | st.text())
def test_text_for_people_hides_nothing_that_json_would_not(text) -> None:
    shown = escape(text, 1000)
    assert _hidden(shown) == []
    assert shown.isprintable()
    assert shown_json.label(shown) == shown


def test_every_character_that_hides_is_known_as_text_and_as_bytes() -> None:
    hidden = {number for first, last in shown_json.HIDDEN for number in range(first, last + 1)}
    assert hidden >= ignorable()
    for number in (number for number in range(0x110000) if not 0xD800 <= number <= 0xDFFF):
        character = chr(number)
        listed = number in hidden
        assert listed or not _hidden(character), hex(number)
        assert (shown_json.label(character) != character) == listed, hex(number)
        if number >= 0x20:  # what is below, JSON has always escaped
            assert (shown_json.escaped(character.encode()) != character.encode()) == listed, hex(number)


def test_half_a_surrogate_is_written_and_comes_back() -> None:
    name = os.fsdecode(b"/run/\xff\x9b")
    assert json.loads(shown_json.encode({name: [name, 1, "\x9b"]})) == {name: [name, 1, "\x9b"]}
    assert shown_json.label(name) == "/run/\\udcff\\udc9b"


def test_what_hides_not_costs_nothing() -> None:
    plain = b'{"name":"web-1.example.ts.net."}'
    assert shown_json.escaped(plain) is plain
