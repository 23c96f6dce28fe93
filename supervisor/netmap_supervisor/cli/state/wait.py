"""`wait`: until something is true of the netmap."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click
from click.shell_completion import CompletionItem

from netmap_actors.errors import escape
from netmap_actors.subscriber import AmbiguousName, NoSuchNode
from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.cli.parameters.followed_daemon import daemon_flags
from netmap_supervisor.cli.parameters.peer_names import peer_names
from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.cli.process.exit_codes import ExitCode, note_exit_code
from netmap_supervisor.config.kinds import BadValue
from netmap_supervisor.view.sentences import contact, online, trust

if TYPE_CHECKING:
    from netmap_actors.subscriber import Snapshot
    from netmap_supervisor.cli.parameters.followed_daemon import FollowedDaemon

__all__ = ["WaitCondition", "command", "parse_condition"]

_MAX_TEXT = 1000
_PEER = "peer:"
_PEER_STATES = ("online", "offline", "unknown", "present", "absent")


class WaitCondition(NamedTuple):
    """One thing to wait for."""

    text: str
    node: str = ""
    """The node's name; "" for a condition of the whole netmap."""
    state: str = ""

    def holds(self, seen: Snapshot) -> bool:
        """Whether it is known to be true. Raises AmbiguousName when a fresh netmap has several nodes of that name."""
        if not self.node:
            return seen.state == self.text
        if seen.state != Trust.FRESH:
            return False
        found = seen.netmap.find(self.node)
        if self.state in {"present", "absent"}:
            return (found is not None) == (self.state == "present")
        return found is not None and online(found.online) == self.state

    def found(self, seen: Snapshot) -> str:
        """The present state instead, as text; "" if there is nothing to say."""
        if not self.node or seen.state == Trust.NONE:
            return ""
        try:
            node = seen.netmap.resolve(self.node)
        except (NoSuchNode, AmbiguousName) as error:
            return str(error)
        return contact(node, now=seen.state == Trust.FRESH)


def _conditions(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[WaitCondition, ...]:
    try:
        return tuple(map(parse_condition, value))
    except BadValue as error:
        raise click.BadParameter(str(error), ctx, param) from None


def _complete(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Whole conditions; of the states of a peer all, once its name is there."""
    name, ended, _ = begun.removeprefix(_PEER).partition("=")
    asked = begun.startswith(_PEER)
    states = _PEER_STATES if ended else _PEER_STATES[:2]
    peers = [f"{_PEER}{peer}={state}" for peer in peer_names(ctx, name) for state in states] if asked else []
    return [
        CompletionItem(word)
        for word in (str(Trust.FRESH), str(Trust.STALE), *(peers if asked else [_PEER]))
        if word.startswith(begun)
    ]


@click.command("wait")
@click.option(
    "--for",
    "conditions",
    default=("fresh",),
    show_default=True,
    multiple=True,
    callback=_conditions,
    shell_complete=_complete,
    metavar="CONDITION",
    help="fresh, stale, peer:NAME=online|offline|unknown|present|absent; may be repeated: all have to hold.",
)
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    type=DurationRange(0.0, 365 * 86_400.0),
    help="When to give up.",
)
@daemon_flags
def command(conditions: tuple[WaitCondition, ...], timeout: float, daemon: FollowedDaemon) -> int:
    """Wait until the netmap is as wanted; a daemon that is not there yet is waited for, too.

    Except for `stale`, a condition holds only in a fresh netmap: what is not known to be true is not true. NAME is
    PEER of `netmap`; one that no node has yet is waited for, one that several have is an error at once. Exit status:
    0 it holds, 124 it did not within the timeout.

    \b
    Examples:
      netmap-supervisor wait --timeout 1m
      netmap-supervisor wait --for peer:web-1=online --for peer:db-1=online
    """
    with daemon.subscriber() as subscriber:
        if subscriber.wait_for(lambda now: all(one.holds(now) for one in conditions), timeout):
            return ExitCode.OK
        note_exit_code(ExitCode.TIMED_OUT)
        seen = subscriber.store.snapshot()
        missing = [one for one in conditions if not one.holds(seen)]
        texts = ", ".join(one.text for one in missing)
        found = [text for one in missing if (text := one.found(seen))]
        heard = trust(seen.state, seen.age_s) if seen.epoch else daemon.why_unheard()
        if seen.epoch and seen.state == Trust.NONE:
            heard += f"; {daemon.ask_status}"
        click.echo(
            f"timed out waiting for {escape(texts, _MAX_TEXT)}: {'; '.join([*found, heard])}", err=True
        )
        return ExitCode.TIMED_OUT


def parse_condition(text: str) -> WaitCondition:
    """The condition behind `fresh`, `stale` or `peer:NAME=STATE`. Raises BadValue."""
    if text in {Trust.FRESH, Trust.STALE}:
        return WaitCondition(text)
    # An IPv6 address holds colons, and no name holds "=": the last one counts.
    name, separator, state = text.removeprefix(_PEER).rpartition("=")
    if not text.startswith(_PEER) or not separator or not name or state not in _PEER_STATES:
        raise BadValue(
            f"{escape(text, 80)!r} is no condition: fresh, stale or peer:NAME={'|'.join(_PEER_STATES)} is expected"
        )
    return WaitCondition(text, name, state)
