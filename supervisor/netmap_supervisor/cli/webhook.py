"""`webhook`: who is told what happens, and a test of it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from netmap_actors import shown_json
from netmap_actors.errors import ConfigurationError, escape
from netmap_supervisor.admin.commands import CommandFailed, ask_status
from netmap_supervisor.admin.socket import AdminClient
from netmap_supervisor.cli.parameters.groups import Suggesting
from netmap_supervisor.cli.parameters.option_flags import any_runtime_dir_flag, config_file_flag, given_flags
from netmap_supervisor.cli.parameters.peer_names import complete_with
from netmap_supervisor.cli.process.exit_codes import ExitCode, note_exit_code
from netmap_supervisor.config.layers import load, without_service
from netmap_supervisor.system.single_instance import hidden, is_locked
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import Column, table_lines

if TYPE_CHECKING:
    from netmap_actors.webhooks.delivery import Outcome
    from netmap_supervisor.config.layers import Configuration

__all__ = ["command"]

TEST_LIMIT = 15.0
"""Seconds for a test."""
_COLUMNS = (
    Column("WEBHOOK", rank=6, stays=True),
    Column("TOLD", right=True),
    Column("WAITING", right=True),
    Column("GIVEN UP", rank=2, right=True),
    Column("LAST SUCCESS", rank=3),
    Column("FAILURE", rank=5, least=9),
)


def _names(ctx: click.Context) -> list[str]:
    configuration = _configuration(ctx.params.get("config_file"), {})
    return [one.name for one in configuration.webhooks]


@click.group("webhook", cls=Suggesting)
def command() -> None:
    """Show the webhooks of the configuration and how they fare, and test one.

    \b
    Examples:
      netmap-supervisor webhook list
      netmap-supervisor webhook test oncall
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_file_flag
@any_runtime_dir_flag
def list_webhooks(as_json: bool, config_file: str | None, **flags: Any) -> None:
    """Show the webhooks of the running daemon; without one, those of the configuration."""
    configuration = _configuration(config_file, flags)
    if (runtime_dir := _running(configuration)) is not None:
        shown = [msgspec.structs.asdict(one) for one in ask_status(runtime_dir).webhooks]
    else:
        shown = [{"name": one.name} for one in configuration.webhooks]
    if as_json:
        click.echo(shown_json.encode({"webhooks": shown}))
        return
    rows = [
        (
            str(one["name"]),
            *(str(one.get(key, "")) for key in ("delivered", "pending", "given_up")),
            str(one.get("last_success") or ""),
            escape(str(one.get("failure", "")), 200),
        )
        for one in shown
    ]
    click.echo("\n".join(table_lines(_COLUMNS, rows, output_width())) if rows else "no webhooks")


@command.command("test")
@click.argument("name", shell_complete=complete_with(_names))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_file_flag
@any_runtime_dir_flag
def send_test(name: str, as_json: bool, config_file: str | None, **flags: Any) -> int:
    """Send one event of the type `test` to the webhook NAME, and tell what came of it.

    The running daemon sends it; without one, this command does. Exit status: 0 the receiver took it, 1 it did not.
    """
    configuration = _configuration(config_file, flags)
    if (runtime_dir := _running(configuration)) is not None:
        told: dict[str, Any] = AdminClient(runtime_dir, TEST_LIMIT).request("webhook", webhook=name)
    else:
        told = _sent_by_us(configuration, name)
    taken = 200 <= told["status"] < 300
    code = note_exit_code(ExitCode.OK if taken else ExitCode.FAILURE)
    if as_json:
        click.echo(shown_json.encode({"webhook": name, "taken": taken, **told}))
    elif told["status"]:
        word = "takes it" if taken else "does not take it"
        click.echo(f"{escape(name, 40)} {word}: status {told['status']} after {told['seconds']:.2f} s")
    else:
        click.echo(f"{escape(name, 40)} was not reached: {escape(told['failure'], 500)}")
    return code


def _configuration(config_file: str | None, flags: dict[str, Any]) -> Configuration:
    return load(given_flags(flags), without_service(os.environ), config_file=config_file)


def _without(configuration: Configuration) -> str:
    if configuration.file is None:
        return "there is no configuration file; name one with --config"
    return f"{escape(str(configuration.file), 300)} has no [[webhook]]"


def _running(configuration: Configuration) -> Path | None:
    """The runtime directory of the daemon, if there is one. Raises CommandFailed where that cannot be seen."""
    directory = Path(configuration.value("runtime_dir"))
    if (why := hidden(directory)) is not None:
        raise CommandFailed(why)
    return directory if is_locked(directory) else None


def _sent_by_us(configuration: Configuration, name: str) -> dict[str, Any]:
    # Loaded here: beside a daemon nothing is sent.
    from netmap_actors.bus.loop import Loop  # noqa: PLC0415
    from netmap_actors.transport.tls import make_context  # noqa: PLC0415
    from netmap_actors.webhooks.events import test_event  # noqa: PLC0415
    from netmap_actors.webhooks.sender import OutOfReach, WebhookRequest  # noqa: PLC0415
    from netmap_actors.wire.vocabulary import TAILNET  # noqa: PLC0415

    spec = next((one for one in configuration.webhooks if one.name == name), None)
    if spec is None:
        known = ", ".join(one.name for one in configuration.webhooks)
        why = f"webhooks are {known}" if known else f"no daemon runs, and {_without(configuration)}"
        raise CommandFailed(f"cannot test {escape(name, 40)!r}: {why}")
    loop = Loop()
    began, wall = loop.now(), loop.clock.wall()
    outcomes: list[Outcome] = []
    try:
        WebhookRequest(
            loop,
            spec,
            [test_event(f"test-{secrets.token_hex(8)}", wall)],
            outcomes.append,
            tailnet=TAILNET,
            wall=wall,
            proxy=configuration.value("proxy"),
            environment=os.environ,
            context=lambda: make_context(configuration.value("ca_file")),
        )
        loop.run(lambda: bool(outcomes))
    except (OutOfReach, ConfigurationError) as error:
        raise CommandFailed(str(error)) from None
    finally:
        took = loop.now() - began
        loop.close()
    found = outcomes[0]
    return {"status": found.status, "failure": found.failure, "seconds": round(took, 3)}
