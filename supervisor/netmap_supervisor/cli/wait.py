"""`wait`: until something is true of the netmap."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from netmap_actors.errors import escape
from netmap_actors.subscriber import Subscriber
from netmap_supervisor.cli.durations import duration
from netmap_supervisor.cli.exit_codes import ExitCode, judged
from netmap_supervisor.cli.option_flags import runtime_dir_flag
from netmap_supervisor.option_kinds import BadValue
from netmap_supervisor.sentences import online, trust
from netmap_supervisor.single_instance import is_locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Condition", "command", "parse_condition"]

_UNHEARD = "no daemon was heard in {}; start one with `netmap-supervisor run`, or name its directory with --runtime-dir"
_UNHEARD_THOUGH_THERE = (
    "the daemon of {} says nothing: it starts, ends or is stopped; see `netmap-supervisor status`"
)
_PEER = "peer:"
_PEER_STATES = ("online", "offline", "unknown", "present", "absent")


class Condition(NamedTuple):
    """One thing to wait for."""

    text: str
    holds: Callable[[Subscriber], bool]


def _conditions(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[Condition, ...]:
    try:
        return tuple(map(parse_condition, value))
    except BadValue as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command("wait")
@click.option(
    "--for",
    "conditions",
    default=("fresh",),
    show_default=True,
    multiple=True,
    callback=_conditions,
    metavar="CONDITION",
    help="fresh, stale, peer:NAME=online|offline|unknown|present|absent; may be repeated: all have to hold.",
)
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    callback=duration(0.0, 365 * 86_400.0),
    metavar="DURATION",
    help="When to give up.",
)
@runtime_dir_flag
def command(conditions: tuple[Condition, ...], timeout: float, runtime_dir: Path) -> int:
    """Wait until the netmap is as wanted; a daemon that is not there yet is waited for, too.

    Except for `stale`, a condition holds only in a fresh netmap: what is not known to be true is not true. NAME is
    a name, an address or a stable id. Exit status: 0 it holds, 124 it did not within the timeout.

    \b
    Examples:
      netmap-supervisor wait --timeout 1m
      netmap-supervisor wait --for peer:web-1=online --for peer:db-1=online
    """
    with Subscriber(runtime_dir) as subscriber:
        if subscriber.wait_for(lambda now: all(one.holds(now) for one in conditions), timeout):
            return ExitCode.OK
        judged(ExitCode.TIMED_OUT)
        missing = ", ".join(one.text for one in conditions if not one.holds(subscriber))
        unheard = _UNHEARD_THOUGH_THERE if is_locked(runtime_dir) else _UNHEARD
        heard = trust(subscriber.state, subscriber.age_s) if subscriber.epoch else unheard.format(runtime_dir)
        click.echo(f"timed out waiting for {escape(missing)}: {heard}", err=True)
        return ExitCode.TIMED_OUT


def parse_condition(text: str) -> Condition:
    """The condition behind `fresh`, `stale` or `peer:NAME=STATE`. Raises BadValue."""
    if text in {"fresh", "stale"}:
        return Condition(text, lambda subscriber: subscriber.state == text)
    # An IPv6 address holds colons, and no name holds "=": the last one counts.
    name, separator, state = text.removeprefix(_PEER).rpartition("=")
    if not text.startswith(_PEER) or not separator or not name or state not in _PEER_STATES:
        raise BadValue(
            f"{escape(text, 80)!r} is no condition: fresh, stale or peer:NAME={'|'.join(_PEER_STATES)} is expected"
        )

    def holds(subscriber: Subscriber) -> bool:
        if subscriber.state != "fresh":
            return False
        peer = subscriber.peers.find(name)
        if state in {"present", "absent"}:
            return (peer is not None) == (state == "present")
        return peer is not None and online(peer.online) == state

    return Condition(text, holds)
