"""`dev-control`: the embedded control server alone, and subcommands for a running one."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from netmap_actors import shown_json
from netmap_supervisor.cli.parameters.ranges import DurationRange, FiniteRange
from netmap_supervisor.devtools.dev_orders import ORDERS
from netmap_supervisor.devtools.listening import (
    listening_options,
    reached_lines,
    state_directory,
    tls_setup,
    warn_of_others,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.dev_control.standalone import Announcement

__all__ = ["command"]

_MAX_DOMAIN = 150
"""Characters, which leave room for a node's own label."""
_DOMAIN_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[\w.+@-]{1,64}", re.ASCII)


def _domain(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if len(value) > _MAX_DOMAIN or not all(_DOMAIN_LABEL.fullmatch(label) for label in value.split(".")):
        raise click.BadParameter("a domain such as dev.example is expected, in lower case", ctx, param)
    return value


def _user(ctx: click.Context, param: click.Parameter, value: str) -> str:
    name = value.removesuffix("@")
    if value and not _USER.fullmatch(name):
        raise click.BadParameter("a name such as alice or alice@dev.example is expected", ctx, param)
    return name


def _pace(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    if value == "max":
        return math.inf
    return FiniteRange(0.01, 10_000).convert(value.removesuffix("x"), param, ctx)


@click.group(
    "dev-control",
    invoke_without_command=True,
    short_help="Run the embedded control server alone, and drive it.",
)
@listening_options()
@click.option("--state-dir", metavar="DIR", help="Keep keys and nodes here.  [default: nowhere]")
@click.option(
    "--domain",
    default="dev.netmap.example",
    show_default=True,
    metavar="NAME",
    callback=_domain,
    help="Of the tailnet.",
)
@click.option("--auth-key", metavar="SOURCE", help="file:PATH or env:NAME.  [default: a new one]")
@click.option(
    "--user",
    default="",
    metavar="NAME",
    callback=_user,
    help="Whom the key belongs to, and who completes logins.  [default: alice]",
)
@click.option("--open", "is_open", is_flag=True, help="Let everybody in, without key or login.")
@click.option("--require-approval", is_flag=True, help="New machines wait for an administrator.")
@click.option(
    "--key-lifetime",
    type=DurationRange(1.0, 10 * 365 * 86400.0),
    help="Of a node key.  [default: for ever]",
)
@click.option(
    "--policy", metavar="FILE", help="Who sees whom: acls, grants, groups, hosts, tagOwners; JSON or TOML."
)
@click.option(
    "--derp-map", metavar="FILE", help="Relays to tell of, as JSON.  [default: three that do not answer]"
)
@click.option(
    "--nodes", default=8, show_default=True, type=click.IntRange(0, 100_000), help="Simulated nodes."
)
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="The same one, the same tailnet."
)
@click.option(
    "--churn", default=0.3, show_default=True, type=FiniteRange(0, 1000), help="Changes per second."
)
@click.option("--scenario", metavar="FILE", help="Nodes, and what happens to them at which second; TOML.")
@click.option("--replay", metavar="FILE", help="Play what `record` kept, instead of a tailnet of its own.")
@click.option(
    "--pace",
    metavar="TIMES|max",
    callback=_pace,
    help="Of --replay: how many times as fast as it was; max: as fast as clients read.  [default: 1]",
)
@click.option("--loop", is_flag=True, help="Of --replay: begin again after its end.")
@click.option("--once", is_flag=True, help="Of --replay: end with it. Without, its last state stays.")
@click.option(
    "--keep-alive",
    default="50s",
    show_default=True,
    type=DurationRange(0.05, 3600.0),
    help="Time between two keep-alives.",
)
@click.option(
    "--offline-grace",
    default="10s",
    show_default=True,
    type=DurationRange(0.0, 86400.0),
    help="Until the others hear that a node has gone.",
)
@click.option(
    "--ephemeral-grace",
    default="2m",
    show_default=True,
    type=DurationRange(0.0, 30 * 86400.0),
    help="Until an ephemeral node that has gone is deleted.",
)
@click.option(
    "--early-payload",
    default="split",
    show_default=True,
    type=click.Choice(("split", "whole", "off")),
    help="In three records, whole in one, or off.",
)
@click.option(
    "--socket",
    "socket_path",
    metavar="PATH",
    help="Where the commands below are taken.  [env: NETMAP_DEV_CONTROL_SOCKET]",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    socket_path: str | None,
    address: tuple[str, int],
    tls_address: tuple[str, int] | None,
    certificate: str,
    key: str,
    ca_file: str,
    host: str,
    is_open: bool,
    auth_key: str | None,
    state_dir: str | None,
    replay: str | None,
    pace: float | None,
    loop: bool,
    once: bool,
    **plain: Any,
) -> None:
    """Run the embedded control server alone, with a small living tailnet, until Ctrl-C.

    For development and tests only: it believes whoever opens its login page. Prints its URL, an auth key and the socket
    on which the commands below reach it while it runs.

    \b
    Examples:
      netmap-supervisor dev-control --listen 127.0.0.1:8080 --nodes 20
      netmap-supervisor run --control-url http://127.0.0.1:8080 --auth-key file:key
      netmap-supervisor dev-control --tls-listen 127.0.0.1:8443 --tls-ca ca.pem
      netmap-supervisor dev-control --replay session.jsonl --pace 10
      netmap-supervisor dev-control fault liveness/silence --client web-1 --for 30s
    """
    if ctx.invoked_subcommand is not None:
        _refuse_start_options(ctx)
        return
    # Imported here: the subcommands need no server.
    from netmap_actors.dev_control.assembly import Setup  # noqa: PLC0415
    from netmap_actors.dev_control.http.state import Options  # noqa: PLC0415
    from netmap_actors.dev_control.operator import files  # noqa: PLC0415
    from netmap_actors.dev_control.standalone import make_options, serve  # noqa: PLC0415

    if replay is not None:
        plain |= {"nodes": 0, "churn": 0.0}
    elif pace is not None or loop or once:
        raise click.UsageError("--pace, --loop and --once are about the recording that --replay names", ctx)
    readers: dict[str, Callable[[str], Any]] = {
        "policy": files.read_policy, "derp_map": files.read_derp_map, "scenario": files.read_scenario,
    }  # fmt: skip
    plain |= {name: read(plain[name]) if plain[name] else None for name, read in readers.items()}
    setup = Setup(
        state_dir=state_directory(state_dir),
        auth_key=files.read_auth_key_source(auth_key) if auth_key else "",
        require_auth=not is_open,
        replay=replay or "",
        replay_pace=1.0 if pace is None else pace,
        replay_loop=loop,
        options=make_options(
            **{name: plain.pop(name) for name in Options.__struct_fields__ if name in plain}
        ),
        **plain,
    )
    tls = tls_setup(tls_address, certificate, key, ca_file)
    warn_of_others(address[0], *([] if tls is None else [tls.host]))
    commands = Path(socket_path) if socket_path else None
    serve(*address, setup, announce=_announce, log=_log, socket_path=commands, tls=tls, name=host, once=once)


for _order in ORDERS:
    command.add_command(_order)


def _refuse_start_options(ctx: click.Context) -> None:
    """Options of a server to start would be ignored before a subcommand for a running one."""
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if param.name != "socket_path" and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{param.opts[0]} is for starting a server, and {ctx.invoked_subcommand!r} asks one that runs",
                ctx,
            )


def _announce(server: Announcement) -> None:
    lines = reached_lines(server)
    if server.socket_path is not None:
        lines.append(f"commands  {server.socket_path}")
    # One write: a script that reads the first line finds the others, too.
    click.echo("\n".join(lines))
    click.echo(
        "a control server for development, not for a network anybody relies on; Ctrl-C ends it", err=True
    )


def _log(event: str, **fields: object) -> None:
    click.echo(shown_json.encode({"event": event} | fields, enc_hook=str), err=True)
