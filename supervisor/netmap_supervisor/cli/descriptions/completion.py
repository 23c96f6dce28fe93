"""`completion`: the script that lets a shell complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a SHELL.

    \b
    Examples:
      eval "$(netmap-supervisor completion bash)"
      netmap-supervisor completion fish > ~/.config/fish/completions/netmap-supervisor.fish
    """
    root = ctx.find_root()
    program = root.info_name or "netmap-supervisor"
    script = get_completion_class(shell)
    assert script is not None
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    click.echo(script(root.command, {}, program, variable).source())
