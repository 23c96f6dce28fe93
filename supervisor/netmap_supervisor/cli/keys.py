"""`keys`: who may subscribe from another machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from netmap_actors.curve_keys import AllowList, generate, load_server_pair, write_secret
from netmap_actors.errors import ConfigurationError
from netmap_supervisor.cli.columns import columns
from netmap_supervisor.cli.daemon import CommandFailed
from netmap_supervisor.cli.option_flags import config_file_flag, given_flags, state_dir_flag
from netmap_supervisor.config import load

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["command"]


def _state_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    return config_file_flag(state_dir_flag(function))


@click.group("keys")
def command() -> None:
    """Decide who may subscribe from another machine (`run --listen tcp://ADDRESS:PORT`).

    Each client has a pair of CURVE keys of its own; the daemon admits those whose public key was allowed, and nobody
    else. Changes hold within seconds, without a restart: a revoked client is cut off.

    \b
    Example, from a client to its first netmap:
      client$ netmap-supervisor keys generate laptop.key_secret      prints the public key
      server$ netmap-supervisor keys allow laptop 'PUBLIC-KEY'
      server$ netmap-supervisor keys server                          prints the server's key, for the client
    """


@command.command("generate")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def make(file: Path) -> None:
    """Make a client's key pair, write it to FILE (0600) and print its public key.

    An existing file is never overwritten. The secret half stays in the file.
    """
    pair = generate()
    _failing(lambda: write_secret(file, pair))
    click.echo(pair.public)
    click.echo(f"the pair is in {file}; keep it secret, and give the line above to `keys allow`", err=True)


@command.command("allow")
@click.argument("name")
@click.argument("public_key")
@_state_flags
def allow(name: str, public_key: str, config_file: str | None, **flags: Any) -> None:
    """Admit the client with this PUBLIC_KEY under a NAME of your choice."""
    client = _failing(lambda: _allowed(config_file, flags).allow(name, public_key))
    click.echo(f"{client.name} may subscribe", err=True)


@command.command("revoke")
@click.argument("name")
@_state_flags
def revoke(name: str, config_file: str | None, **flags: Any) -> None:
    """Admit the client NAME no more; if it is connected, it is cut off."""
    _failing(lambda: _allowed(config_file, flags).revoke(name))
    click.echo(f"{name} may subscribe no more", err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of {name, public_key}.")
@_state_flags
def show(as_json: bool, config_file: str | None, **flags: Any) -> None:
    """Show who is admitted."""
    allowed = _allowed(config_file, flags)
    clients = _failing(allowed.clients)
    for problem in _failing(allowed.problems):
        click.echo(f"warning: admits nobody: {problem}", err=True)
    if as_json:
        click.echo(msgspec.json.encode([{"name": one.name, "public_key": one.public} for one in clients]))
    elif clients:
        click.echo("\n".join(columns([("NAME", "PUBLIC KEY"), *clients])))
    else:
        click.echo(
            "nobody is admitted; `netmap-supervisor keys allow NAME PUBLIC_KEY` admits a client", err=True
        )


@command.command("server")
@_state_flags
def server(config_file: str | None, **flags: Any) -> None:
    """Print the server's public key, which every client needs to know whom it talks to."""
    click.echo(_failing(lambda: load_server_pair(_directory(config_file, flags)).public))


def _directory(config_file: str | None, flags: dict[str, Any]) -> Path:
    configuration = load(given_flags(flags), os.environ, config_file=config_file)
    return configuration.run_settings(log_format="json").curve_dir


def _allowed(config_file: str | None, flags: dict[str, Any]) -> AllowList:
    return AllowList(_directory(config_file, flags))


def _failing(work: Callable[[], Any]) -> Any:
    """What `work` gives; a wrong name or key is this command's failure, not the daemon's configuration."""
    try:
        return work()
    except PermissionError as error:
        raise CommandFailed(
            f"cannot open {error.filename}: {error.strerror}; use the user that the daemon runs as"
        ) from None
    except OSError as error:
        raise CommandFailed(f"cannot use {error.filename}: {error.strerror}") from None
    except ConfigurationError as error:
        raise CommandFailed(str(error)) from None
