"""`status`: is there a daemon, and is its netmap to be trusted?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netmap_actors import shown_json
from netmap_actors.errors import escape
from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.admin.commands import NotRunning, ask_status
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.cli.process.exit_codes import ExitCode, note_exit_code
from netmap_supervisor.view.sentences import ago, span, tailnet_name, trust, waiting_for
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import Column, fold, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.wire.status import ActorStatus, HttpStatus, StatusReport

__all__ = ["command", "exit_code"]

_REMOVED = "removed"
_MAX_TEXT = 1000
"""Characters of a reason: its end says what to do."""
_ACTORS = (
    Column("ACTOR", rank=6, least=18, stays=True),
    Column("PID", rank=3, least=3, right=True),
    Column("STATE"),
    Column("RESTARTS", right=True),
    Column("UP", rank=2, least=2, right=True),
    Column("MEMORY", rank=1, least=6, right=True),
    Column("LAST EXIT", rank=5, least=9),
)


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing: the exit status tells.")
@runtime_dir_flag
def command(as_json: bool, quiet: bool, runtime_dir: Path) -> int:
    """Show whether the daemon runs and its netmap can be trusted.

    Exit status: 0 fresh, 3 not running, 4 not fresh, 5 login needed or node removed.

    \b
    Examples:
      netmap-supervisor status
      netmap-supervisor status -q && deploy
      netmap-supervisor status --json | jq .netmap.age_s
    """
    try:
        report = ask_status(runtime_dir)
    except NotRunning as error:
        note_exit_code(ExitCode.NOT_RUNNING)
        if not quiet:
            click.echo(str(error), err=True)
        return ExitCode.NOT_RUNNING
    code = note_exit_code(exit_code(report))
    if as_json:
        click.echo(shown_json.encode(report))
    elif not quiet:
        click.echo("\n".join(lines(report, output_width())))
    return code


def exit_code(report: StatusReport) -> ExitCode:
    """What `status` ends with."""
    last = report.connection.last_end
    # A node that was removed stays so until it is registered again, whatever state the next attempt is in.
    removed = last is not None and last.reason == _REMOVED and report.connection.state != "map_session"
    if report.connection.state == "login_needed" or removed:
        return ExitCode.ATTENTION
    return ExitCode.OK if report.netmap.state == Trust.FRESH else ExitCode.STALE


def lines(report: StatusReport, width: int | None = None) -> Iterator[str]:
    """The report for people, in lines of at most `width` cells."""
    netmap, liveness = report.netmap, report.liveness
    heard = trust(Trust.NONE, None) if netmap.age_s is None else f"last MapResponse {ago(netmap.age_s)}"
    head = f"{netmap.state.upper()}  {heard}"
    if liveness.deadline_in_s is not None:
        head += f", dead in {span(max(0.0, liveness.deadline_in_s))} if nothing comes"
    yield from fold("", head, width)
    for name, text in _facts(report):
        yield from fold(f"  {name:<12}", text, width)
    yield ""
    yield from table_lines(_ACTORS, [_actor(actor) for actor in report.actors], width, "  ")


def _facts(report: StatusReport) -> Iterator[tuple[str, str]]:
    netmap, connection = report.netmap, report.connection
    waiting = waiting_for(report)
    if waiting is not None:
        yield "waiting", waiting
    if connection.auth_url:
        yield "log in", escape(connection.auth_url, 1000)
    if netmap.peers or netmap.domain:
        name = tailnet_name("" if netmap.self_node is None else netmap.self_node.name, netmap.domain)
        domain = f"{name}: " if name else ""
        yield (
            "tailnet",
            f"{domain}{netmap.peers} peers, {netmap.peers_online} online, {netmap.peers_unknown} unknown",
        )
    if netmap.self_node is not None:
        node = netmap.self_node
        yield "this node", f"{escape(node.name, 80)} {escape(' '.join(node.addresses), 120)}"
    yield "control", f"{escape(report.control.url)} {escape(report.control.server_key or '', 90)}".rstrip()
    yield "connection", _connection(report)
    ended = ", ".join(f"{reason} {count}" for reason, count in connection.ended.items() if count)
    if ended:
        yield "ended", escape(ended)
    if connection.last_end is not None:
        last = connection.last_end
        detail = f": {escape(last.detail, _MAX_TEXT)}" if last.detail else ""
        yield "last end", f"{escape(last.reason, 40)} at {escape(last.at, 40)}{detail}"
    yield "bus", f"epoch {netmap.epoch} seq {netmap.seq}, {_counted(report.subscribers)}"
    if report.http is not None:
        yield "http", _http(report.http)
    for hook in report.webhooks:
        told = f", last at {escape(hook.last_success, 40)}" if hook.last_success else ""
        failing = f"; failing: {escape(hook.failure, _MAX_TEXT)}" if hook.failure else ""
        yield "webhook", f"{hook.name}: {hook.delivered} told, {hook.pending} waiting{told}{failing}"
    for actor in report.actors:
        if actor.refused_calls:
            calls = ", ".join(f"{call} {count}" for call, count in sorted(actor.refused_calls.items()))
            yield "refused", escape(f"system calls of {actor.name}: {calls}", _MAX_TEXT)
    unfiltered = [actor.name for actor in report.actors if actor.system_calls == "off"]
    if unfiltered:
        yield "unfiltered", f"may make any system call: {', '.join(unfiltered)}; the log says why"
    if report.log_lines_suppressed:
        yield "log", f"{report.log_lines_suppressed} lines left out: too many of their kind"
    for one in report.degraded:
        yield "degraded", f"{escape(one.text, _MAX_TEXT)} (since {escape(one.since, 40)})"


def _actor(actor: ActorStatus) -> tuple[str, ...]:
    return (
        actor.name,
        str(actor.pid or ""),
        actor.state,
        str(actor.restarts),
        "" if actor.uptime_s is None else span(actor.uptime_s),
        "" if actor.rss_bytes is None else f"{actor.rss_bytes / (1 << 20):.1f} MiB",
        escape(actor.last_exit or "", 60),
    )


def _http(http: HttpStatus) -> str:
    text = escape(http.listen, 200)
    if http.token_required:
        text += f" for other machines, with a token, {'with TLS' if http.tls else 'IN PLAIN TEXT'}"
    elif http.tls:
        text += " with TLS"
    return text


def _counted(subscribers: int) -> str:
    return f"{subscribers} subscriber{'' if subscribers == 1 else 's'}"


def _connection(report: StatusReport) -> str:
    connection = report.connection
    text = f"number {connection.generation}, {escape(connection.state, 40).replace('_', ' ')}"
    if connection.session_age_s is not None:
        text += f" for {span(connection.session_age_s)}"
    if connection.local_address:
        text += f", {escape(connection.local_address, 60)} to {escape(connection.remote_address or '?', 60)}"
    if connection.proxy:
        text += f", the proxy {escape(connection.proxy, 100)}"
    return text
