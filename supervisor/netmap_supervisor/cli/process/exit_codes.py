"""What a command ends with. Not here: the exit statuses of child processes (`netmap_actors.exit_reason`)."""

from __future__ import annotations

import enum

import click

__all__ = ["ExitCode", "judged", "judgement"]


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
    """`status`: somebody has to log in, or the node was removed."""
    AUTH_REFUSED = 77
    """`run`: the auth key was refused (sysexits.h: EX_NOPERM)."""
    CONFIGURATION = 78
    """`run`, `config`: the configuration cannot be used (sysexits.h: EX_CONFIG)."""
    TIMED_OUT = 124
    """`wait`: as timeout(1)."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it."""


_JUDGED = f"{__name__}.judged"


def judged(code: ExitCode) -> ExitCode:
    """The same; to be called before it is told in words, for it stands although nobody may read these any more."""
    click.get_current_context().meta[_JUDGED] = code
    return code


def judgement(ctx: click.Context) -> ExitCode:
    """What a command has come to so far; `OK` when it judges nothing."""
    code: ExitCode = ctx.meta.get(_JUDGED, ExitCode.OK)
    return code
