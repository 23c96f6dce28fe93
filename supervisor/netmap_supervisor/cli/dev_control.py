"""`dev-control`: the embedded control server alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netmap_supervisor.cli.durations import duration
from netmap_supervisor.option_kinds import BadValue, Directory

if TYPE_CHECKING:
    from netmap_actors.devcontrol.standalone import Announcement

__all__ = ["command"]


def _address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    """(host, port) from HOST:PORT; an IPv6 address stands in brackets."""
    host, separator, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not separator
        or not host
        or (":" in host and not bracketed)
        or not (port.isascii() and port.isdigit())
    ):
        raise click.BadParameter("HOST:PORT is expected, such as 127.0.0.1:8080 or [::1]:0", ctx, param)
    if int(port) > 0xFFFF:
        raise click.BadParameter(f"{port} is no port", ctx, param)
    return host.strip("[]"), int(port)


@click.command("dev-control", short_help="Run the embedded control server alone.")
@click.option(
    "--listen",
    "address",
    default="127.0.0.1:0",
    show_default=True,
    callback=_address,
    metavar="HOST:PORT",
    help="Where to listen; port 0 takes a free one.",
)
@click.option(
    "--nodes", default=8, show_default=True, type=click.IntRange(0, 100_000), help="Simulated nodes."
)
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="The same one, the same tailnet."
)
@click.option(
    "--churn", default=0.3, show_default=True, type=click.FloatRange(0, 1000), help="Changes per second."
)
@click.option(
    "--keep-alive",
    default="50s",
    show_default=True,
    callback=duration(0.05, 3600.0),
    metavar="DURATION",
    help="Time between two keep-alives.",
)
@click.option("--state-dir", metavar="DIR", help="Keep keys and nodes here.  [default: nowhere]")
@click.option("--policy", metavar="FILE", help="Who sees whom: acls, groups, hosts, tagOwners; JSON or TOML.")
@click.option(
    "--derp-map", metavar="FILE", help="Relays to tell of, as JSON.  [default: three that do not answer]"
)
def command(
    address: tuple[str, int],
    nodes: int,
    seed: int,
    churn: float,
    keep_alive: float,
    state_dir: str | None,
    policy: str | None,
    derp_map: str | None,
) -> None:
    """Run the embedded control server alone, with a small living tailnet, until Ctrl-C.

    For development and tests only: it has no TLS, and believes whoever opens its login page. Prints its URL and an
    auth key.

    \b
    Examples:
      netmap-supervisor dev-control --listen 127.0.0.1:8080 --nodes 20
      netmap-supervisor run --control-url http://127.0.0.1:8080 --auth-key file:key
    """
    # Loaded here and nowhere else: a server has no place in a client's processes.
    from netmap_actors.devcontrol.assembly import Setup  # noqa: PLC0415
    from netmap_actors.devcontrol.operator_files import read_derp_map, read_policy  # noqa: PLC0415
    from netmap_actors.devcontrol.standalone import make_options, serve  # noqa: PLC0415

    try:
        directory = Directory().parse(state_dir, Path.cwd()) if state_dir else ""
    except BadValue as error:
        raise click.BadParameter(str(error), param_hint="--state-dir") from None
    setup = Setup(
        nodes=nodes,
        seed=seed,
        churn=churn,
        state_dir=directory,
        policy=read_policy(policy) if policy else None,
        derp_map=read_derp_map(derp_map) if derp_map else None,
        options=make_options(keep_alive=keep_alive),
    )
    serve(*address, setup, announce=_announce, log=_log)


def _announce(server: Announcement) -> None:
    click.echo(f"url       {server.url}")
    click.echo(f"auth key  {server.auth_key}")
    sys.stdout.flush()
    click.echo(
        "a control server for development, not for a network anybody relies on; Ctrl-C ends it", err=True
    )


def _log(event: str, **fields: object) -> None:
    click.echo(json.dumps({"event": event} | fields, default=str), err=True)
