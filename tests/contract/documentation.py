"""The generated documents: `python -m tests.contract.documentation` writes them, test_documentation compares."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.report.documents import report
from netmap_actors.confinement.permissions import ROWS
from netmap_supervisor.cli import PROGRAM, commands
from netmap_supervisor.config.documents import example, reference
from netmap_supervisor.devtools.client_check.scenarios import GROUPS, Limits, chosen_scenarios
from tests.contract.man_page import man_page
from tests.contract.rooms import drawn
from tests.contract.site.pictures import pictures
from tests.matrix.exceptions import page as exceptions
from tests.support.command_line import root_context

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 100


def documents() -> dict[Path, str]:
    """Every generated file with its text."""
    docs = ROOT / "docs"
    reliability, confinement = (
        docs / "explanation" / f"{name}.md" for name in ("reliability", "confinement")
    )
    return {
        ROOT / "config.toml": example(),
        docs / "configuration.md": CONFIGURATION + reference(),
        docs / "cli.md": CLI + "\n".join(_pages()),
        ROOT / "deploy" / "man" / "netmap-supervisor.1": man_page(
            re.findall(r"^\| ([\d, ]+) \| (.*) \|$", CLI, re.MULTILINE)
        ),
        reliability: _between(reliability, EXCEPTIONS, exceptions()),
        confinement: _between(confinement, PERMISSIONS, permissions()),
        docs / "clients.md": _between(docs / "clients.md", SCENARIO_ROWS, scenarios()),
        docs / "architecture.md": _between(docs / "architecture.md", ROOMS, f"\n```text\n{drawn()}```\n\n"),
        **pictures(),
        **report(),
    }


EXCEPTIONS = ("<!-- tests/matrix/exceptions.py -->\n", "<!-- end of the exceptions -->\n")
PERMISSIONS = ("<!-- rows of confinement/permissions.py -->\n", "<!-- end of the rows -->\n")
SCENARIO_ROWS = ("<!-- rows of client_check/scenarios -->\n", "<!-- end of the scenarios -->\n")
ROOMS = ("<!-- rooms from docstrings and contracts -->\n", "<!-- end of the rooms -->\n")
"""What a generated part stands between."""


def permissions() -> str:
    """The table of what each process may do."""
    lines = ["| process | files | TCP | starts programs | open files |", "| --- | --- | --- | --- | --- |"]
    for row in ROWS.values():
        name = f"`{row.name}`" if row.name not in {"supervisor", "view"} else row.name
        starts = "Python" if row.executes else "no"
        lines.append(f"| {name} | {row.files} | {row.network} | {starts} | {row.max_files} |")
    return "\n".join(lines) + "\n"


def scenarios() -> str:
    """What `check-client` asks, a table for each group, with the bounds of the default limits."""
    lines = []
    for group in GROUPS:
        lines += [
            f"\n**{group}**\n",
            "| scenario | the server | a client | why |",
            "| --- | --- | --- | --- |",
        ]
        for row in chosen_scenarios([group]):
            sources = "; ".join(row.sources)
            name, _, what = row.name.partition("/")
            lines.append(
                f"| `{name}/{what}` | {row.does} | {row.expected(Limits())} | {row.why} ({sources}) |"
            )
    return "\n".join(lines) + "\n\n"


def _between(page: Path, marks: tuple[str, str], text: str) -> str:
    """The page with this text between the marks."""
    before, begin, rest = page.read_text().partition(marks[0])
    _, end, after = rest.partition(marks[1])
    assert begin, f"{marks[0].strip()} stands in {page.name}"
    assert end, f"{marks[1].strip()} stands in {page.name}"
    return before + begin + text + end + after


CONFIGURATION = """\
# Configuration

A flag wins over the environment, the environment over the file, the file over the default. `netmap-supervisor config
show --origin` says for each option which one it was; `config check` finds everything that is wrong in one reading.

The file is TOML: the one named by `--config` or `NETMAP_SUPERVISOR_CONFIG`, else `$CONFIGURATION_DIRECTORY/config.toml`
under systemd, `/etc/netmap-supervisor/config.toml` for root, and the user's configuration directory for everybody else.
[config.toml](../config.toml) shows every option with its default.

Durations are written `90s`, `10m`, `1h30m` or `250ms`, a bare number is seconds; sizes `256MiB`, a bare number is
bytes. Relative paths start where they are written: at the directory of the file, or the working directory for flags.

## Options

"""

CLI = f"""\
# Commands

What `--help` says. Data goes to standard output, everything else to standard error. Commands find the daemon by
`--runtime-dir`.

| exit status | |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | wrong usage |
| 3, 4, 5 | `status`: not running; not fresh; login needed or node removed |
| 77, 78 | `run`: auth key refused; configuration cannot be used |
| 124 | `wait`: timed out |
| 130 | interrupted with Ctrl-C (`run`, `watch`, `export --follow` and `dev-control` end with 0) |

What `--json` shows only ever gains fields. `{PROGRAM} schema NAME` prints the JSON Schema of it; its `$id` has a number
that changes when an old reader could misread what is new.

## {PROGRAM}

"""


def _pages() -> Iterator[str]:
    root = root_context(terminal_width=WIDTH)
    yield from _block(root)
    for name in commands.list_commands(root):
        command = commands.get_command(root, name)
        assert command is not None
        if not command.hidden:
            yield from _command(command, root, 2)


def _command(command: click.Command, parent: click.Context, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=command.name, parent=parent, terminal_width=WIDTH)
    yield f"{'#' * level} {context.command_path}"
    yield ""
    yield from _block(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, context, level + 1)


def _block(context: click.Context) -> Iterator[str]:
    yield "```text"
    yield context.get_help()
    yield "```"
    yield ""


def main() -> None:
    for path, text in documents().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
