"""`export`: the netmap as a file for other programs, once or kept current."""

from __future__ import annotations

import operator
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_actors.exports import hosts, netmap_json, prometheus_sd
from netmap_actors.exports.host_names import host_name
from netmap_actors.subscriber import Subscriber
from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.admin.commands import CommandFailed, is_running, require_running
from netmap_supervisor.cli.export.change_command import ChangeCommand
from netmap_supervisor.cli.export.follow import Follower, notify, warn
from netmap_supervisor.cli.export.output_file import OutputFile
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.cli.process.exit_codes import ExitCode
from netmap_supervisor.config.layers import working_directory
from netmap_supervisor.view.sentences import trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.subscriber import Snapshot

__all__ = ["command"]

FIRST_NETMAP = 15.0
"""Seconds a single export waits for a netmap."""


class Selection(NamedTuple):
    """Which nodes are exported, and how."""

    tags: tuple[str, ...]
    online_only: bool
    port: int | None
    include_self: bool
    suffixes: tuple[str, ...]


class Format(NamedTuple):
    """One export format."""

    kinds: tuple[str, ...] | None
    """The kinds of event that can change it; None: all."""
    text: Callable[[Snapshot, Selection], str]
    same: Callable[[bytes, bytes], bool]
    """Whether an old and a new content are equivalent."""


def _hosts(snapshot: Snapshot, choice: Selection) -> str:
    return hosts.text(
        snapshot.netmap,
        state=snapshot.state,
        tags=choice.tags,
        online_only=choice.online_only,
        include_self=choice.include_self,
        suffixes=choice.suffixes,
        machine=os.uname().nodename,
    )


def _json(snapshot: Snapshot, choice: Selection) -> str:
    return netmap_json.text(
        netmap_json.json_object(snapshot, tags=choice.tags, online_only=choice.online_only)
    )


def _prometheus_sd(snapshot: Snapshot, choice: Selection) -> str:
    return prometheus_sd.text(
        prometheus_sd.target_groups(
            snapshot.netmap,
            state=snapshot.state,
            port=choice.port,
            tags=choice.tags,
            online_only=choice.online_only,
            include_self=choice.include_self,
        )
    )


_NODES = ("peer_upserted", "peer_removed", "self_changed", "domain_changed")
FORMATS = {
    "hosts": Format((*_NODES, "dns_changed"), _hosts, operator.eq),
    "json": Format(None, _json, netmap_json.same),
    "prometheus-sd": Format((*_NODES, "user_profiles_changed"), _prometheus_sd, operator.eq),
}


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


@click.command("export", short_help="Write the netmap as a file for other programs.")
@click.argument("form", metavar="FORMAT", type=click.Choice(tuple(FORMATS)))
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
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="Only nodes with it; repeated: with one of them."
)
@click.option("--online-only", is_flag=True, help="Only nodes the control server says to be online.")
@click.option(
    "--include-self", is_flag=True, help="Our own node, too, which nobody reaches (hosts and prometheus-sd)."
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
    "--timeout",
    type=DurationRange(0.0, 365 * 86_400.0),
    help="How long to wait for the first netmap.  [default: 15s; with --follow for ever]",
)
@runtime_dir_flag
def command(
    form: str,
    output: Path | None,
    follow: bool,
    words: list[str] | None,
    port: int | None,
    tags: tuple[str, ...],
    online_only: bool,
    include_self: bool,
    suffixes: tuple[str, ...],
    timeout: float | None,
    runtime_dir: Path,
) -> int:
    """Write the netmap for other programs. FORMAT is one of:

    \b
      hosts          a hosts file: addresses and names below the tailnet's domain, short ones for its own nodes
      json           what `netmap --json` prints
      prometheus-sd  targets with labels for Prometheus's file_sd_configs

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
    """
    if port is not None and form != "prometheus-sd":
        raise click.UsageError("--port is for prometheus-sd only")
    if include_self and form == "json":
        raise click.UsageError("--include-self is for hosts and prometheus-sd only")
    if suffixes and form != "hosts":
        raise click.UsageError("--suffix is for hosts only")
    if output is None and (follow or words is not None):
        raise click.UsageError(f"{'--follow' if follow else '--exec'} needs a file: --output FILE")
    chosen = Selection(tags, online_only, port, include_self, suffixes)
    file = OutputFile(working_directory() / output, warn) if output is not None else None
    run = ChangeCommand(words, file.path) if words is not None and file is not None else None
    if follow:
        assert file is not None
        _follow(FORMATS[form], chosen, file, run, timeout, runtime_dir)
    else:
        _once(FORMATS[form], chosen, file, run, FIRST_NETMAP if timeout is None else timeout, runtime_dir)
    return ExitCode.OK


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
    elif file.update(data, form.same) and run is not None:
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
            return file.update(form.text(snapshot, chosen).encode(), form.same)

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
