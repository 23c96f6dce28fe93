"""`history`: what the daemon lived through."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netmap_actors import shown_json
from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_actors.history.answers import HistoryQuestion, NoHistory, read
from netmap_actors.history.occurrences import Happening
from netmap_actors.history.questions import ask_daemon
from netmap_actors.history.store import BrokenHistory, NoRoom
from netmap_actors.rfc3339 import unix_seconds
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.parameters.option_flags import (
    any_runtime_dir_flag,
    config_file_flag,
    given_flags,
    state_dir_flag,
)
from netmap_supervisor.cli.parameters.peer_names import complete_peer
from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.config.layers import Layer, load, without_service
from netmap_supervisor.system.single_instance import hidden, is_locked
from netmap_supervisor.view.history_text import lines
from netmap_supervisor.view.terminal import output_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.history.answers import Answer

__all__ = ["command", "moment_of"]

_A_DAY = 86400.0


class _Moment(click.ParamType):  # type: ignore[type-arg]  # older click has none
    """So long ago, "24h", or a time: of this machine, as it is shown, or with its offset, RFC 3339; as UNIX seconds."""

    name = "moment"

    def __init__(self, after: str | None = None) -> None:
        """`after`: the parameter, read before, that a time without its day comes after."""
        self._after = after

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        wall = SystemClock().wall()
        after = ctx.params.get(self._after) if ctx is not None and self._after is not None else None
        if (at := moment_of(str(value), wall, after)) is not None:
            return at
        try:
            ago: float = DurationRange(0, 3650 * _A_DAY).convert(value, param, ctx)
        except click.BadParameter:
            self.fail(
                f'{escape(str(value), 60)!r} is neither a time, as 22:00, "2026-11-28 22:00" or RFC 3339, nor so long '
                "ago, as 90m, 24h or 7d",
                param,
                ctx,
            )
        return wall - ago


def moment_of(text: str, wall: float, after: float | None = None) -> float | None:
    """UNIX seconds of a time, of this machine's zone unless its offset stands there; None for any other text.

    A time without its day is the last one before `wall`; if that is not after `after`, it is the next one, of which
    there is nothing to see behind `wall`: 22:00 to 06:00 is a night, also while it lasts.
    """
    if (at := unix_seconds(text)) is not None:
        return at
    try:
        # A number alone is a duration, whatever ISO 8601 makes of it.
        if "-" in text:
            return datetime.datetime.fromisoformat(text).timestamp()
        if ":" not in text:
            return None
        time = datetime.time.fromisoformat(text)
        now = datetime.datetime.fromtimestamp(wall)  # noqa: DTZ006
        today = datetime.datetime.combine(now, time.replace(tzinfo=None))
        last = today if today <= now else today - datetime.timedelta(days=1)
        if after is None or last.timestamp() > after:
            return last.timestamp()
        return min((last + datetime.timedelta(days=1)).timestamp(), wall)
    except (ValueError, OverflowError):
        return None


@click.command("history")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="PEER",
    shell_complete=complete_peer,
    help="Only this node, by the name it has or had, or its stable id; may be repeated.",
)
@click.option(
    "--since",
    type=_Moment(),
    is_eager=True,  # before --until, which may be the time after it
    default="24h",
    metavar="TIME",
    help='From: so long ago (90m, 24h, 7d), or a time (22:00, "2026-11-28 22:00", RFC 3339).  [default: 24h]',
)
@click.option(
    "--until",
    type=_Moment(after="since"),
    default="0",
    metavar="TIME",
    help="To: the same; a time without its day is after --since.  [default: now]",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([str(kind) for kind in Happening]),
    metavar="KIND",
    help="Only what happened of this kind; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_file_flag
@state_dir_flag
@any_runtime_dir_flag
def command(
    peers: tuple[str, ...],
    since: float,
    until: float,
    kinds: tuple[str, ...],
    as_json: bool,
    config_file: str | None,
    **flags: Any,
) -> None:
    """Show what happened: when the netmap was fresh, each connection and why it ended, and what nodes did.

    A lane for each, drawn over the time: blank where nothing was seen, for then nothing is known. Nodes whose state did
    not change have no lane, unless they are named.

    \b
    Examples:
      netmap-supervisor history
      netmap-supervisor history --peer web-1 --since 7d
      netmap-supervisor history --since 22:00 --until 06:00
      netmap-supervisor history --kind node_offline --kind node_online --json
    """
    if since >= until:
        raise click.UsageError("cannot show the history: --since is not before --until")
    until = min(until, SystemClock().wall())  # nothing was seen of what is to come
    if since >= until:
        raise click.UsageError("cannot show the history: --since is not in the past")
    question = HistoryQuestion(since=since, until=until, peers=peers, kinds=tuple(map(Happening, kinds)))
    answer = _reading(lambda: _answer(config_file, flags, question))
    if as_json:
        click.echo(shown_json.encode(answer.to_json()))
        return
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    for line in lines(answer, output_width(), blocks=unicode, named=bool(peers)):
        click.echo(line)


def _answer(config_file: str | None, flags: dict[str, Any], question: HistoryQuestion) -> Answer:
    """Of the daemon that runs in the runtime directory; without one, of the files in the state directory."""
    configuration = load(given_flags(flags), without_service(os.environ), config_file=config_file)
    if configuration.settings["state_dir"].layer is Layer.DEFAULT:
        directory = Path(configuration.value("runtime_dir"))
        if is_locked(directory):
            return ask_daemon(question, directory)
        if (why := hidden(directory)) is not None:
            raise CommandFailed(why)
    return read(Path(configuration.value("state_dir")) / "history", question)


def _reading(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (NoHistory, BrokenHistory, NoRoom) as error:
        raise CommandFailed(escape(str(error), 500)) from None
    except PermissionError as error:
        raise CommandFailed(
            f"cannot open {error.filename}: {error.strerror}; use the user that the daemon runs as"
        ) from None
