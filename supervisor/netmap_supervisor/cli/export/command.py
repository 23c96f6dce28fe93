"""`export`: the netmap as a file for other programs, once or kept current."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_actors.exports.host_names import host_name
from netmap_actors.exports.nodes import NodeChoice
from netmap_actors.subscriber import Subscriber
from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.admin.commands import CommandFailed, is_running, require_running
from netmap_supervisor.cli.export.change_command import ChangeCommand
from netmap_supervisor.cli.export.follow import Follower, notify, warn
from netmap_supervisor.cli.export.formats import FORMATS, Format, Selection
from netmap_supervisor.cli.export.output_file import OutputFile
from netmap_supervisor.cli.export.template import check_template
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.cli.parameters.peer_names import tag_flag
from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.cli.process.exit_codes import ExitCode
from netmap_supervisor.config.layers import working_directory
from netmap_supervisor.view.sentences import trust

if TYPE_CHECKING:
    import ipaddress

__all__ = ["command"]

FIRST_NETMAP = 15.0
"""Seconds a single export waits for a netmap."""


def _command_line(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}; quote it as for a shell", ctx, param) from None
    if not words:
        raise click.BadParameter("a command is expected", ctx, param)
    return words


def _domains(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if host_name(value.rstrip(".")) is None:
            raise click.BadParameter(f"{escape(value, 80)!r} is no domain names could be in", ctx, param)
    return values


def _network(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    from netmap_actors.exports.zone import reverse_zone  # noqa: PLC0415 - of this format only

    try:
        return None if value is None else reverse_zone(value)
    except ValueError as error:
        raise click.BadParameter(escape(str(error)), ctx, param) from None


def _domain(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return None if value is None else _domains(ctx, param, (value,))[0]


@click.command("export", short_help="Write the netmap as a file for other programs.")
@click.argument("form", metavar="FORMAT", type=click.Choice(tuple(FORMATS)))
@click.argument("template", metavar="[TEMPLATE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write it here, as a whole and only when it has changed.  [default: standard output]",
)
@click.option("--follow", is_flag=True, help="Keep the file current, until Ctrl-C or SIGTERM.")
@click.option(
    "--exec",
    "words",
    metavar="COMMAND",
    callback=_command_line,
    help="Run this after each written change, without a shell; NETMAP_EXPORT_FILE names the file.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 0xFFFF),
    metavar="PORT",
    help="Port of the targets (prometheus-sd only).  [default: none, for relabelling]",
)
@tag_flag("Only nodes with it")
@click.option("--online-only", is_flag=True, help="Only nodes the control server says to be online.")
@click.option(
    "--include-self", is_flag=True, help="Our own node, too, which nobody reaches (all formats but json)."
)
@click.option(
    "--suffix",
    "suffixes",
    multiple=True,
    metavar="DOMAIN",
    callback=_domains,
    help="Names below this domain besides the tailnet's, as of nodes shared in; may be repeated (hosts only).",
)
@click.option(
    "--origin",
    metavar="DOMAIN",
    callback=_domain,
    help="The domain of the zone (zone only).  [default: the tailnet's]",
)
@click.option(
    "--ns",
    "servers",
    multiple=True,
    metavar="HOST",
    callback=_domains,
    help="A name server of the zone, the primary one first; may be repeated (zone only).  [default: localhost]",
)
@click.option(
    "--reverse",
    metavar="NETWORK",
    callback=_network,
    help="The reverse zone of 100.64.0.0/16, or another network that is one, instead (zone only).",
)
@click.option("--list", "as_list", is_flag=True, help="The whole inventory, as without it (ansible only).")
@click.option("--host", metavar="NAME", help="The variables of this host (ansible only).")
@click.option(
    "--timeout",
    type=DurationRange(0.0, 365 * 86_400.0),
    help="How long to wait for the first netmap.  [default: 15s; with --follow for ever]",
)
@runtime_dir_flag
@click.pass_context
def command(
    ctx: click.Context,
    /,
    form: str,
    *,
    output: Path | None,
    follow: bool,
    words: list[str] | None,
    timeout: float | None,
    runtime_dir: Path,
    as_list: bool,
    **chosen: Any,
) -> int:
    """Write the netmap for other programs. FORMAT is one of:

    \b
      hosts          a hosts file: addresses, full names and short ones
      json           what `netmap --json` prints
      prometheus-sd  targets with labels for Prometheus's file_sd_configs
      zone           a zone of nodes, DNS records and tags (RFC 1035)
      ansible        an inventory, with groups by tag, system and user
      template       what a Jinja2 TEMPLATE makes of it (extra `template`)

    A netmap that is not fresh is written all the same and says so, with a warning on standard error; when there is
    none, nothing is written. FILE is replaced as a whole, with its mode kept; a symbolic link is refused, and a file
    that says the same already is not touched. One that is mounted by itself, as into a container, cannot be replaced
    and is written in place. With --follow it goes on over restarts of the daemon and waits for one
    that is not there yet; changes within a second are written together.

    \b
    Examples:
      netmap-supervisor export hosts
      netmap-supervisor export hosts --follow -o /run/tailnet/hosts --exec "pkill -HUP -x dnsmasq"
      netmap-supervisor export prometheus-sd --port 9100 --follow -o /etc/prometheus/tailnet.json
      netmap-supervisor export zone --follow -o /var/lib/bind/tailnet.zone --exec "rndc reload tail.example"
      netmap-supervisor export template web.conf.j2 -o /etc/nginx/conf.d/web.conf --exec "nginx -s reload"
    """
    _check_options(ctx, form)
    if form == "template":
        if chosen["template"] is None:
            raise click.UsageError("the format template needs a file: export template TEMPLATE")
        chosen["template"] = working_directory() / chosen["template"]
    if as_list and chosen["host"] is not None:
        raise click.UsageError("--list and --host exclude each other")
    if output is None and (follow or words is not None):
        raise click.UsageError(f"{'--follow' if follow else '--exec'} needs a file: --output FILE")
    nodes = NodeChoice(
        tags=chosen.pop("tags"),
        online_only=chosen.pop("online_only"),
        include_self=chosen.pop("include_self"),
    )
    choice = Selection(nodes, **chosen)
    if choice.template is not None:
        check_template(choice.template)
    file = OutputFile(working_directory() / output, warn) if output is not None else None
    run = ChangeCommand(words, file.path) if words is not None and file is not None else None
    if follow:
        assert file is not None
        _follow(FORMATS[form], choice, file, run, timeout, runtime_dir)
    else:
        _once(FORMATS[form], choice, file, run, FIRST_NETMAP if timeout is None else timeout, runtime_dir)
    return ExitCode.OK


def _check_options(ctx: click.Context, form: str) -> None:
    """Raises UsageError for an option that the format does not take."""
    special = frozenset[str]().union(*(one.options for one in FORMATS.values()))
    for param in ctx.command.params:
        name = param.name or ""
        if name in special - FORMATS[form].options and ctx.params[name] not in (None, False, ()):
            takers = [word for word, one in FORMATS.items() if name in one.options]
            word = max(param.opts, key=len) if isinstance(param, click.Option) else name.upper()
            raise click.UsageError(f"{word} is for {', '.join(takers)} only")


def _once(
    form: Format,
    chosen: Selection,
    file: OutputFile | None,
    run: ChangeCommand | None,
    limit: float,
    runtime_dir: Path,
) -> None:
    require_running(runtime_dir)
    with Subscriber(runtime_dir, kinds=form.kinds) as subscriber:
        if not subscriber.wait_for(lambda now: now.state != Trust.NONE, limit):
            raise CommandFailed(
                f"cannot export the netmap: none has come within {limit:g} s; `netmap-supervisor status` says what is "
                "missing"
            )
        snapshot = subscriber.store.snapshot()
        if snapshot.state != Trust.FRESH:
            warn(trust(snapshot.state, snapshot.age_s))
        data = form.text(snapshot, chosen).encode()
    if file is None:
        _to_standard_output(data)
    elif file.update(data, form.same, form.succeeding) and run is not None:
        run.start()
        run.finish(None)


def _follow(
    form: Format,
    chosen: Selection,
    file: OutputFile,
    run: ChangeCommand | None,
    limit: float | None,
    runtime_dir: Path,
) -> None:
    if not is_running(runtime_dir):
        notify(
            f"waiting for a daemon in {runtime_dir}: none is running there; --runtime-dir names another place"
        )
    clock = SystemClock()
    reported: str = Trust.FRESH

    with Subscriber(runtime_dir, kinds=form.kinds, clock=clock) as subscriber:

        def write() -> bool:
            nonlocal reported
            snapshot = subscriber.store.snapshot()
            if snapshot.state not in {reported, Trust.FRESH}:
                warn(trust(snapshot.state, snapshot.age_s))
            reported = snapshot.state
            return file.update(form.text(snapshot, chosen).encode(), form.same, form.succeeding)

        until = None if limit is None else clock.boottime() + limit
        Follower(subscriber, write, run, clock=clock).run(until)


def _to_standard_output(data: bytes) -> None:
    """Write unbuffered: what a full disk did not take must not fail again at exit."""
    sys.stdout.flush()
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandFailed(f"cannot write to standard output: {error.strerror}") from None
