"""What the documentation says exists, and what exists is documented."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from bench.__main__ import main
from netmap_supervisor.config.layers import load
from netmap_supervisor.config.options import OPTIONS
from netmap_supervisor.devtools.client_check.scenarios import GROUPS
from tests.contract.documentation import ROOT, documents
from tests.contract.test_house import parsed
from tests.support.command_line import root_context

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PAGES = [path for path in PAGES if "_build" not in path.parts]
PACKAGES = (ROOT / "actors" / "netmap_actors", ROOT / "supervisor" / "netmap_supervisor")
FOREIGN_FLAGS = {
    *("--help", "--version", "--boot-fd", "--manifest-path", "--cacert", "--create"),
    *("--cap-drop", "--format", "--name", "--read-only", "--rm", "--security-opt"),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_generated_document_is_current() -> None:
    generated = documents()
    assert len(generated) > 8
    old = [name_of(path) for path, text in generated.items() if path.read_text() != text]
    assert old == [], "run: python -m tests.contract.documentation"


def test_the_shipped_configuration_is_the_embedded_server_and_nothing_but_defaults() -> None:
    document = tomllib.loads((ROOT / "config.toml").read_text())
    assert {table: values for table, values in document.items() if values} == {"control": {"url": "embedded"}}
    shipped = load({}, {}, config_file=str(ROOT / "config.toml"))
    assert shipped.warnings == ()
    assert {name: one.value for name, one in shipped.settings.items()} == {
        name: one.value for name, one in load({}, {"CONFIGURATION_DIRECTORY": os.devnull}).settings.items()
    }


def test_every_commented_option_of_the_shipped_file_can_be_switched_on() -> None:
    text = (ROOT / "config.toml").read_text()
    switched_on = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    document = tomllib.loads(switched_on)
    known = {f"{table}.{key}" for table, values in document.items() for key in values}
    assert known == {row.path for row in OPTIONS.values()}


def test_every_group_of_scenarios_is_explained() -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    table = page.partition("| group |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == [*GROUPS]


def all_commands(
    context: click.Context, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from all_commands(click.Context(command, info_name=name, parent=context), (*path, name))


COMMANDS = dict(all_commands(root_context()))
HEADSCALE = {
    "users create": set(),
    "users list": set(),
    "preauthkeys create": {"--user", "--tags", "--expiration", "--reusable", "--ephemeral"},
    "auth register": {"--auth-id", "--user"},
    "nodes register": {"--key", "--user"},
}
"""headscale's commands and their flags as a headscale of July 2026 takes them; the last one is deprecated there."""
FLAGS = {
    flag
    for command in COMMANDS.values()
    for parameter in command.params
    for flag in (*parameter.opts, *parameter.secondary_opts)
} | FOREIGN_FLAGS.union(*HEADSCALE.values(), *(option.opts for option in main.params))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_flag_on_a_page_exists(page: Path) -> None:
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text()))
    assert told <= FLAGS, told - FLAGS


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_on_a_page_exists(page: Path) -> None:
    text = page.read_text()
    code = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, flags=re.DOTALL))
    told = set(re.findall(r"netmap-supervisor ([a-z][a-z-]+)", code))
    assert told <= {path[0] for path in COMMANDS}, told


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_headscale_command_on_a_page_is_one_it_takes(page: Path) -> None:
    """`preauthkeys create` alone is refused: a key belongs to a user or has tags."""
    code = re.findall(r"```.*?```|`[^`]+`", page.read_text(), flags=re.DOTALL)
    for command, rest in re.findall(r"\bheadscale ([a-z]+ [a-z]+)([^\n#`]*)", "\n".join(code)):
        assert command in HEADSCALE, command
        assert set(re.findall(r"--[a-z-]+", rest)) <= HEADSCALE[command], rest
        assert command != "preauthkeys create" or "--user" in rest or "--tags" in rest


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_variable_on_a_page_is_read(page: Path) -> None:
    told = set(re.findall(r"NETMAP_SUPERVISOR_[A-Z_]+[A-Z]", page.read_text()))
    known = {row.variable for row in OPTIONS.values()} | {
        "NETMAP_SUPERVISOR_CONFIG",
        "NETMAP_SUPERVISOR_COMPLETE",
    }
    assert told <= known, told - known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_setting_on_a_page_exists(page: Path) -> None:
    tables = "|".join({row.table for row in OPTIONS.values()} - {"log", "node"})
    told = set(re.findall(rf"`(?:{tables})\.([a-z_]+)", page.read_text()))
    keys = {row.key for row in OPTIONS.values()} | {"py"}
    assert told <= keys, told - keys


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_and_every_named_file_is_there(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    named = re.findall(r"`([\w/]+\.(?:py|proto|toml|md))`", text)
    saved = re.findall(r"<!-- save: (.*) -->", text)
    written = [path for root in (*PACKAGES, ROOT / "tests", ROOT / "docs") for path in root.rglob("*.*")]
    there = {str(path) for path in [*written, *ROOT.glob("*.*")]}
    assert [
        name for name in named if name not in saved and not any(path.endswith(f"/{name}") for path in there)
    ] == []


def test_every_name_of_the_ways_is_in_its_file() -> None:
    """`file.py: Name`, or `file.py: Class.method`."""
    named = re.findall(r"`([\w/]+\.py): ([\w.]+)`", (ROOT / "docs" / "architecture.md").read_text())
    assert len(named) > 30
    for file, name in named:
        (path,) = (
            one for package in PACKAGES for one in package.rglob(Path(file).name) if one.match(f"*/{file}")
        )
        inside: ast.AST = parsed(path)
        for part in name.split("."):
            found = [node for node in ast.iter_child_nodes(inside) if getattr(node, "name", "") == part]
            assert found, f"{file} has no {name}"
            inside = found[0]
