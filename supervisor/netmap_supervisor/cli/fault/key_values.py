"""What a control server is told on a command line: KEY=VALUE words in, the list of its faults out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import described

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["fault_rows", "key_values", "struck"]


def key_values(
    words: Sequence[str], reserved: frozenset[str] = frozenset({"command", "name"})
) -> dict[str, Any]:
    """KEY=VALUE as JSON values; what is no JSON is text. Raises click.BadParameter."""
    settings: dict[str, Any] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or not key.isidentifier() or key in reserved:
            raise click.BadParameter(f"{word!r} is not KEY=VALUE", param_hint="KEY=VALUE")
        try:
            # Not the module json, which takes NaN for a number.
            settings[key] = msgspec.json.decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            settings[key] = value
    return settings


def fault_rows(faults: Mapping[str, str]) -> Iterator[str]:
    """A line for each fault a server can commit, with what it does."""
    return described([(name, str(about)) for name, about in faults.items()], output_width())


def struck(name: str, count: int) -> str:
    """What a fault did at once."""
    return f"{name}: {count} connection{'' if count == 1 else 's'} struck" + (
        "" if count else ": none is open, or it waits for those that come"
    )
