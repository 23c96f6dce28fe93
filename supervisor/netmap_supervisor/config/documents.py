"""The configuration as documents: an example file, a JSON Schema and a reference, all from the table of options."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from netmap_actors.boot import MAX_WEBHOOKS
from netmap_supervisor.config import webhooks
from netmap_supervisor.config.options import OPTIONS, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_supervisor.config.options import Option

__all__ = ["example", "reference", "schema"]

_WIDTH = 100
_SET_IN_EXAMPLE = frozenset({"control_url"})
"""What the shipped file states; everything else stands there as a comment with its default."""
_EXAMPLES = {
    "name": '"oncall"',
    "url": '"file:/etc/netmap-supervisor/oncall.url"',
    "secret": '"file:/etc/netmap-supervisor/oncall.key"',
}


def rows_of(table: str) -> list[Option]:
    """The options of one table, in order."""
    return [row for row in OPTIONS.values() if row.table == table]


def example() -> str:
    """A configuration file that names every option, with its default."""
    return "\n".join(_example_lines())


def _example_lines() -> Iterator[str]:
    yield from _comment(
        "Settings of netmap-supervisor. Every option has a flag (--silence-timeout) and a variable "
        "(NETMAP_SUPERVISOR_SILENCE_TIMEOUT) too: flag > environment > this file > default. "
        "`netmap-supervisor config check --config FILE` checks it, `config show --origin` says what wins."
    )
    for table, meaning in TABLES.items():
        yield ""
        yield from _comment(meaning)
        yield f"[{table}]"
        for row in rows_of(table):
            yield ""
            yield from _comment(f"{row.help}. {row.more}".strip())
            if row.default_text:
                yield from _comment(f"Default: {row.default_text}.")
            mark = "" if row.name in _SET_IN_EXAMPLE else "# "
            yield f"{mark}{row.key} = {row.kind.toml(row.default)}"
    yield ""
    yield from _comment(webhooks.ABOUT)
    yield f"# [[{webhooks.TABLE}]]"
    for row in webhooks.rows().values():
        yield "#"
        yield from _comment(f"{row.help}. {row.more}".strip(), "#   # ")
        yield f"#   {row.key} = {_EXAMPLES.get(row.key) or row.kind.toml(row.default)}"
    yield ""


def _comment(text: str, mark: str = "# ") -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False):
        yield f"{mark}{line}"


def schema() -> dict[str, Any]:
    """JSON Schema of the file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "netmap-supervisor",
        "type": "object",
        "additionalProperties": False,
        "properties": {table: _table_schema(rows_of(table), meaning) for table, meaning in TABLES.items()}
        | {
            webhooks.TABLE: {
                "type": "array",
                "maxItems": MAX_WEBHOOKS,
                "items": _table_schema([*webhooks.rows().values()], webhooks.ABOUT)
                | {"required": ["name", "url"]},
            }
        },
    }


def _table_schema(rows: list[Option], meaning: str) -> dict[str, Any]:
    properties = {
        row.key: row.kind.schema() | {"description": f"{row.help}. {row.more}".strip()} for row in rows
    }
    return {"type": "object", "description": meaning, "additionalProperties": False, "properties": properties}


def reference() -> str:
    """The options as a page of documentation (Markdown)."""
    return "\n".join(_reference_lines())


def _reference_lines() -> Iterator[str]:
    for table, meaning in TABLES.items():
        yield f"### `[{table}]`"
        yield ""
        yield meaning
        yield ""
        for row in rows_of(table):
            yield f"**`{row.path}`** · `{row.flag}` · `{row.variable}`"
            yield ""
            yield f"{row.help}. {row.more}".strip()
            yield f"Values: `{row.kind.metavar}`. Default: {_shown(row)}."
            yield ""
    yield f"### `[[{webhooks.TABLE}]]`"
    yield ""
    yield webhooks.ABOUT
    yield ""
    for row in webhooks.rows().values():
        yield f"**`{row.key}`**: {row.help}. {row.more}".strip()
        yield f"Values: `{row.kind.metavar}`. Default: {_shown(row)}."
        yield ""


def _shown(row: Option) -> str:
    return row.default_text or (
        f"`{row.kind.show(row.default)}`" if row.kind.show(row.default) else "not set"
    )
