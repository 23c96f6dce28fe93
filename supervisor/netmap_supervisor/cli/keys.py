"""`keys`: who may subscribe from another machine."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netmap_actors import shown_json
from netmap_actors.curve_keys import generate, is_key, write_secret
from netmap_actors.errors import ConfigurationError, escape
from netmap_supervisor.admin.commands import CommandFailed, send_request
from netmap_supervisor.admin.subscriber_keys import carry_out, somebody_elses, user_name
from netmap_supervisor.cli.parameters.option_flags import (
    any_runtime_dir_flag,
    config_file_flag,
    given_flags,
    state_dir_flag,
)
from netmap_supervisor.config.layers import Layer, load, without_service
from netmap_supervisor.system.single_instance import hidden, is_locked
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import Column, table_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_supervisor.config.layers import Configuration

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


def _of_a_daemon(function: Callable[..., Any]) -> Callable[..., Any]:
    return config_file_flag(state_dir_flag(any_runtime_dir_flag(function)))


@click.group("keys")
def command() -> None:
    """Decide who may subscribe from another machine (`run --listen tcp://ADDRESS:PORT`).

    Each client has a pair of CURVE keys of its own; the daemon admits those whose public key was allowed, and nobody
    else. Changes hold within seconds, without a restart: a revoked client is cut off.

    The daemon that runs in --runtime-dir makes the changes itself, whoever of its user or root asks. Without one they
    are made in the files below --state-dir, which have to be yours.

    \b
    Example, from a client to its first netmap:
      client$ netmap-supervisor keys generate laptop.key_secret      prints the public key
      server$ netmap-supervisor keys allow laptop 'PUBLIC-KEY'
      server$ netmap-supervisor keys server                          prints the server's key, for the client
    """


@command.command("generate")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def generate_pair(file: Path) -> None:
    """Make a client's key pair, write it to FILE (0600) and print its public key.

    An existing file is never overwritten. The secret half stays in the file.
    """
    _refuse_another_owner([], file.absolute().parent)
    pair = generate()
    _failing(lambda: write_secret(file, pair))
    click.echo(pair.public)
    click.echo(f"the pair is in {file}; keep it secret, and give the line above to `keys allow`", err=True)


@command.command("allow", cls=_KeyCommand)
@click.argument("name")
@click.argument("public_key")
@_of_a_daemon
def allow_client(name: str, public_key: str, config_file: str | None, **flags: Any) -> None:
    """Admit the client with this PUBLIC_KEY under a NAME of your choice."""
    done = _request_keys(config_file, flags, do="allow", name=name, public_key=public_key)
    click.echo(f"{done['name']} may subscribe", err=True)


@command.command("revoke", cls=_KeyCommand)
@click.argument("name")
@_of_a_daemon
def revoke_client(name: str, config_file: str | None, **flags: Any) -> None:
    """Admit the client NAME no more; if it is connected, it is cut off."""
    done = _request_keys(config_file, flags, do="revoke", name=name)
    click.echo(f"{done['name']} may subscribe no more", err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of {name, public_key}.")
@_of_a_daemon
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
@_of_a_daemon
def print_server_key(config_file: str | None, **flags: Any) -> None:
    """Print the server's public key, which every client needs to know whom it talks to."""
    click.echo(_request_keys(config_file, flags, do="server")["public_key"])


def _request_keys(config_file: str | None, flags: dict[str, Any], **words: str) -> dict[str, Any]:
    """The result of a request about keys: from the daemon or, where none runs, from its files."""
    configuration = load(given_flags(flags), without_service(os.environ), config_file=config_file)
    state_dir, directory = Path(configuration.value("state_dir")), Path(configuration.value("runtime_dir"))
    if is_locked(directory) and _is_meant(configuration, directory, state_dir):
        done: dict[str, Any] = send_request(directory, "keys", **words)
        return done
    if configuration.settings["state_dir"].layer is Layer.DEFAULT and (why := hidden(directory)) is not None:
        raise CommandFailed(why)
    keys = state_dir / "curve"
    if words["do"] in {"allow", "revoke"}:
        _refuse_another_owner([keys / "allowed", keys, state_dir], state_dir.parent, words["do"])
    elif words["do"] == "server" and not _failing((keys / "server.key_secret").exists):
        _refuse_another_owner([keys, state_dir], state_dir.parent, words["do"])
    found: dict[str, Any] = _failing(lambda: carry_out(keys, words))
    return found


def _is_meant(configuration: Configuration, directory: Path, state_dir: Path) -> bool:
    """Whether the daemon that runs there is the one whose state directory was named, if any was."""
    if configuration.settings["state_dir"].layer is Layer.DEFAULT:
        return True
    try:
        return state_dir.samefile(send_request(directory, "keys", do="where")["state_dir"])
    except OSError:
        return False  # missing, or not visible to us


def _refuse_another_owner(places: list[Path], above: Path, what: str = "generate") -> None:
    """Raises CommandFailed where the directory is another user's, whom a file of ours would lock out."""
    owner = somebody_elses(places, above)
    if owner is None:
        return
    name, where = user_name(owner), places[-1] if places else above
    ways = []
    if places and is_locked(where):
        ways.append("name the --runtime-dir of the daemon that uses it, and the daemon does it")
    elif places:
        ways.append("start its daemon first, which then does it")
    if name is not None:
        ways.append(f"run it as that user: `sudo -u {name} netmap-supervisor keys {what} ...`")
    elif not places:
        ways.append("name a file in a directory of yours")
    raise CommandFailed(
        f"cannot write to {where}: it belongs to user {name or owner}, whom a file of yours would shut out; "
        + ", or ".join(ways)
    )


def _failing(work: Callable[[], Any]) -> Any:
    """The result of `work`; a wrong name or key becomes CommandFailed, as it is no bad configuration."""
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
