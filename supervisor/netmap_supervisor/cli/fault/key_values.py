"""Faults on a command line: KEY=VALUE arguments, the list of faults, the effect of one."""

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
    """Each fault of the control server and what it does, in lines."""
    return described([(name, str(about)) for name, about in faults.items()], output_width())


def struck(name: str, count: int) -> str:
    """The immediate effect of a fault: how many connections it has hit."""
    return f"{name}: {count} connection{'' if count == 1 else 's'} struck" + (
        "" if count else ": none is open, or it waits for those that come"
    )
