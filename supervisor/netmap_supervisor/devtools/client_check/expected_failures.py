"""The file of failures that are expected: `name = "reason"`, one a line; also as TOML."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from netmap_actors.errors import escape
from netmap_supervisor.devtools.client_check.scenarios.table import SCENARIOS, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BadExpectation", "parse_expected_failures"]

_LINE = re.compile(r"""(?P<name>"[^"]*"|'[^']*'|[^\s=:#"']+)\s*[=:]?\s*(?P<reason>.*)""")


class BadExpectation(ValueError):
    """A line that names no scenario, or no reason; the text says which."""


def parse_expected_failures(text: str) -> dict[str, str]:
    """Reasons by the names of scenarios. Raises BadExpectation.

    A line is `liveness/silence = "reason"`, with or without quotes, with `:` or nothing for `=`; a comment begins with
    `#`. A reason is needed: whoever reads it has to learn when it may go.
    """
    found: dict[str, str] = {}
    for place, name, reason in _entries(text):
        if name not in SCENARIOS:
            raise BadExpectation(f"{place}: '{escape(name, 60)}' is no scenario; {nearest(name)}")
        if not reason:
            raise BadExpectation(
                f'{place}: {name} has no reason; write {name} = "why it is expected to fail"'
            )
        if name in found:
            raise BadExpectation(f"{place}: {name} stands there twice")
        found[name] = reason
    return found


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Place, name and reason of each."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        table = {}
    if table and all(isinstance(reason, str) for reason in table.values()):
        yield from (
            (f"entry {number}", name, reason) for number, (name, reason) in enumerate(table.items(), 1)
        )
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            if line.strip() and not line.strip().startswith("#"):
                raise BadExpectation(f'line {number}: write NAME = "reason"')
            continue
        yield f"line {number}", match["name"].strip("\"'"), _unquoted(match["reason"].strip())


def _unquoted(reason: str) -> str:
    quoted = re.fullmatch(r"""(["'])(.*)\1\s*(#.*)?""", reason)
    return quoted[2] if quoted else reason
