"""The tables of a history, and the way from each older version to the newest.

SQLite of 3.24 and later reads them (no STRICT tables: RHEL 9's does not know those). A version that was released is
never changed: what comes new is one more migration. Every table carries the tailnet.
"""

from __future__ import annotations

from typing import Final

__all__ = ["APPLICATION_ID", "MIGRATIONS", "VERSION"]

APPLICATION_ID: Final = 0x6E6D7331
"""PRAGMA application_id: this file is ours, "nms1"."""

_FIRST = """
CREATE TABLE occurrence (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tailnet TEXT NOT NULL,
  at REAL NOT NULL,
  after REAL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  name TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX occurrence_by_time ON occurrence (tailnet, at);
CREATE INDEX occurrence_by_subject ON occurrence (tailnet, subject, at);
CREATE TABLE span (
  id INTEGER PRIMARY KEY,
  tailnet TEXT NOT NULL,
  lane TEXT NOT NULL,
  subject TEXT NOT NULL,
  state TEXT NOT NULL,
  since REAL NOT NULL,
  until REAL,
  detail TEXT NOT NULL
);
CREATE INDEX span_by_lane ON span (tailnet, lane, subject, since);
CREATE INDEX span_by_end ON span (tailnet, until);
CREATE UNIQUE INDEX span_open ON span (tailnet, lane, subject) WHERE until IS NULL;
CREATE TABLE node (
  tailnet TEXT NOT NULL,
  stable_id TEXT NOT NULL,
  name TEXT NOT NULL,
  known TEXT NOT NULL,
  left_at REAL,
  PRIMARY KEY (tailnet, stable_id)
) WITHOUT ROWID;
CREATE TABLE seen (
  tailnet TEXT PRIMARY KEY,
  until REAL NOT NULL
) WITHOUT ROWID;
"""

_SECOND = """
CREATE TABLE identity (
  file TEXT NOT NULL
);
INSERT INTO identity VALUES (lower(hex(randomblob(16))));
ALTER TABLE seen ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
UPDATE seen SET dropped = coalesce(
  (SELECT min(id) - 1 FROM occurrence WHERE occurrence.tailnet = seen.tailnet),
  (SELECT seq FROM sqlite_sequence WHERE name = 'occurrence'), 0);
ALTER TABLE occurrence ADD COLUMN run TEXT;
ALTER TABLE occurrence ADD COLUMN number INTEGER;
CREATE UNIQUE INDEX occurrence_told ON occurrence (tailnet, run, number) WHERE run IS NOT NULL;
ALTER TABLE seen ADD COLUMN run TEXT;
ALTER TABLE seen ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN due REAL;
CREATE INDEX node_by_due ON node (tailnet, due) WHERE due IS NOT NULL AND left_at IS NULL;
"""

_THIRD = """
CREATE TABLE server (
  tailnet TEXT PRIMARY KEY,
  name TEXT NOT NULL
) WITHOUT ROWID;
UPDATE occurrence SET detail = json_remove(detail, '$.url') WHERE kind = 'login_needed';
"""
"""Who opens the URL of a login decides whose node this is, and others may read the history."""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _SECOND, _THIRD)
"""Number N leads from version N to N + 1; version 0 is an empty file."""
VERSION: Final = len(MIGRATIONS)
