"""The manual page: what `--help` says of every command, as roff (man(7))."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING

import click

from netmap_supervisor.cli import PROGRAM, commands
from tests.support.command_line import root_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WIDTH = 10_000
"""Columns: lines are for the reader's terminal to break."""
FILES = (
    (
        "/etc/netmap-supervisor/config.toml",
        "The settings of root's daemon and of a service; `config example` prints each.",
    ),
    ("/var/lib/netmap-supervisor", "Keys and registration, one directory for each control URL."),
    ("/run/netmap-supervisor", "The sockets."),
    (
        "share/netmap-supervisor",
        "Rules for Prometheus, a dashboard, units and examples, below where it is installed.",
    ),
)


def man_page(exit_statuses: Iterable[tuple[str, str]]) -> str:
    """`exit_statuses`: (number, meaning)."""
    root = root_context(terminal_width=WIDTH)
    summary = (commands.help or "").partition("\n")[0].rstrip(".")
    lines = [
        f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM}" "User Commands"',
        # Neither hyphens nor wide gaps within what may be copied.
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_text(PROGRAM)} \\- {_text(summary)}",
        ".SH SYNOPSIS",
        *_synopsis(root),
        ".SH DESCRIPTION",
        *_help(commands),
        ".SH OPTIONS",
        *_options(root),
        ".SH COMMANDS",
        *(line for context in _contexts(root) for line in _section(context)),
        ".SH EXIT STATUS",
        *(line for pair in exit_statuses for line in _item(*pair)),
        ".SH FILES",
        *(line for pair in FILES for line in _item(*pair)),
    ]
    return "\n".join(lines) + "\n"


def _contexts(parent: click.Context) -> Iterator[click.Context]:
    """Every command that is not hidden, each before those below it."""
    group = parent.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
        yield context
        if isinstance(command, click.Group):
            yield from _contexts(context)


def _section(context: click.Context) -> Iterator[str]:
    yield f'.SS "{_text(context.command_path.partition(" ")[2])}"'
    yield from _synopsis(context)
    yield ".PP"
    yield from _help(context.command)
    yield from _options(context)


def _synopsis(context: click.Context) -> Iterator[str]:
    yield f".B {_text(context.command_path)}"
    yield _text(" ".join(context.command.collect_usage_pieces(context)))


def _help(command: click.Command) -> Iterator[str]:
    """Paragraphs; those that click leaves as they are (after a line with \\b) are not filled."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", (command.help or "").strip())):
        if number:
            yield ".PP"
        if paragraph.lstrip().startswith("\b"):
            yield from (".nf", *map(_text, dedent(paragraph.partition("\n")[2]).splitlines()), ".fi")
        else:
            yield _text(" ".join(paragraph.split()))


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield from _item(*record)


def _item(term: str, text: str) -> Iterator[str]:
    yield from (".TP", f".B {_text(term)}", _text(" ".join(text.split())))


def _text(plain: str) -> str:
    """As roff prints it: no escape, no request, and hyphens that can be copied."""
    escaped = plain.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
