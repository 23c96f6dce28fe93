"""The subcommands of `dev-control` for a running server: faults, edits of its tailnet, listings."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netmap_actors import shown_json
from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.fault.key_values import fault_rows, key_values, struck
from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.cli.process.interruption import Interruption
from netmap_supervisor.cli.process.polling import wait_until
from netmap_supervisor.devtools.dev_socket import DevSocket, dev_socket_flag
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import Column, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ORDERS"]

_FOLLOW = 0.3
"""Seconds between two looks."""
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_CLIENTS = (
    Column("client"),
    Column("address", rank=3, least=12, both_ends=True),
    Column("map of", rank=5, least=10),
    Column("speaks", rank=1, least=6),
    Column("age", rank=2, least=3),
    Column("asked for", rank=4, least=12),
    Column("suffered", rank=6, least=21, stays=True),
)
_NODES = (
    Column("name", rank=6, least=8, stays=True, both_ends=True),
    Column("id", rank=2, least=6),
    Column("address", rank=4, least=15),
    Column("kind", rank=3, least=10),
    Column("online"),
    Column("tags and routes", rank=1, least=15),
    Column("state", rank=5, least=16, stays=True),
)
_YES = {True: "yes", False: "no", None: "unknown"}


@click.command("fault")
@click.argument("name", required=False)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--client", metavar="WHO", help="Only for this one: name, key or id of its node.  [default: all]"
)
@click.option("--for", "seconds", type=DurationRange(0.001, 86400.0), help="When to heal it, and it alone.")
@dev_socket_flag
def fault(
    name: str | None, settings: tuple[str, ...], client: str | None, seconds: float | None, socket_path: Path
) -> None:
    """Misbehave in the way called NAME; without one, list what can be done.

    A KEY is a parameter of the fault, or one of client, scope (current, later, all), moment and times.
    """
    with DevSocket(socket_path) as server:
        if name is None:
            _lines(fault_rows(server.ask("faults")))
            return
        given = key_values(settings) | ({"client": client} if client else {})
        click.echo(struck(name, server.ask("fault", name=name, **given)), err=True)
        if seconds is None:
            return
        try:
            with Interruption() as interruption:
                wait_until(lambda: interruption.asked, seconds, SystemClock())
        finally:
            server.ask("heal", client=given.get("client", ""), fault=name)
        click.echo("healed", err=True)


@click.command("heal")
@click.argument("name", required=False, default="")
@click.option("--client", default="", metavar="WHO", help="Only with this one.  [default: all]")
@dev_socket_flag
def heal_faults(name: str, client: str, socket_path: Path) -> None:
    """Behave again: end every fault, or the one called NAME, also where it waits for somebody.

    Who suffers from it is healed altogether.
    """
    with DevSocket(socket_path) as server:
        if not server.ask("heal", client=client, fault=name) and client:
            who, what = escape(client, 80), f"{name} does not harm it" if name else "no fault waits for it"
            raise CommandFailed(
                f"cannot heal {who!r}: there is no such client, or {what}; `dev-control clients` shows who is there"
            )
    click.echo("healed", err=True)


@click.command("clients")
@_json
@dev_socket_flag
def clients(as_json: bool, socket_path: Path) -> None:
    """Show who is connected."""
    found = _ask(socket_path, "clients")
    if as_json:
        _print_json(found)
        return
    rows = [
        (
            f"connection:{one['number']}",
            one["remote_address"],
            ", ".join(stream["node"] for stream in one["map_streams"]),
            f"v{one['version']}" if one["version"] else "",
            f"{one['age']:.0f} s",
            f"{one['maps']} map, {one['lite_updates']} lite, {one['reads']} read, {one['registers']} register",
            ", ".join(one["faults"]),
        )
        for one in found
    ]
    if not rows:
        click.echo("nobody is connected", err=True)
    _table(_CLIENTS, rows)


@click.command("nodes")
@_json
@dev_socket_flag
def nodes(as_json: bool, socket_path: Path) -> None:
    """Show the nodes of the tailnet."""
    found = _ask(socket_path, "nodes")
    if as_json:
        _print_json(found)
        return
    rows = [
        (
            one["name"].partition(".")[0],
            str(one["id"]),
            one["addresses"][0].partition("/")[0],
            "registered" if one["registered"] else "simulated",
            _YES[one["online"]],
            ", ".join([*one["tags"], *one["routes"]]),
            _state(one),
        )
        for one in found
    ]
    _table(_NODES, rows)


@click.command("seen")
@click.argument("kind", required=False)
@click.option("--follow", is_flag=True, help="Go on as more happens, until Ctrl-C.")
@_json
@dev_socket_flag
def seen(kind: str | None, follow: bool, as_json: bool, socket_path: Path) -> None:
    """Show what clients did and what was done to them, of one KIND if given.

    The kinds are accept, key, upgrade, register, map, lite, read, refused, fault, heal, end, … (docs/clients.md).
    The times are this machine's.
    """
    clock = SystemClock()
    with DevSocket(socket_path) as server, Interruption() as interruption:
        after = 0.0
        while True:
            events = server.ask("seen", kind=kind or "", after=after)
            since = clock.wall() - clock.boottime()
            for event in events:
                after = max(after, event["at"])
                click.echo(shown_json.encode(event) if as_json else _seen_line(event, since))
            if not follow or wait_until(lambda: interruption.asked, _FOLLOW, clock):
                return


@click.command("logins")
@dev_socket_flag
def logins(socket_path: Path) -> None:
    """Show the ids of the logins that wait for somebody."""
    waiting = _ask(socket_path, "logins")
    _lines(waiting)
    if not waiting:
        click.echo("no login waits for anybody", err=True)


@click.command("approve")
@click.argument("login_id", required=False, default="")
@click.option("--user", default="", metavar="NAME", help="Who completes it.")
@dev_socket_flag
def approve(login_id: str, user: str, socket_path: Path) -> None:
    """Complete a login as its page would, the newest one unless told."""
    if not _ask(socket_path, "approve_login", login_id=login_id, **({"user": user} if user else {})):
        raise CommandFailed(
            "cannot complete the login: there is none that waits; `dev-control logins` shows them"
        )


@click.command("new-key")
@click.option("--user", default="alice", show_default=True, metavar="NAME", help="Whom it belongs to.")
@click.option("--tag", "tags", multiple=True, metavar="tag:NAME", help="Its nodes carry; may be repeated.")
@click.option("--ephemeral", is_flag=True, help="Its nodes are deleted when they are gone for a while.")
@click.option("--once", is_flag=True, help="It lets one node in.")
@click.option("--expires-in", type=DurationRange(0.001, 365 * 86400.0), help="[default: never]")
@dev_socket_flag
def new_key(
    user: str, tags: tuple[str, ...], ephemeral: bool, once: bool, expires_in: float | None, socket_path: Path
) -> None:
    """Make an auth key and print it."""
    text = _ask(
        socket_path,
        "add_auth_key",
        user=user,
        tags=list(tags),
        ephemeral=ephemeral,
        reusable=not once,
        expires_in=expires_in,
    )
    click.echo(text)


@click.command("policy")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option("--none", "nothing", is_flag=True, help="Everybody sees everybody.")
@dev_socket_flag
def policy(file: str | None, nothing: bool, socket_path: Path) -> None:
    """Let who sees whom be as in FILE from now on, a policy as for --policy; the next start has its own."""
    if (file is None) is not nothing:
        raise click.UsageError("name a FILE, or say --none")
    if file is None:
        _ask(socket_path, "set_policy")
        click.echo("everybody sees everybody", err=True)
        return
    try:
        text = Path(file).read_text("utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot read {escape(file)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandFailed(f"cannot read {escape(file)}: it is no text in UTF-8") from None
    ignored = _ask(socket_path, "load_policy", text=text, toml=file.endswith(".toml"))
    without = f"; this server makes nothing of {', '.join(ignored)}" if ignored else ""
    click.echo(f"{escape(file)} is in force{without}", err=True)


@click.command("do")
@click.argument("name", metavar="COMMAND")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@dev_socket_flag
def do(name: str, settings: tuple[str, ...], socket_path: Path) -> None:
    """Do anything a scenario can do: set_online, set_tags, set_routes, rename, remove_node, expire, raw, ping, …

    A VALUE is JSON, or a text. An unknown COMMAND names those there are; what comes back is printed as JSON.

    \b
    Examples:
      netmap-supervisor dev-control do set_online node=web-3 online=false
      netmap-supervisor dev-control do set_tags node=web-3 'tags=["tag:web"]'
    """
    _print_json(_ask(socket_path, name, **key_values(settings, frozenset({"command"}))))


ORDERS = (fault, heal_faults, clients, nodes, seen, logins, approve, new_key, policy, do)
"""Every one of them, in the order of `--help`."""


def _ask(path: Path, command: str, /, **arguments: Any) -> Any:
    with DevSocket(path) as server:
        return server.ask(command, **arguments)


def _state(node: dict[str, Any]) -> str:
    """What keeps it offline comes first, as a narrow terminal cuts the rest."""
    words = {
        "expired": node["expired"],
        "awaits approval": not node["authorized"],
        "ephemeral": node["ephemeral"],
    }
    return ", ".join(word for word, holds in words.items() if holds)


def _seen_line(event: dict[str, Any], since: float) -> str:
    moment = datetime.datetime.fromtimestamp(since + event["at"], datetime.UTC).astimezone()
    stamp = moment.strftime("%H:%M:%S.%f")[:-3]
    words = [stamp, f"connection:{event['connection']:<4}", f"{event['kind']:<13}", str(event["detail"])]
    return escape("  ".join(words), 400).rstrip()


def _table(layout: Sequence[Column], rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        _lines(table_lines(layout, [tuple(escape(cell) for cell in row) for row in rows], output_width()))


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _print_json(value: Any) -> None:
    click.echo(shown_json.indented(value))
