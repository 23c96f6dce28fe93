"""Every block of code in the documentation is run, checked, or marked why not."""

from __future__ import annotations

import configparser
import json
import re
import tempfile
import tomllib
from pathlib import Path

import pytest
import yaml

from netmap_actors.dev_control.operator.scenario import parse_scenario
from netmap_supervisor.config.layers import BadConfiguration, load
from tests.contract.site.blocks import DATA, SHELL, Block, blocks, commands, goes_on
from tests.contract.site.running import run_page
from tests.contract.test_documentation import PAGES, name_of
from tests.contract.test_house import ROOT
from tests.support.availability import unavailable
from tests.support.host.netns import problem

BLOCKS = [block for page in PAGES for block in blocks(page, page.read_text())]
RUN = sorted({block.page for block in BLOCKS if block.is_run and not block.wants_a_machine})
MACHINES = sorted({block.page for block in BLOCKS if block.wants_a_machine})
OTHERS = frozenset({"c", "jinja", "mermaid", "text"})
"""Languages that nobody reads here: outputs, drawings, and what other tests take from the page."""


def made(text: str, page: str = "page.md") -> list[Block]:
    return blocks(Path(page), text)


def test_a_block_has_its_language_its_line_and_its_mark() -> None:
    (first, second) = made("# T\n\n<!-- not run: needs root -->\n```sh\ndo it\n```\n\n```\nls\n```\n")
    assert (first.language, first.line, first.marks, first.is_run) == (
        "sh",
        4,
        {"not run": "needs root"},
        False,
    )
    assert (second.text, second.marks, second.is_run) == ("ls\n", {}, True)


def test_several_marks_stand_in_one_comment() -> None:
    (one,) = made("<!-- a daemon runs: --silence-timeout 6s; save: a.py -->\n```python\n1\n```\n")
    assert one.marks == {"a daemon runs": "--silence-timeout 6s", "save": "a.py"}


def test_an_unknown_mark_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot read the mark 'perhaps'"):
        made("<!-- perhaps -->\n```\nls\n```\n")


@pytest.mark.parametrize("after", ["", "\n", "text\n", "<!-- not run: needs root -->\n```\nls\n```\n"])
def test_a_mark_stands_right_before_its_block(after: str) -> None:
    with pytest.raises(ValueError, match="cannot find the block of the mark 'not run' at page"):
        made("<!-- not run: needs root -->\n" + after)


def test_commands_are_whole() -> None:
    text = "```\n# nothing\na \\\n  b\ncat > f <<EOF\nx\n# y\nEOF\nlast  # why\n```\n"
    (one,) = made(text)
    assert commands(one) == ["a \\\n  b", "cat > f <<EOF\nx\n# y\nEOF", "last  # why"]
    (console,) = made("```console\n$ first\noutput\n$ second\n```\n")
    assert commands(console) == ["first", "second"]


@pytest.mark.parametrize(
    ("command", "lasts"),
    [
        ("make run", True),
        ("netmap-supervisor run --demo-faults", False),
        (".venv/bin/netmap-supervisor run --config x", True),
        ("netmap-supervisor watch --json   # a snapshot", True),
        ("netmap-supervisor dev-control --open", True),
        ("netmap-supervisor dev-control do rename", False),
        ("netmap-supervisor export hosts", False),
        ("netmap-supervisor export hosts --follow", True),
        ("netmap-supervisor status   # after netmap-supervisor watch", False),
    ],
)
def test_what_has_to_be_told_to_stop(command: str, *, lasts: bool) -> None:
    assert goes_on(command) is lasts


def test_every_language_is_known() -> None:
    told = {one.language for one in BLOCKS if not one.language.startswith("{")}
    assert told <= SHELL | DATA | OTHERS | {"python"}


def test_whoever_is_said_to_run_a_block_names_its_page() -> None:
    for one in BLOCKS:
        if (test := one.marks.get("run by")) is not None:
            assert (ROOT / test).is_file(), one.where
            assert one.page.name in (ROOT / test).read_text(), f"{test} has nothing to do with {one.where}"


def test_no_reason_is_empty() -> None:
    assert [one.where for one in BLOCKS if one.marks.get("not run") == ""] == []


def problems(file: Path) -> list[str]:
    """What is wrong with the settings, but for files and groups that another machine has."""
    try:
        load({}, {}, config_file=str(file))
    except BadConfiguration as error:
        return [str(one) for one in error.problems if not re.search("No such file|no group", str(one))]
    return []


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language in DATA], ids=lambda one: one.where)
def test_what_is_written_into_files_can_be_read(block: Block, tmp_path: Path) -> None:
    match block.language:
        case "toml":
            document = tomllib.loads(block.text)
            if "event" in document:
                parse_scenario(document)
            elif document:
                (tmp_path / "config.toml").write_text(block.text)
                assert problems(tmp_path / "config.toml") == []
        case "json":
            json.loads(block.text)
        case "yaml":
            assert yaml.safe_load(block.text)
        case "ini":
            parser = configparser.RawConfigParser(strict=False)
            parser.read_string(block.text)
            assert parser.sections()


@pytest.mark.parametrize(
    "block", [one for one in BLOCKS if one.language == "python"], ids=lambda one: one.where
)
def test_python_on_a_page_is_python(block: Block) -> None:
    compile(block.text, block.where, "exec")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_does_what_it_says(page: Path) -> None:
    run(page, machine=False)


@pytest.mark.netns
@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", MACHINES, ids=name_of)
def test_a_page_does_what_it_says_to_a_machine(page: Path) -> None:
    if (why := problem()) is not None:
        unavailable(why)
    run(page, machine=True)


def run(page: Path, *, machine: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="nms-page-", dir="/tmp") as directory:
        found = [one for one in BLOCKS if one.page == page and one.wants_a_machine == machine]
        run_page(found, Path(directory), machine=machine)
