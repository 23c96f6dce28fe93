"""The history's file: SQLite in WAL mode, one writer. All times are UNIX seconds.

What is written is durable when the process dies, and up to the last checkpoint when the machine does (SQLite:
PRAGMA synchronous = NORMAL). Not here: what is written (`recorder`) and what may be said of it (`spans`).
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import ConfigurationError
from netmap_actors.history.control_servers import SET_ASIDE, TAKE_BACK
from netmap_actors.history.occurrences import LOGGED, Happening, KnownNode, LaneOf, Occurrence
from netmap_actors.history.schema import APPLICATION_ID, MIGRATIONS, VERSION
from netmap_actors.history.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from netmap_actors.history.occurrences import Numbered, Recorded

__all__ = ["BrokenHistory", "HistoryStore", "NoRoom"]

_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_NODE = msgspec.json.Decoder(KnownNode)
_NOTHING: dict[str, Any] = {}
_PRUNED_AT_ONCE = 2000
"""Rows that go in one transaction: each takes milliseconds."""
_BY_ID = (
    "SELECT id, at, after, kind, subject, name, detail FROM occurrence"
    " WHERE +tailnet = ? AND id > ? AND +at >= ? AND +at < ?"
    " AND (? IS NULL OR kind IN (SELECT value FROM json_each(?)))"
    " AND (? IS NULL OR subject IN (SELECT value FROM json_each(?))) ORDER BY id ASC LIMIT ?"
)
"""Along the table, which ends with the limit: for who goes on from an id. (+: SQLite uses no index for it.)"""
_BY_TIME = _BY_ID.replace("+", "").replace("BY id", "BY +id")
"""Along the index of the times, all of which is put in order: for a time that is a small part of all."""


class BrokenHistory(Exception):
    """The file cannot be used; the text says why. It is moved away, and another begins."""


class NoRoom(Exception):
    """Nothing can be written now; the text says why. It is tried again."""


class HistoryStore:
    """`tailnet`: of all that is written and read here. `read_only`: another process may be writing."""

    def __init__(self, path: Path, tailnet: str, *, read_only: bool = False) -> None:
        """Raises BrokenHistory, NoRoom, or ConfigurationError for a file of a newer version or of another program, and
        to read for an older one.
        """
        self.tailnet = tailnet
        self._path = path
        with self._told("open"):
            mode = "ro" if read_only else "rwc"
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=2.0
            )
            try:
                version = self._version()
                if not read_only:
                    self._prepare(version)
                elif version < VERSION:
                    raise ConfigurationError(
                        f"cannot read the history in {path}: it has version {version}, and this is version {VERSION}; "
                        "start the daemon of this release, which takes it over"
                    )
            except BaseException:
                self._db.close()
                raise

        self._identity = self._on_disk()

    def is_gone(self) -> bool:
        """Whether the file at the path is another one, or none: what is written is found by nobody."""
        return self._on_disk() != self._identity

    def _on_disk(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Closing twice is allowed."""
        self._db.close()

    def _prepare(self, version: int) -> None:
        db = self._db
        if version == 0 and self._pragma("page_count") == 0:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 1048576")
        for number in range(version, VERSION):
            db.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1};"
                f" PRAGMA application_id = {APPLICATION_ID}; COMMIT"
            )

    def _version(self) -> int:
        """Of the file, which has not been touched then."""
        version = self._pragma("user_version")
        if version > VERSION:
            raise ConfigurationError(
                f"cannot use the history in {self._path}: it has version {version}, and this is version {VERSION}; "
                "use the newer release, or move the file away"
            )
        begun = version > 0 or self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
        if begun and self._pragma("application_id") != APPLICATION_ID:
            raise ConfigurationError(
                f"cannot use the history in {self._path}: the file is of another program; move it away"
            )
        return version

    # Written

    def write(
        self, recorded: Sequence[Recorded], nodes: Iterable[KnownNode | str], seen_until: float
    ) -> None:
        """All of it or nothing. `nodes`: as they are known now, a stable id for one that is gone.

        Raises BrokenHistory or NoRoom.
        """
        with self._told("write"), self._transaction():
            self._db.execute(
                "INSERT INTO seen (tailnet, until) VALUES (?, ?)"
                " ON CONFLICT (tailnet) DO UPDATE SET until = max(until, excluded.until)",
                (self.tailnet, seen_until),
            )
            for record in recorded:
                if record.told is not None and not self._take(record.told):
                    continue
                self._db.executemany(
                    "INSERT INTO occurrence (tailnet, at, after, kind, subject, name, detail, run, number)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        (
                            self.tailnet, one.at, one.after, one.kind, one.subject, one.name, _json(one.detail),
                            *(record.told if record.told is not None and one.kind in LOGGED else (None, None)),
                        )
                        for one in record.occurrences
                    ),
                )  # fmt: skip
                for lane, subject, state, at, detail in record.entered:
                    self._enter(lane, subject, state, at, detail)
            for node in nodes:
                self._know(node, seen_until)

    def _take(self, told: Numbered) -> bool:
        """Whether it is not there yet; from now on it is."""
        return bool(
            self._db.execute(
                "UPDATE seen SET run = ?, told = ? WHERE tailnet = ? AND (run IS NOT ? OR told < ?)",
                (told.run, told.number, self.tailnet, told.run, told.number),
            ).rowcount
        )

    def _enter(
        self, lane: LaneOf, subject: str, state: str | None, at: float, detail: dict[str, Any]
    ) -> None:
        key = (self.tailnet, lane, subject)
        if state is None and detail:
            self._db.execute(
                "UPDATE span SET detail = json_patch(detail, ?) WHERE id = (SELECT id FROM span"
                " WHERE tailnet = ? AND lane = ? AND subject = ? ORDER BY since DESC, id DESC LIMIT 1)",
                (_json({"ended": detail}), *key),
            )
        # The clock may have been set back: nothing ends before it begins.
        self._db.execute(
            "UPDATE span SET until = max(since, ?) WHERE tailnet = ? AND lane = ? AND subject = ? AND until IS NULL",
            (at, *key),
        )
        if lane is not LaneOf.NODE:
            # What the Supervisor tells late ends what was closed later.
            self._db.execute(
                "UPDATE span SET until = max(since, ?) WHERE until > ? AND id = (SELECT id FROM span"
                " WHERE tailnet = ? AND lane = ? AND subject = ? ORDER BY since DESC, id DESC LIMIT 1)",
                (at, at, *key),
            )
        if state is not None:
            self._db.execute(
                "INSERT INTO span (tailnet, lane, subject, state, since, detail) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, state, at, _json(detail)),
            )

    def _know(self, node: KnownNode | str, at: float) -> None:
        if isinstance(node, str):
            self._db.execute(
                "UPDATE node SET left_at = ? WHERE tailnet = ? AND stable_id = ?", (at, self.tailnet, node)
            )
            return
        self._db.execute(
            "INSERT INTO node (tailnet, stable_id, name, known, due) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (tailnet, stable_id) DO UPDATE"
            " SET name = excluded.name, known = excluded.known, left_at = NULL, due = excluded.due",
            (self.tailnet, node.stable_id, node.name, _json(node), node.due),
        )

    def close_unseen(self, until: float, *, now: float | None = None) -> None:
        """Nothing is seen from then on, and what is open ends there. Raises BrokenHistory or NoRoom.

        `now`: of a clock that was set meanwhile; it is seen that it is as late as that.
        """
        with self._told("write"), self._transaction():
            self._db.execute(
                "UPDATE seen SET until = coalesce(?, max(until, ?)) WHERE tailnet = ?",
                (now, until, self.tailnet),
            )
            self._db.execute(
                "UPDATE span SET until = max(since, ?) WHERE tailnet = ? AND until IS NULL",
                (until, self.tailnet),
            )

    def of_server(self, name: str) -> str | None:
        """What comes from now on is of this control server; the one of what is there, if that is another.

        A control server's ids are its own: those of another one's nodes end with its name from now on, "n1@…", and none
        of these is there. Those of this one, which were set aside so before, are as they were. Raises BrokenHistory or
        NoRoom.
        """
        rows = self._rows("SELECT name FROM server WHERE tailnet = ?", (self.tailnet,))
        before = rows[0][0] if rows else None
        if before == name:
            return None
        with self._told("write"), self._transaction():
            self._db.execute("INSERT OR REPLACE INTO server VALUES (?, ?)", (self.tailnet, name))
            for statements, server in ((SET_ASIDE, before), (TAKE_BACK, name)):
                for statement in statements if before is not None else ():
                    self._db.execute(statement, {"1": self.tailnet, "2": f"@{server}"})
        return before

    def prune(self, before: float, most_bytes: int) -> bool:
        """Drop some of what ended before, and of the oldest while the file is larger; True: there is more to drop.

        Raises BrokenHistory or NoRoom.
        """
        with self._told("write"):
            large = self.size() > most_bytes
            with self._transaction():
                limit = self._oldest() if large else before
                gone = self._drop(limit)
            # A step of it frees one page, and `execute` takes one only: it has no columns.
            self._db.executescript("PRAGMA incremental_vacuum")
            return gone == _PRUNED_AT_ONCE or (large and gone > 0)

    def _oldest(self) -> float:
        """Until when the oldest rows reach that are dropped at once."""
        row = self._db.execute(
            "SELECT max(at) FROM (SELECT at FROM occurrence WHERE tailnet = ? ORDER BY at LIMIT ?)",
            (self.tailnet, _PRUNED_AT_ONCE),
        ).fetchone()
        return float(row[0] or 0.0) + 1e-6

    def _drop(self, before: float) -> int:
        key = (self.tailnet, before, _PRUNED_AT_ONCE)
        found = self._db.execute(
            "SELECT id FROM occurrence WHERE tailnet = ? AND at < ? LIMIT ?", key
        ).fetchall()
        gone = self._db.executemany("DELETE FROM occurrence WHERE id = ?", found).rowcount
        self._db.execute(
            "UPDATE seen SET dropped = max(dropped, ?) WHERE tailnet = ?",
            (max((number for (number,) in found), default=0), self.tailnet),
        )
        spans = self._db.execute(
            "DELETE FROM span WHERE id IN (SELECT id FROM span WHERE tailnet = ? AND until < ? LIMIT ?)", key
        ).rowcount
        self._db.execute("DELETE FROM node WHERE tailnet = ? AND left_at < ?", key[:2])
        return max(gone, spans, 0)

    # Read

    def size(self) -> int:
        """Bytes of the file in use, without the WAL."""
        with self._told("read"):
            return (self._pragma("page_count") - self._pragma("freelist_count")) * self._pragma("page_size")

    def identity(self) -> str:
        """Of this file: ids of another one tell nothing here."""
        return str(self._rows("SELECT file FROM identity", ())[0][0])

    def ids(self) -> tuple[int, int]:
        """All occurrences from the first id on are kept; the second is the newest that was ever given, 0 for none."""
        rows = self._rows(
            "SELECT coalesce((SELECT dropped FROM seen WHERE tailnet = ?), 0),"
            " coalesce((SELECT id FROM occurrence WHERE +tailnet = ? ORDER BY id DESC LIMIT 1), 0)",
            (self.tailnet, self.tailnet),
        )
        dropped, newest = rows[0]
        return dropped + 1, max(newest, dropped)

    def told_up_to(self, run: str) -> int:
        """The last number of this run that was written, 0 for none."""
        rows = self._rows("SELECT told FROM seen WHERE tailnet = ? AND run = ?", (self.tailnet, run))
        return 0 if not rows else int(rows[0][0])

    def seen_until(self) -> float | None:
        """Up to when something was written; None: nothing ever."""
        rows = self._rows("SELECT until FROM seen WHERE tailnet = ?", (self.tailnet,))
        return None if not rows else float(rows[0][0])

    def known(self, stable_id: str) -> KnownNode | None:
        """The node as it was known last, if it is there."""
        rows = self._rows(
            "SELECT known FROM node WHERE tailnet = ? AND stable_id = ? AND left_at IS NULL",
            (self.tailnet, stable_id),
        )
        return None if not rows else self._decoded(rows[0][0])

    def tags(self, stable_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Those each of these nodes has, or had when it left."""
        rows = self._rows(
            "SELECT known FROM node WHERE tailnet = ? AND stable_id IN (SELECT value FROM json_each(?))",
            (self.tailnet, _json(list(stable_ids))),
        )
        nodes = (self._decoded(known) for (known,) in rows)
        return {node.stable_id: node.tags for node in nodes if node.tags}

    def everybody(self) -> dict[str, KnownNode]:
        """All nodes that are there, by stable id."""
        rows = self._rows("SELECT known FROM node WHERE tailnet = ? AND left_at IS NULL", (self.tailnet,))
        nodes = (self._decoded(known) for (known,) in rows)
        return {node.stable_id: node for node in nodes}

    def next_due(self) -> float | None:
        """The first `due` of all nodes that are there, UNIX seconds."""
        rows = self._rows(
            "SELECT min(due) FROM node WHERE tailnet = ? AND due IS NOT NULL AND left_at IS NULL",
            (self.tailnet,),
        )
        return None if rows[0][0] is None else float(rows[0][0])

    def due(self, now: float) -> list[KnownNode]:
        """The nodes that are there whose `due` has come, some of them if they are many."""
        rows = self._rows(
            "SELECT known FROM node WHERE tailnet = ? AND due <= ? AND left_at IS NULL ORDER BY due LIMIT ?",
            (self.tailnet, now, _PRUNED_AT_ONCE),
        )
        return [self._decoded(known) for (known,) in rows]

    def called(self, words: Sequence[str]) -> list[str]:
        """The stable ids of nodes that are or were called one of these: full name, first label, or the id itself."""
        # Along all that happened once, however many words there are.
        found = self._rows(
            "SELECT DISTINCT subject FROM occurrence WHERE tailnet = ? AND name IN (SELECT value FROM json_each(?))",
            (self.tailnet, _json(words)),
        )
        for word in words:
            found += self._rows(
                "SELECT stable_id FROM node"
                " WHERE tailnet = ? AND (stable_id = ? OR name = ? OR name LIKE ? ESCAPE '\\')",
                (self.tailnet, word, word, f"{_literal(word)}.%"),
            )
        return sorted({row[0] for row in found})

    def occurrences(
        self,
        *,
        since: float = 0.0,
        until: float = float("inf"),
        after_id: int = 0,
        kinds: Sequence[Happening] = (),
        subjects: Sequence[str] = (),
        most: int = 1000,
        room: int = sys.maxsize,
        newest: bool = False,
    ) -> tuple[list[tuple[int, Occurrence]], bool]:
        """In the order in which they were written, with their ids, which only grow; and whether there are more.

        `most` of them, or as many as have `room` characters of text, but one in any case. `newest`: the last ones.
        """
        chosen = [None if not wanted else _json(list(wanted)) for wanted in (kinds, subjects)]
        query = _BY_TIME if since > 0.0 and not after_id else _BY_ID
        values = (self.tailnet, after_id, since, until, chosen[0], chosen[0], chosen[1], chosen[1], most + 1)
        found: list[tuple[int, Occurrence]] = []
        more = False
        with (
            self._told("read"),
            contextlib.closing(
                self._db.execute(query.replace("ASC", "DESC") if newest else query, values)
            ) as rows,
        ):
            for number, at, after, kind, subject, name, detail in rows:
                room -= len(subject) + len(name) + len(detail)
                if len(found) == most or (found and room < 0):
                    more = True
                    break
                one = Occurrence(
                    at=at,
                    after=after,
                    kind=Happening(kind),
                    subject=subject,
                    name=name,
                    detail=msgspec.json.decode(detail),
                )
                found.append((number, one))
        return (found[::-1] if newest else found), more

    def names(self) -> dict[str, str]:
        """What the nodes that are kept are or were called last, by stable id."""
        rows = self._rows("SELECT stable_id, name FROM node WHERE tailnet = ?", (self.tailnet,))
        return dict(rows)

    def spans(
        self, lane: LaneOf, since: float, until: float, subject: str | None = None
    ) -> dict[str, list[Span]]:
        """By subject, those that overlap this time, as they were written; one that is open ends at `until`."""
        rows = self._rows(
            "SELECT subject, since, coalesce(until, ?), state, detail FROM span"
            " WHERE tailnet = ? AND lane = ? AND since < ? AND coalesce(until, ?) > ?"
            " AND (? IS NULL OR subject = ?) ORDER BY id",
            (until, self.tailnet, lane, until, until, since, subject, subject),
        )
        out: dict[str, list[Span]] = {}
        with self._told("read"):
            for name, begins, ends, state, detail in rows:
                if begins != ends:
                    known = _NOTHING if detail == "{}" else msgspec.json.decode(detail)
                    span = Span(max(begins, since), min(ends, until), state, known)
                    out.setdefault(name, []).append(span)
        return out

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._told("read"):
            return self._db.execute(query, values).fetchall()

    def _decoded(self, known: str) -> KnownNode:
        with self._told("read"):
            return _NODE.decode(known)

    # The file

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled it back itself, as when the disk is full.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except (msgspec.MsgspecError, ValueError) as error:
            raise BrokenHistory(f"cannot {what} the history in {self._path}: {error}") from None
        except sqlite3.Error as error:
            why = f"cannot {what} the history in {self._path}: {error}"
            raise (BrokenHistory if getattr(error, "sqlite_errorname", "") in _BROKEN else NoRoom)(
                why
            ) from None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
