"""Exit statuses of the commands. Not here: those of child processes (`netmap_actors.exit_reason`)."""

from __future__ import annotations

import enum

import click

__all__ = ["ExitCode", "note_exit_code", "noted_exit_code"]


class ExitCode(enum.IntEnum):
    """Exit statuses of the commands, as documented."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_RUNNING = 3
    """`status`: no daemon, as for LSB init scripts and systemctl."""
    STALE = 4
    """`status`: there is a daemon, and its netmap is not fresh."""
    ATTENTION = 5
    """`status`: a login is needed, or the node was removed."""
    AUTH_REFUSED = 77
    """`run`: the auth key was refused (sysexits.h: EX_NOPERM)."""
    CONFIGURATION = 78
    """`run`, `config`: the configuration cannot be used (sysexits.h: EX_CONFIG)."""
    TIMED_OUT = 124
    """`wait`: as timeout(1)."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it."""


_NOTED = f"{__name__}.noted"


def note_exit_code(code: ExitCode) -> ExitCode:
    """Note and return the exit status, before printing: it holds even if the output is closed meanwhile."""
    click.get_current_context().meta[_NOTED] = code
    return code


def noted_exit_code(ctx: click.Context) -> ExitCode:
    """The exit status noted so far, else `OK`."""
    code: ExitCode = ctx.meta.get(_NOTED, ExitCode.OK)
    return code
