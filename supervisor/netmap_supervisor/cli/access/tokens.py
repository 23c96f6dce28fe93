"""`tokens`: who may ask the HTTP endpoint from another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netmap_actors import shown_json
from netmap_actors.access_tokens import SCOPES, generate_token, hash_token
from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_supervisor.admin.http_tokens import carry_out
from netmap_supervisor.cli.access.where import failing, of_a_daemon, refuse_another_owner, request
from netmap_supervisor.cli.parameters.groups import Suggesting
from netmap_supervisor.cli.parameters.peer_names import complete_with
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import Column, table_lines

if TYPE_CHECKING:
    from netmap_supervisor.config.settings import RunSettings

__all__ = ["command"]

_COLUMNS = (
    Column("NAME", rank=1, least=12, stays=True, both_ends=True),
    Column("SCOPE", stays=True),
    Column("CREATED", rank=2, least=10),
)


@click.group("tokens", cls=Suggesting)
def command() -> None:
    """Decide who may ask the HTTP endpoint from another machine (`run --http-listen ADDRESS:PORT`).

    Each client has a token of its own, which it sends as `Authorization: Bearer TOKEN`; only a hash of it is kept.
    Changes hold at once, without a restart: a stream of events that a revoked token began ends within seconds. On
    loopback and on a unix socket nobody needs one.

    The daemon that runs in --runtime-dir makes the changes itself, whoever of its user or root asks. Without one they
    are made in the files below --state-dir, which have to be yours.

    \b
    Example, for a Prometheus on another machine:
      netmap-supervisor tokens create prometheus --scope metrics > token
    """


@command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    required=True,
    help="`metrics`: /metrics, /sd and /healthz, no more; `read`: everything.",
)
@of_a_daemon
def create_token(name: str, scope: str, config_file: str | None, **flags: Any) -> None:
    """Make a token under a NAME of your choice and print it, this one time."""
    token = generate_token()
    # The daemon is told the hash: nobody but the caller ever has the token.
    words = {"do": "create", "name": name, "scope": scope, "sha256": hash_token(token)}
    done = request("tokens", config_file, flags, words, _in_files)
    click.echo(token)
    click.echo(
        f"the line above is the token of {done['name']}; it is not kept, and not shown again", err=True
    )


def _names(ctx: click.Context) -> list[str]:
    flags = {name: ctx.params.get(name) for name in ("runtime_dir", "state_dir")}
    found = request("tokens", ctx.params.get("config_file"), flags, {"do": "list"}, _in_files)
    return [one["name"] for one in found["tokens"]]


@command.command("revoke")
@click.argument("name", shell_complete=complete_with(_names))
@of_a_daemon
def revoke_token(name: str, config_file: str | None, **flags: Any) -> None:
    """Let the token NAME open nothing any more."""
    done = request("tokens", config_file, flags, {"do": "revoke", "name": name}, _in_files)
    click.echo(f"the token of {done['name']} opens nothing any more", err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of {name, scope, created}.")
@of_a_daemon
def list_tokens(as_json: bool, config_file: str | None, **flags: Any) -> None:
    """Show which tokens there are; the tokens themselves nobody can show."""
    found = request("tokens", config_file, flags, {"do": "list"}, _in_files)
    for problem in found["problems"]:
        click.echo(f"warning: opens nothing: {escape(problem, 500)}", err=True)
    if as_json:
        click.echo(shown_json.encode(found["tokens"]))
    elif found["tokens"]:
        rows = [(one["name"], one["scope"], escape(one["created"], 40)) for one in found["tokens"]]
        click.echo("\n".join(table_lines(_COLUMNS, rows, output_width())))
    else:
        click.echo(
            "there is no token; `netmap-supervisor tokens create NAME --scope metrics` makes one", err=True
        )


def _in_files(settings: RunSettings, words: dict[str, str]) -> dict[str, Any]:
    tokens, state_dir = settings.http_tokens, Path(settings.state_dir)
    if words["do"] != "list":
        refuse_another_owner([tokens, tokens.parent, state_dir], state_dir.parent, f"tokens {words['do']}")
    done: dict[str, Any] = failing(lambda: carry_out(tokens, words, SystemClock().wall()))
    return done
