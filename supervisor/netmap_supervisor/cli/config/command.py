"""`config`: the settings that `run` would use, and their origins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from netmap_actors import shown_json
from netmap_actors.errors import ConfigurationError
from netmap_supervisor.cli.parameters.groups import Suggesting
from netmap_supervisor.cli.parameters.option_flags import config_file_flag, given_flags, run_flags
from netmap_supervisor.config.documents import example, schema
from netmap_supervisor.config.layers import Layer, load
from netmap_supervisor.config.webhooks import toml

if TYPE_CHECKING:
    from netmap_supervisor.config.layers import Setting

__all__ = ["command"]


@click.group("config", cls=Suggesting)
def command() -> None:
    """Check, show and document the configuration.

    \b
    Examples:
      netmap-supervisor config check --config config.toml
      netmap-supervisor config show --origin
      netmap-supervisor config example > config.toml
    """


@command.command("check")
@config_file_flag
def check_settings(config_file: str | None) -> None:
    """Read file and environment as `run` does, and look at what they name: directories, keys, a proxy.

    Every problem is told at once. Exit status 78 if there is one; `run` then refuses it as well.
    """
    # Loaded here: no other command needs keys and proxies.
    from netmap_supervisor.cli.config.check import doubts, refusals  # noqa: PLC0415

    configuration = load({}, os.environ, config_file=config_file)
    settings = configuration.run_settings(log_format="json")
    for warning in (*configuration.warnings, *doubts(settings)):
        click.echo(f"warning: {warning}", err=True)
    if refused := list(refusals(settings, os.environ)):
        raise ConfigurationError("\n".join(refused))
    click.echo(
        f"{configuration.file or 'no configuration file; environment and defaults'}: can be used", err=True
    )


@command.command("show")
@config_file_flag
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: value and origin by option.")
@run_flags
def show_settings(config_file: str | None, origin: bool, as_json: bool, **flags: Any) -> None:
    """Show every option as `run` with the same flags would have it, as TOML."""
    configuration = load(given_flags(flags), os.environ, config_file=config_file)
    settings = configuration.settings.values()
    if as_json:
        listed = {
            one.option.path: {"value": one.value, "layer": one.layer.value, "where": one.where}
            for one in settings
        }
        click.echo(shown_json.encode(listed | {"webhook": configuration.webhooks}))
        return
    table = ""
    for one in settings:
        if one.option.table != table:
            click.echo(f"{chr(10) if table else ''}[{one.option.table}]")
            table = one.option.table
        line = f"{one.option.key} = {one.option.kind.toml(one.value)}"
        click.echo(f"{line:<48} # {_origin(one)}" if origin else line)
    for hook in configuration.webhooks:
        head, *lines = toml(hook)
        click.echo(f"\n{head:<48} # file: {configuration.file}" if origin else f"\n{head}")
        click.echo("\n".join(lines))


@command.command("example")
def print_example() -> None:
    """Print a configuration file with every option, its meaning and its default."""
    click.echo(example(), nl=False)


@command.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    click.echo(shown_json.indented(schema()))


def _origin(setting: Setting) -> str:
    if setting.layer is Layer.DEFAULT:
        return f"default, {setting.where}" if setting.where else "default"
    return f"{setting.layer.value}: {setting.where}"
