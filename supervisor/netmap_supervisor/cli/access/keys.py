"""`keys`: who may subscribe from another machine."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netmap_actors import shown_json
from netmap_actors.curve_keys import generate, is_key, write_secret
from netmap_actors.errors import escape
from netmap_supervisor.admin.subscriber_keys import carry_out
from netmap_supervisor.cli.access.where import failing, of_a_daemon, refuse_another_owner, request
from netmap_supervisor.cli.parameters.groups import Suggesting
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import Column, table_lines

if TYPE_CHECKING:
    from netmap_supervisor.config.settings import RunSettings

__all__ = ["command"]

_COLUMNS = (
    Column("NAME", rank=1, least=12, stays=True, both_ends=True),
    Column("PUBLIC KEY", rank=2, least=20, stays=True, both_ends=True),
)


class _KeyCommand(click.Command):
    """Accepts a key or a name that begins with a dash."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put arguments that are no options behind a "--"; unknown long options are left to click."""
        has_value = {
            flag: not getattr(parameter, "is_flag", False)
            for parameter in self.get_params(ctx)
            for flag in parameter.opts
            if flag.startswith("-")
        }
        options: list[str] = []
        words: list[str] = []
        rest = iter(args)
        for word in rest:
            name, separator, _ = word.partition("=")
            if word == "--":
                words += rest
            elif word in has_value:
                options += [word, *itertools.islice(rest, int(has_value[word]))]
            elif word.startswith("--") and (not is_key(word) or (separator and name in has_value)):
                options.append(word)
            else:
                words.append(word)
        return super().parse_args(ctx, [*options, "--", *words])


@click.group("keys", cls=Suggesting)
def command() -> None:
    """Decide who may subscribe from another machine (`run --listen tcp://ADDRESS:PORT`).

    Each client has a pair of CURVE keys of its own; the daemon admits those whose public key was allowed, and nobody
    else. Changes hold within seconds, without a restart: a revoked client is cut off.

    The daemon that runs in --runtime-dir makes the changes itself, whoever of its user or root asks. Without one they
    are made in the files below --state-dir, which have to be yours.

    \b
    Example, from a client to its first netmap:
      client$ netmap-supervisor keys generate laptop.key_secret  # a PUBLIC-KEY
      server$ netmap-supervisor keys allow laptop 'PUBLIC-KEY'
      server$ netmap-supervisor keys server            # prints the server's
    """


@command.command("generate")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def generate_pair(file: Path) -> None:
    """Make a client's key pair, write it to FILE (0600) and print its public key.

    An existing file is never overwritten. The secret half stays in the file.
    """
    refuse_another_owner([], file.absolute().parent, "keys generate")
    pair = generate()
    failing(lambda: write_secret(file, pair))
    click.echo(pair.public)
    click.echo(f"the pair is in {file}; keep it secret, and give the line above to `keys allow`", err=True)


@command.command("allow", cls=_KeyCommand)
@click.argument("name")
@click.argument("public_key")
@of_a_daemon
def allow_client(name: str, public_key: str, config_file: str | None, **flags: Any) -> None:
    """Admit the client with this PUBLIC_KEY under a NAME of your choice."""
    done = _request_keys(config_file, flags, do="allow", name=name, public_key=public_key)
    click.echo(f"{done['name']} may subscribe", err=True)


@command.command("revoke", cls=_KeyCommand)
@click.argument("name")
@of_a_daemon
def revoke_client(name: str, config_file: str | None, **flags: Any) -> None:
    """Admit the client NAME no more; if it is connected, it is cut off."""
    done = _request_keys(config_file, flags, do="revoke", name=name)
    click.echo(f"{done['name']} may subscribe no more", err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of {name, public_key}.")
@of_a_daemon
def list_clients(as_json: bool, config_file: str | None, **flags: Any) -> None:
    """Show who is admitted."""
    found = _request_keys(config_file, flags, do="list")
    clients = found["clients"]
    for problem in found["problems"]:
        click.echo(f"warning: admits nobody: {escape(problem)}", err=True)
    if as_json:
        click.echo(shown_json.encode(clients))
    elif clients:
        rows = [(one["name"], one["public_key"]) for one in clients]
        click.echo("\n".join(table_lines(_COLUMNS, rows, output_width())))
    else:
        click.echo(
            "nobody is admitted; `netmap-supervisor keys allow NAME PUBLIC_KEY` admits a client", err=True
        )


@command.command("server")
@of_a_daemon
def print_server_key(config_file: str | None, **flags: Any) -> None:
    """Print the server's public key, which every client needs to know whom it talks to."""
    click.echo(_request_keys(config_file, flags, do="server")["public_key"])


def _request_keys(config_file: str | None, flags: dict[str, Any], **words: str) -> dict[str, Any]:
    return request("keys", config_file, flags, words, _in_files)


def _in_files(settings: RunSettings, words: dict[str, str]) -> dict[str, Any]:
    keys, state_dir = settings.curve_dir, Path(settings.state_dir)
    if words["do"] in {"allow", "revoke"}:
        refuse_another_owner([keys / "allowed", keys, state_dir], state_dir.parent, f"keys {words['do']}")
    elif words["do"] == "server" and not failing((keys / "server.key_secret").exists):
        refuse_another_owner([keys, state_dir], state_dir.parent, "keys server")
    found: dict[str, Any] = failing(lambda: carry_out(keys, words))
    return found
