"""The program's commands, looked at without being run."""

from __future__ import annotations

import click

from netmap_supervisor.cli import PROGRAM, commands

__all__ = ["root_context"]


def root_context(**settings: int) -> click.Context:
    """The program's own call, to hang every other context on; `settings`: as click's Context takes them.

    click keeps the help option a command has made once: one that is looked at alone has no `-h` from then on,
    neither for the tests that come after it in the same process.
    """
    return click.Context(commands, info_name=PROGRAM, **{**commands.context_settings, **settings})
