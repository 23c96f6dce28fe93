"""The history's file: what was written is read again, old ones are taken over, and it stays in its bounds."""

from __future__ import annotations

import gzip
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from netmap_actors.errors import ConfigurationError
from netmap_actors.history.occurrences import (
    Entered,
    Happening,
    KnownNode,
    LaneOf,
    Numbered,
    Occurrence,
    Recorded,
)
from netmap_actors.history.schema import APPLICATION_ID, MIGRATIONS, VERSION
from netmap_actors.history.spans import Span
from netmap_actors.history.store import BrokenHistory, HistoryStore, NoRoom

NOW = 1_767_323_045.0
FIRST_VERSION = Path(__file__).parents[2] / "fixtures" / "history-version-1.sqlite3.gz"
NODE = KnownNode(stable_id="n1", name="web-1.example.ts.net", online=True, tags=("tag:web",))


def happened(at: float, kind: Happening = Happening.NODE_OFFLINE, subject: str = "n1") -> Recorded:
    said = Occurrence(
        at=at, kind=kind, subject=subject, name="web-1.example.ts.net", detail={"was": "online"}
    )
    return Recorded((said,))


def told(number: int, at: float, run: str = "a" * 16) -> Recorded:
    return happened(at, Happening.SESSION_ENDED)._replace(told=Numbered(run, number))


def occurrences(store: HistoryStore, **wanted: Any) -> list[tuple[int, Occurrence]]:
    found, _ = store.occurrences(**wanted)
    return found


def entered(state: str | None, at: float, subject: str = "n1") -> Recorded:
    return Recorded((), (Entered(LaneOf.NODE, subject, state, at, {}),))


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    return HistoryStore(tmp_path / "history.sqlite3", "default")


def test_what_was_written_is_read_by_another_process(store: HistoryStore, tmp_path: Path) -> None:
    store.write([happened(NOW), entered("online", NOW), entered("offline", NOW + 5)], [NODE], NOW + 5)
    reader = HistoryStore(tmp_path / "history.sqlite3", "default", read_only=True)
    ((number, one),) = occurrences(reader)
    assert (number, one) == (1, happened(NOW).occurrences[0])
    assert reader.spans(LaneOf.NODE, NOW, NOW + 60) == {
        "n1": [Span(NOW, NOW + 5, "online"), Span(NOW + 5, NOW + 60, "offline")]
    }
    assert reader.known("n1") == NODE
    assert reader.everybody() == {"n1": NODE}
    assert reader.seen_until() == NOW + 5
    with pytest.raises(NoRoom, match="readonly"):
        reader.write([happened(NOW)], [], NOW)


def test_tailnets_do_not_see_each_other(store: HistoryStore, tmp_path: Path) -> None:
    store.write([happened(NOW), entered("online", NOW)], [NODE], NOW)
    other = HistoryStore(tmp_path / "history.sqlite3", "other")
    assert (occurrences(other), other.everybody(), other.seen_until()) == ([], {}, None)
    other.close_unseen(NOW + 1)
    assert store.spans(LaneOf.NODE, NOW, NOW + 9) == {"n1": [Span(NOW, NOW + 9, "online")]}


def test_what_ended_in_order_was_seen_to_its_end_whatever_else_is_known(store: HistoryStore) -> None:
    store.write([entered("online", NOW)], [NODE], NOW)
    store.close_unseen(NOW + 3600)
    assert store.seen_until() == NOW + 3600
    store.close_unseen(NOW + 60)
    assert store.seen_until() == NOW + 3600


@pytest.mark.parametrize("by", [3 * 86400.0, -3600.0])
def test_a_clock_that_was_set_ends_what_was_seen_before(store: HistoryStore, by: float) -> None:
    store.write([entered("online", NOW)], [NODE], NOW + 60)
    store.close_unseen(NOW + 60, now=NOW + 61 + by)
    assert store.seen_until() == NOW + 61 + by
    assert store.spans(LaneOf.NODE, 0.0, NOW + 4 * 86400.0) == {"n1": [Span(NOW, NOW + 60, "online")]}


def test_a_node_that_left_is_not_there_and_can_still_be_asked_for(store: HistoryStore) -> None:
    store.write([], [NODE], NOW)
    store.write([happened(NOW + 1, Happening.NODE_LEFT)], ["n1"], NOW + 1)
    assert store.known("n1") is None
    assert store.called(["web-1"]) == store.called(["web-1.example.ts.net"]) == store.called(["n1"]) == ["n1"]
    assert store.called(["n1", "web-1", "nobody"]) == ["n1"]
    assert store.called(["web"]) == store.called(["%"]) == store.called(["web_1"]) == []


def test_the_nodes_of_another_control_server_are_others(store: HistoryStore) -> None:
    ended = Recorded((Occurrence(at=NOW, kind=Happening.ACTOR_EXITED, subject="publisher"),))
    store.write([happened(NOW), entered("online", NOW), ended], [NODE], NOW)
    assert store.of_server("one-1") is None, "what a file of before has is of the server that comes first"
    assert (store.of_server("one-1"), store.known("n1")) == (None, NODE)

    store.close_unseen(NOW + 1)
    assert store.of_server("other-2") == "one-1"
    assert (store.everybody(), store.next_due()) == ({}, None)
    store.write([happened(NOW + 2), entered("offline", NOW + 2)], [NODE], NOW + 2)
    assert [one.subject for _, one in occurrences(store)] == ["n1@one-1", "publisher", "n1"]
    assert store.spans(LaneOf.NODE, NOW, NOW + 9) == {
        "n1@one-1": [Span(NOW, NOW + 1, "online")],
        "n1": [Span(NOW + 2, NOW + 9, "offline")],
    }
    assert store.called(["web-1"]) == ["n1", "n1@one-1"]
    assert store.tags(["n1@one-1", "n1"]) == {"n1@one-1": NODE.tags, "n1": NODE.tags}

    store.close_unseen(NOW + 3)
    assert store.of_server("one-1") == "other-2"
    assert store.everybody() == {}, "they were not seen meanwhile"
    assert [one.subject for _, one in occurrences(store)] == ["n1", "publisher", "n1@other-2"]
    assert store.called(["n1"]) == ["n1"]
    store.write([], [NODE], NOW + 4)
    assert store.everybody() == {"n1": NODE}


def test_tailnets_keep_their_control_servers_apart(store: HistoryStore, tmp_path: Path) -> None:
    other = HistoryStore(tmp_path / "history.sqlite3", "other")
    for one in (store, other):
        one.write([happened(NOW)], [NODE], NOW)
        one.of_server("one-1")
    assert store.of_server("other-2") == "one-1"
    assert (store.everybody(), other.everybody()) == ({}, {"n1": NODE})


def test_occurrences_are_chosen(store: HistoryStore) -> None:
    store.write(
        [happened(NOW), happened(NOW + 1, Happening.NODE_ONLINE), happened(NOW + 2, subject="n2")],
        [],
        NOW + 2,
    )
    assert [n for n, _ in occurrences(store, kinds=[Happening.NODE_OFFLINE])] == [1, 3]
    assert [n for n, _ in occurrences(store, subjects=["n1"], since=NOW + 0.5)] == [2]
    assert [n for n, _ in occurrences(store, after_id=1, most=1)] == [2]
    assert [n for n, _ in occurrences(store, newest=True, most=2)] == [2, 3]


def test_all_of_one_write_or_nothing(store: HistoryStore) -> None:
    broken = Recorded((Occurrence(at=NOW, kind=Happening.GAP),), (Entered(LaneOf.NODE, "n1", 5, NOW, {}),))  # type: ignore[arg-type]
    store.write([broken], [], NOW)  # SQLite takes a number as text
    with pytest.raises(TypeError):
        store.write([happened(NOW), Recorded((), (None,))], [], NOW)  # type: ignore[arg-type]
    assert [one.kind for _, one in occurrences(store)] == [Happening.GAP]


def test_a_span_tells_how_it_began_and_why_it_ended(store: HistoryStore) -> None:
    def connected(state: str | None, at: float, **detail: object) -> Recorded:
        return Recorded((), (Entered(LaneOf.CONNECTION, "", state, at, detail),))

    began = {"pid": 7, "local": "127.0.0.1:4711"}
    store.write([connected("attempt", NOW, pid=7), connected("session", NOW + 1, **began)], [], NOW + 1)
    store.write([connected(None, NOW + 9, reason="silence")], [], NOW + 9)
    store.write([connected(None, NOW + 10), connected("attempt", NOW + 11, pid=8)], [], NOW + 11)
    assert store.spans(LaneOf.CONNECTION, NOW, NOW + 60)[""] == [
        Span(NOW, NOW + 1, "attempt", {"pid": 7}),
        Span(NOW + 1, NOW + 9, "session", began | {"ended": {"reason": "silence"}}),
        Span(NOW + 11, NOW + 60, "attempt", {"pid": 8}),
    ]


def test_a_clock_that_is_set_back_makes_no_span_that_ends_before_it_begins(store: HistoryStore) -> None:
    store.write([entered("online", NOW), entered("offline", NOW - 3600), entered(None, NOW - 1800)], [], NOW)
    assert store.spans(LaneOf.NODE, 0.0, NOW + 60) == {"n1": [Span(NOW - 3600, NOW - 1800, "offline")]}


def test_the_nodes_whose_keys_expire_are_found(store: HistoryStore) -> None:
    day = 86400.0
    soon = KnownNode(stable_id="n2", name="b", online=None, key_expiry=NOW + day)
    later = KnownNode(stable_id="n3", name="c", online=None, key_expiry=NOW + 10 * day)
    store.write([], [NODE, soon, later], NOW)
    assert store.next_due() == NOW - 6 * day
    assert store.due(NOW) == [soon]
    store.write([], [soon.told(NOW)], NOW)
    assert (store.next_due(), store.due(NOW)) == (NOW + 3 * day, [])
    store.write([], ["n3"], NOW)
    assert store.next_due() is None


def test_what_is_older_goes_and_what_lasts_stays(store: HistoryStore) -> None:
    for number in range(50):
        store.write(
            [happened(NOW + number), entered("online" if number % 2 else "offline", NOW + number)], [], NOW
        )
    while store.prune(NOW + 40, 1 << 30):
        pass
    assert [one.at - NOW for _, one in occurrences(store)] == list(range(40, 50))
    (spans,) = store.spans(LaneOf.NODE, 0.0, NOW + 100).values()
    assert spans[0].since == NOW + 39 and spans[-1].until == NOW + 100
    assert occurrences(store)[0][0] == 41, "ids are not used again"


def test_the_file_stays_within_its_size(store: HistoryStore, tmp_path: Path) -> None:
    many = [happened(NOW + number) for number in range(30_000)]
    store.write(many, [], NOW)
    before = store.size()
    rounds = 0
    while store.prune(0.0, 1 << 20):
        rounds += 1
        assert rounds < 100, "it does not end"
    assert before > 3 << 20 > 1 << 20 >= store.size()
    store.close()
    assert (tmp_path / "history.sqlite3").stat().st_size <= (1 << 20) + 65536
    again = HistoryStore(tmp_path / "history.sqlite3", "default")
    last = list(occurrences(again, since=NOW + 29_999))
    assert len(last) == 1, "the newest stays"


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_a_file_of_each_older_version_is_taken_over(tmp_path: Path, version: int) -> None:
    path = tmp_path / "history.sqlite3"
    old = sqlite3.connect(path)
    for number in range(version):
        old.executescript(MIGRATIONS[number])
    old.execute(f"PRAGMA user_version = {version}")
    old.execute(f"PRAGMA application_id = {APPLICATION_ID if version else 0}")
    old.close()
    store = HistoryStore(path, "default")
    store.write([happened(NOW)], [NODE], NOW)
    assert store.everybody() == {"n1": NODE}


def test_where_to_log_in_is_taken_out_of_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    old = sqlite3.connect(path)
    for migration in MIGRATIONS[:2]:
        old.executescript(migration)
    old.execute("PRAGMA user_version = 2")
    old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    row = "INSERT INTO occurrence (tailnet, at, kind, subject, name, detail) VALUES ('default', ?, ?, '', '', ?)"
    detail = '{"url": "https://login.example/a/1", "pid": 7}'
    old.executemany(row, [(NOW, "login_needed", detail), (NOW, "degraded", detail)])
    old.commit()
    old.close()
    (_, login), (_, other) = occurrences(HistoryStore(path, "default"))
    assert (login.detail, other.detail["url"]) == ({"pid": 7}, "https://login.example/a/1")


def test_a_file_that_the_first_version_wrote_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(gzip.decompress(FIRST_VERSION.read_bytes()))
    store = HistoryStore(path, "default")
    assert [(number, str(one.kind)) for number, one in occurrences(store)] == [
        (2, "run_started"),
        (3, "netmap_fresh"),
        (4, "node_offline"),
        (5, "node_left"),
    ]
    assert store.ids() == (2, 5), "the first was dropped then"
    assert store.told_up_to("a" * 16) == 0
    assert store.spans(LaneOf.NODE, NOW, NOW + 9) == {
        "n1": [Span(NOW + 1, NOW + 7, "online")],
        "n2": [Span(NOW + 1, NOW + 5, "online"), Span(NOW + 5, NOW + 9, "offline")],
    }
    (known,) = store.everybody().values()
    assert (known.stable_id, known.online, known.key_expiry, known.due) == ("n2", False, None, None)
    assert store.of_server("one-1") is None
    assert [*store.everybody()] == ["n2"]
    store.write([told(1, NOW + 9)], [], NOW + 9)
    again = HistoryStore(path, "default")
    assert again.identity() == store.identity()
    assert (again.ids(), again.told_up_to("a" * 16), again.seen_until()) == ((2, 6), 1, NOW + 9)


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_told_twice_is_written_once(store: HistoryStore, kept: bool) -> None:
    """Also when it has been dropped by then."""
    store.write([told(1, NOW), told(2, NOW + 1)], [], NOW + 1)
    while not kept and store.prune(NOW + 9, 1 << 30):
        pass
    before = occurrences(store)
    store.write([told(1, NOW), told(2, NOW + 1), happened(NOW + 2), told(3, NOW + 3)], [], NOW + 3)
    assert [one.at - NOW for _, one in occurrences(store)][len(before) :] == [2, 3]
    assert (len(before), store.told_up_to("a" * 16), store.told_up_to("b" * 16)) == (2 if kept else 0, 3, 0)
    store.write([told(1, NOW + 5, run="b" * 16)], [], NOW + 5)
    assert (store.told_up_to("a" * 16), store.told_up_to("b" * 16)) == (0, 1)
    store._db.execute("UPDATE seen SET run = NULL, told = 0")
    with pytest.raises(NoRoom, match="UNIQUE"):
        store.write([told(1, NOW + 5, run="b" * 16)], [], NOW + 5)


def test_what_is_told_late_ends_what_was_closed_later(store: HistoryStore) -> None:
    def session(state: str, at: float) -> Recorded:
        return Recorded((), (Entered(LaneOf.CONNECTION, "", state, at, {}),))

    store.write([session("attempt", NOW)], [], NOW)
    store.close_unseen(NOW + 5)
    store.write([session("session", NOW + 4)], [], NOW + 9)
    assert store.spans(LaneOf.CONNECTION, NOW, NOW + 9) == {
        "": [Span(NOW, NOW + 4, "attempt"), Span(NOW + 4, NOW + 9, "session")]
    }


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    HistoryStore(path, "default").close()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(
        ConfigurationError,
        match=f"version {VERSION + 1}, and this is version {VERSION}; use the newer release",
    ):
        HistoryStore(path, "default")
    assert path.read_bytes() == before


def test_an_older_file_is_not_taken_over_by_who_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(gzip.decompress(FIRST_VERSION.read_bytes()))
    with pytest.raises(ConfigurationError, match=r"version 1, .* start the daemon of this release"):
        HistoryStore(path, "default", read_only=True)


@pytest.mark.parametrize("version", [0, 1, VERSION])
def test_a_database_of_another_program_is_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "history.sqlite3"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.execute(f"PRAGMA user_version = {version}")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="of another program; move it away"):
        HistoryStore(path, "default")
    assert path.read_bytes() == before


def test_a_file_whose_making_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    cut = sqlite3.connect(path)
    cut.execute("PRAGMA auto_vacuum = INCREMENTAL")
    cut.execute("PRAGMA journal_mode = WAL")
    cut.close()
    assert path.stat().st_size > 0
    assert HistoryStore(path, "default").everybody() == {}


def test_a_file_that_is_no_history_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(b"something else " * 1000)
    with pytest.raises(BrokenHistory, match="file is not a database"):
        HistoryStore(path, "default")
    assert path.read_bytes().startswith(b"something else"), "whoever reads it decides"


def test_whatever_of_a_damaged_file_is_read_says_that_it_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    store = HistoryStore(path, "default")
    store.write([happened(NOW + number) for number in range(500)], [NODE], NOW)
    store.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    damaged = HistoryStore(path, "default")
    for read in (
        damaged.occurrences,
        damaged.everybody,
        damaged.seen_until,
        damaged.names,
        lambda: damaged.known("n1"),
        lambda: damaged.called(["web-1"]),
        lambda: damaged.spans(LaneOf.NODE, 0.0, NOW),
        lambda: damaged.write([happened(NOW)], [], NOW),
        lambda: damaged.close_unseen(NOW),
    ):
        with pytest.raises(BrokenHistory, match="malformed"):
            read()


def test_a_row_of_another_program_is_a_broken_history(store: HistoryStore) -> None:
    store.write([happened(NOW)], [NODE], NOW)
    store._db.execute("UPDATE occurrence SET kind = 'unheard_of'")
    store._db.execute("UPDATE node SET known = '{'")
    for read in (store.occurrences, store.everybody):
        with pytest.raises(BrokenHistory):
            read()


def test_a_full_disk_is_no_room(store: HistoryStore) -> None:
    store.write([happened(NOW)], [], NOW)
    store._db.execute(f"PRAGMA max_page_count = {store._pragma('page_count')}")
    with pytest.raises(NoRoom, match="full"):
        for number in range(10_000):
            store.write([happened(NOW + number)], [], NOW)
    count = len(list(occurrences(store, most=100_000)))
    store._db.execute("PRAGMA max_page_count = 1073741823")
    store.write([happened(NOW, Happening.NODE_ONLINE)], [], NOW)
    assert len(list(occurrences(store, most=100_000))) == count + 1


def test_a_writer_that_is_killed_leaves_whole_writes(tmp_path: Path) -> None:
    """A process writes pairs for ever and is killed in the middle: each pair is there, or nothing of it."""
    path, (reader, writer) = tmp_path / "history.sqlite3", os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            store = HistoryStore(path, "default")
            for number in range(10_000_000):
                store.write([happened(number), happened(number, Happening.NODE_ONLINE)], [NODE], number)
                if number in {0, 50}:
                    os.write(writer, b".")
        finally:
            os._exit(1)
    os.read(reader, 1)
    while os.read(reader, 1) != b".":
        pass
    os.kill(pid, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    store = HistoryStore(path, "default")
    found = [(one.at, str(one.kind)) for _, one in occurrences(store, most=1_000_000)]
    assert len(found) >= 100
    last = int(store.seen_until() or 0)
    assert found == [(n, kind) for n in range(last + 1) for kind in ("node_offline", "node_online")]
