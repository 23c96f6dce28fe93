"""How the nodes of two control servers are kept apart, whose ids are their own: by what the ids end with.

Statements of SQLite; ?1: the tailnet, ?2: "@" and the name of a server.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SET_ASIDE", "TAKE_BACK"]

_TABLES: Final = (
    "node SET stable_id = {stable_id}, known = json_set(known, '$.stable_id', {stable_id}) WHERE {which:stable_id}",
    "span SET subject = {subject} WHERE lane = 'node' AND {which:subject}",
    "occurrence SET subject = {subject} WHERE kind LIKE 'node_%' AND subject != '' AND {which:subject}",
)


def _statements(new: str, which: str) -> tuple[str, ...]:
    """`new`, `which`: expressions of an id, written {}."""
    out = []
    for table in _TABLES:
        statement = f"UPDATE {table} AND tailnet = ?1"
        for column in ("stable_id", "subject"):
            statement = statement.replace(f"{{{column}}}", new.replace("{}", column))
            statement = statement.replace(f"{{which:{column}}}", which.replace("{}", column))
        out.append(statement)
    return tuple(out)


SET_ASIDE: Final = (
    "UPDATE node SET left_at = coalesce(left_at, (SELECT until FROM seen WHERE tailnet = ?1)) WHERE tailnet = ?1",
    *_statements("{} || ?2", "instr({}, '@') = 0"),
)
"""None of the nodes is there any longer, and their ids end so."""
TAKE_BACK: Final = _statements("substr({}, 1, length({}) - length(?2))", "substr({}, -length(?2)) = ?2")
"""The ids that end so are as they were."""
