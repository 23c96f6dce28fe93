"""What a history tells a reader that goes on from an id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.history.answers import EVER, HistoryQuestion, NoHistory, ask, may_wait
from netmap_actors.history.occurrences import Entered, Happening, KnownNode, LaneOf, Occurrence, Recorded
from netmap_actors.history.questions import MAX_TOLD, question_in
from netmap_actors.history.store import HistoryStore
from netmap_actors.rfc3339 import stamp

if TYPE_CHECKING:
    from pathlib import Path

    from netmap_actors.history.answers import Answer

NOW = 1_767_323_045.0


def happened(at: float, kind: Happening = Happening.NODE_OFFLINE) -> Recorded:
    return Recorded((Occurrence(at=at, kind=kind, subject="n1", name="web-1.example.ts.net"),))


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    store = HistoryStore(tmp_path / "history.sqlite3", "default")
    store.write([Recorded((), (Entered(LaneOf.RUN, "", "running", NOW, {}),))], [], NOW)
    store.write([happened(NOW + number) for number in range(5)], [], NOW + 5)
    return store


def told(store: HistoryStore, **fields: Any) -> Answer:
    return ask(store, HistoryQuestion(**fields), NOW + 60)


def ids(answer: Answer) -> list[int]:
    return [number for number, _ in answer.occurrences]


@pytest.mark.parametrize(
    ("asked", "expected", "more"),
    [
        ({}, [1, 2, 3, 4, 5], False),
        ({"most": 2}, [4, 5], True),
        ({"most": 2, "oldest": True}, [1, 2], True),
        ({"after_id": 2, "most": 2, "oldest": True}, [3, 4], True),
        ({"after_id": 3, "most": 2, "oldest": True}, [4, 5], False),
        ({"after_id": 5, "oldest": True}, [], False),
        ({"after_id": 3, "file": "of another"}, [1, 2, 3, 4, 5], False),
    ],
)
def test_a_reader_goes_on_where_it_was(
    store: HistoryStore, asked: dict[str, Any], expected: list[int], more: bool
) -> None:
    answer = told(store, **asked)
    assert (ids(answer), answer.more) == (expected, more)
    assert (answer.file, answer.oldest_id, answer.newest_id) == (store.identity(), 1, 5)


@pytest.mark.parametrize("peers", [("x" * 60_000,), ("%" * 30_000,), tuple(map(str, range(5000)))])
def test_a_question_that_no_file_can_answer_is_refused_and_no_fault_of_the_file(
    store: HistoryStore, peers: tuple[str, ...]
) -> None:
    with pytest.raises(NoHistory, match="at most 100 can be named"):
        told(store, peers=peers)
    with pytest.raises(NoHistory, match="no node is or was called that"):
        told(store, peers=("%" * 1000,) * 100)


@pytest.mark.parametrize("oldest", [True, False])
def test_an_answer_is_bounded_by_its_text_too(store: HistoryStore, oldest: bool) -> None:
    name = "\N{SNOWMAN}" * 60_000
    renamed = Occurrence(
        at=NOW + 50, kind=Happening.NODE_RENAMED, subject="n1", name=name, detail={"name": {"to": name}}
    )
    store.write([Recorded((renamed,))] * 200, [], NOW + 50)
    answer = told(store, oldest=oldest, lanes=False, most=1000)
    assert 10 < len(answer.occurrences) < 100
    assert answer.more
    assert len(msgspec.json.encode(answer)) < MAX_TOLD / 2
    assert (answer.occurrences[0][0] == 1) is oldest
    seen, at = 0, 0
    while answer.more or not seen:
        answer = told(store, after_id=at, oldest=True, lanes=False, most=1000)
        seen, at = seen + len(answer.occurrences), answer.occurrences[-1][0]
    assert seen == answer.newest_id


@pytest.mark.parametrize("most", range(1, 8))
def test_page_by_page_everything_is_told_once(store: HistoryStore, most: int) -> None:
    store.write([happened(NOW - number) for number in range(5)], [], NOW)
    for start in range(12):
        seen: list[int] = []
        at, more = start, True
        while more:
            answer = told(store, after_id=at, oldest=True, most=most, lanes=False)
            seen += ids(answer)
            at, more = max([at, *ids(answer)]), answer.more
        assert seen == list(range(start + 1, 11))


@pytest.mark.parametrize("asked", [{}, {"since": NOW + 1.0}, {"since": NOW + 1.0, "after_id": 1}])
@pytest.mark.parametrize("oldest", [True, False])
def test_whichever_index_is_used_the_order_is_that_of_the_ids(
    store: HistoryStore, asked: dict[str, Any], oldest: bool
) -> None:
    """Times need not be in order: the clock was set back, or something was told late."""
    store.write([happened(NOW + 9 - number) for number in range(5)], [], NOW + 9)
    answer = told(store, oldest=oldest, most=4, **asked)
    first = 2 if asked else 1
    expected = list(range(first, 11))
    assert ids(answer) == (expected[:4] if oldest else expected[-4:])


def test_occurrences_alone_have_no_lanes(store: HistoryStore) -> None:
    assert told(store, since=NOW, until=NOW + 60).gaps == []
    assert told(store, since=NOW - 9, until=NOW).gaps != []
    bare = told(store, since=NOW - 9, until=NOW + 60, lanes=False)
    assert (bare.gaps, bare.netmap, bare.connection, bare.nodes) == ([], [], [], [])
    assert ids(bare) == [1, 2, 3, 4, 5]


def test_a_reader_learns_that_what_it_did_not_read_is_gone(store: HistoryStore) -> None:
    while store.prune(NOW + 3, 1 << 30):
        pass
    answer = told(store, after_id=1, oldest=True)
    assert (answer.oldest_id, ids(answer)) == (4, [4, 5])
    while store.prune(NOW + 30, 1 << 30):
        pass
    answer = told(store, after_id=3, oldest=True)
    assert (answer.oldest_id, answer.newest_id, ids(answer)) == (6, 5, [])


def test_each_file_is_another(store: HistoryStore, tmp_path: Path) -> None:
    other = HistoryStore(tmp_path / "other.sqlite3", "default")
    assert len(other.identity()) == 32
    assert other.identity() != store.identity()
    assert HistoryStore(tmp_path / "other.sqlite3", "default").identity() == other.identity()
    assert (told(other).oldest_id, told(other).newest_id) == (1, 0)


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ({"after_id": 5}, False),
        ({"after_id": 5, "wait": 9.0}, True),
        ({"after_id": 4, "wait": 9.0}, False),
        ({"after_id": 4, "wait": 9.0, "kinds": (Happening.GAP,)}, True),
        ({"after_id": 6, "wait": 9.0}, False),
        ({"after_id": 5, "wait": 9.0, "file": "of another"}, False),
    ],
)
def test_an_answer_is_withheld_while_there_is_nothing_to_tell(
    store: HistoryStore, asked: dict[str, Any], waits: bool
) -> None:
    """Not from a reader whose id is of another file, or of an end that a crash took back."""
    question = HistoryQuestion(**asked)
    assert may_wait(ask(store, question, NOW), question) is waits


@pytest.mark.parametrize(
    "asked",
    [
        {"since": -1.0},
        {"since": 5.0, "until": 5.0},
        {"until": EVER * 2},
        {"most": 0},
        {"wait": -1.0},
        {"after_id": -1},
        {"after_id": 1 << 63},
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(NoHistory, match="cannot show the history"):
        question_in(msgspec.json.encode(asked))


def test_all_of_the_time_can_be_written() -> None:
    assert stamp(EVER, "seconds") == "9999-12-31T23:59:59Z"
    assert question_in(b"{}") == HistoryQuestion(since=0.0, until=EVER)


def test_the_tags_of_its_nodes_are_told_to_who_asks_for_them_of_gone_ones_too(store: HistoryStore) -> None:
    tagged = KnownNode(stable_id="n1", name="web-1.example.ts.net", online=False, tags=("tag:web",))
    store.write([happened(NOW + 6)], [tagged, msgspec.structs.replace(tagged, stable_id="n2")], NOW + 7)
    store.write([], ["n1"], NOW + 8)
    assert told(store).tags == {}
    assert told(store, tags=True).tags == {"n1": ("tag:web",)}
