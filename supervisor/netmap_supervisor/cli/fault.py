"""`fault`: break one process, or the embedded server's manners, on purpose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from netmap_supervisor.cli.columns import columns
from netmap_supervisor.cli.daemon import order
from netmap_supervisor.cli.durations import duration
from netmap_supervisor.cli.option_flags import runtime_dir_flag

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]

ACTORS = ("control_connection", "liveness", "publisher", "dev_control", "http_endpoint")
_actor = click.argument("actor", type=click.Choice(ACTORS), metavar="ACTOR")


@click.group("fault")
def command() -> None:
    """Break something on purpose, and watch the rest go on.

    ACTOR is control_connection, liveness, publisher, dev_control or http_endpoint. `server` and `heal` need
    control.url = "embedded".

    \b
    Examples:
      netmap-supervisor fault kill control_connection
      netmap-supervisor fault freeze publisher --for 60s
      netmap-supervisor fault server silent            the connection stays open and tells nothing any more
    """


@command.command("kill")
@_actor
@runtime_dir_flag
def kill(actor: str, runtime_dir: Path) -> None:
    """SIGKILL: as if it had crashed."""
    order(runtime_dir, "fault", what="kill", actor=actor)


@command.command("stop")
@_actor
@runtime_dir_flag
def stop(actor: str, runtime_dir: Path) -> None:
    """SIGSTOP: it hangs, and is found and replaced after 12 s."""
    order(runtime_dir, "fault", what="stop", actor=actor)


@command.command("cont")
@_actor
@runtime_dir_flag
def cont(actor: str, runtime_dir: Path) -> None:
    """SIGCONT: it goes on after `fault stop`."""
    order(runtime_dir, "fault", what="cont", actor=actor)


@command.command("freeze")
@_actor
@click.option(
    "--for",
    "seconds",
    default="10s",
    show_default=True,
    callback=duration(0.001, 3600.0),
    metavar="DURATION",
    help="How long it does nothing.",
)
@runtime_dir_flag
def freeze(actor: str, seconds: float, runtime_dir: Path) -> None:
    """Let its loop do nothing for a while, as a bug would: longer than 12 s and it is replaced."""
    order(runtime_dir, "fault", what="freeze", actor=actor, seconds=seconds)


@command.command("server")
@click.argument("name", required=False)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@runtime_dir_flag
def server(name: str | None, settings: tuple[str, ...], runtime_dir: Path) -> None:
    """Let the embedded control server misbehave in the way called NAME; without one, list what it can do.

    A KEY is a parameter of the fault, or one of client, scope (current, later, all), moment and times.
    """
    if name is None:
        found = order(runtime_dir, "dev", command="faults")["result"]
        click.echo("\n".join(columns([(key, str(about)) for key, about in found.items()])))
        return
    answer = order(runtime_dir, "dev", command="fault", name=name, **_settings(settings))
    click.echo(f"{name}: {answer['result']} connections struck", err=True)


@command.command("heal")
@runtime_dir_flag
def heal(runtime_dir: Path) -> None:
    """Let the embedded control server behave again."""
    order(runtime_dir, "dev", command="heal")


def _settings(words: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE as JSON values; what is no JSON is text."""
    settings: dict[str, Any] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or not key.isidentifier() or key in {"command", "name"}:
            raise click.BadParameter(f"{word!r} is not KEY=VALUE", param_hint="KEY=VALUE")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            settings[key] = value
    return settings
