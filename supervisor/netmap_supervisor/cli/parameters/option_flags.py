"""The table of options as flags, and the --runtime-dir flag of the other commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netmap_supervisor.config.kinds import Boolean
from netmap_supervisor.config.layers import runtime_dir
from netmap_supervisor.config.options import OPTIONS, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netmap_supervisor.config.options import Option

__all__ = [
    "GroupedOptions",
    "any_runtime_dir_flag",
    "config_file_flag",
    "given_flags",
    "run_flags",
    "runtime_dir_flag",
    "state_dir_flag",
]

_F = TypeVar("_F", bound="Callable[..., Any]")


class GroupedOptions(click.Command):
    """Shows the options of the configuration by their table, after its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, in sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for title, record in self._records(ctx):
            sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def _records(self, ctx: click.Context) -> Iterator[tuple[str, tuple[str, str]]]:
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                row = OPTIONS.get(parameter.name or "")
                yield "Options" if row is None else f"[{row.table}] {TABLES[row.table].rstrip('.')}", record


def run_flags(function: _F) -> _F:
    """Every option of the table as a flag; the value of an absent one is None."""
    for row in reversed(OPTIONS.values()):
        function = _flag(row)(function)
    return function


def state_dir_flag(function: _F) -> _F:
    """--state-dir, for commands that work on a daemon's files."""
    return _flag(OPTIONS["state_dir"])(function)


def any_runtime_dir_flag(function: _F) -> _F:
    """--runtime-dir as one option among others, for commands that need no daemon there."""
    return _flag(OPTIONS["runtime_dir"])(function)


def config_file_flag(function: _F) -> _F:
    """--config."""
    return click.option(
        "--config",
        "config_file",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="Configuration file (TOML).  [env: NETMAP_SUPERVISOR_CONFIG]",
    )(function)


def given_flags(flags: dict[str, Any]) -> dict[str, object]:
    """The flags that were given."""
    return {name: value for name, value in flags.items() if value is not None}


def _flag(row: Option) -> Callable[[_F], _F]:
    text = f"{row.help}.  [default: {row.shown_default}]"
    if isinstance(row.kind, Boolean):
        return click.option(
            f"{row.flag}/--no-{row.flag.removeprefix('--')}", row.name, default=None, help=text
        )
    return click.option(row.flag, row.name, metavar=row.kind.metavar, help=text)


def runtime_dir_flag(function: _F) -> _F:
    """--runtime-dir; the command gets a Path: where the daemon it talks to keeps its sockets."""

    def find(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Path:
        return runtime_dir(value, os.environ)

    return click.option(
        "--runtime-dir",
        "runtime_dir",
        metavar="DIR",
        callback=find,
        help="Runtime directory of the daemon.  [env: NETMAP_SUPERVISOR_RUNTIME_DIR]",
    )(function)
