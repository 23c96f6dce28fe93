"""The options that choose and sort peers, of `watch` and `netmap`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netmap_actors.exports.nodes import shown_tags
from netmap_supervisor.cli.parameters.peer_names import tag_flag
from netmap_supervisor.view.table_choice import SORT_COLUMNS, TableChoice

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["choice_flags"]

_F = TypeVar("_F", bound="Callable[..., Any]")


class _SortColumn(click.Choice):  # type: ignore[type-arg]  # older click has none
    """A column's name, with `-` before it for the other direction."""

    def __init__(self) -> None:
        super().__init__(SORT_COLUMNS, case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name = str(value)
        sign = "-" if name.startswith("-") else ""
        return sign + str(super().convert(name.removeprefix("-"), param, ctx))


def _match(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    if value == "":  # as from an unset variable; every peer would pass
        raise click.BadParameter("a part of a name, an address or a tag is expected", ctx, param)
    return value or ""


def choice_flags(function: _F) -> _F:
    """The command gets them as `choice`, a TableChoice."""

    @click.option(
        "--sort",
        type=_SortColumn(),
        metavar="COLUMN",
        help=f"Sort the table by {', '.join(SORT_COLUMNS)}; `-COLUMN` is the other way round.",
    )
    @click.option("--reverse", is_flag=True, help="The other way round.")
    @tag_flag("Only peers with it (`web` or `tag:web`)")
    @click.option(
        "--online/--offline",
        default=None,
        help="Only peers the control server says to be so; one of unknown state is neither.",
    )
    @click.option(
        "--match",
        metavar="TEXT",
        callback=_match,
        help="Only peers with this in a name, address, tag, route, user, OS or id; with `*`, `?` or `[` it is a "
        "pattern for all of one.",
    )
    @functools.wraps(function)
    def wrapped(
        *arguments: Any,
        sort: str | None,
        reverse: bool,
        tags: tuple[str, ...],
        online: bool | None,
        match: str,
        **others: Any,
    ) -> Any:
        column = sort or (SORT_COLUMNS[0] if reverse else "")
        choice = TableChoice(
            sort=column.removeprefix("-"),
            descending=column.startswith("-") != reverse,
            tags=shown_tags(tags),
            online=online,
            match=match,
        )
        return function(*arguments, choice=choice, **others)

    return wrapped  # type: ignore[return-value]
