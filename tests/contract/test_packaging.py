"""What is packed: the long description, the manual page, and the files beside the program."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from netmap_actors import __version__
from tests.contract.documentation import ROOT
from tests.contract.test_documentation import all_commands
from tests.support.availability import unavailable
from tests.support.command_line import root_context

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAN_PAGE = ROOT / "deploy" / "man" / "netmap-supervisor.1"


def test_no_link_of_the_long_description_leads_into_the_repository() -> None:
    path = ROOT / PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["path"]
    spec = importlib.util.spec_from_file_location("long_description", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = (ROOT / "README.md").read_text()
    text = module.long_description(readme)
    assert re.findall(r"\]\((?!https?://)[^)]*\)", text) == []
    words = [re.findall(r"\w+", re.sub(r"\]\([^)\s]+\)", "", one)) for one in (readme, text)]
    assert [word for word in words[0] if word not in words[1]] == [], (
        "nothing but targets of links is left out"
    )
    assert module.PLACES in text


@pytest.mark.parametrize("place", PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"])
def test_what_is_installed_beside_the_program_is_there(place: str) -> None:
    path = ROOT / place
    assert path.is_file() or any(path.iterdir())


def test_the_manual_page_has_every_command_with_its_options() -> None:
    text = MAN_PAGE.read_text().replace("\\-", "-")
    for words, command in all_commands(root_context()):
        if command.hidden:
            continue
        section = text.partition(f'.SS "{" ".join(words)}"\n')[2].partition("\n.SS ")[0]
        shown = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        assert section, words
        assert [one.opts[0] for one in shown if one.opts[0] not in section] == []


def test_roff_takes_the_manual_page() -> None:
    groff = shutil.which("groff")
    if groff is None:
        unavailable("checking the manual page needs groff")
    # A long choice of values cannot be broken.
    done = subprocess.run(
        [groff, "-man", "-Tutf8", "-ww", "-Wbreak", "-k", str(MAN_PAGE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nEXIT STATUS\n" in re.sub(r".\x08|\x1b\[[\d;]*m", "", done.stdout)


@pytest.mark.parametrize("name", ["Containerfile", "compose.yaml"])
def test_the_image_has_the_version_of_the_program(name: str) -> None:
    named = re.findall(
        r"netmap-supervisor:(\S+)|image\.version=\"(.*)\"", (ROOT / "deploy/container" / name).read_text()
    )
    assert {one or other for one, other in named} == {__version__}


def test_the_image_has_what_the_wheel_is_made_of_and_nothing_by_accident() -> None:
    text = (ROOT / "deploy/container/Containerfile").read_text()
    copied = {
        word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in line.split()
    }
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["shared-data"], *wheel["packages"], *PROJECT["project"]["license-files"], "README.md"}
    assert [one for one in needed if not {one, *map(str, Path(one).parents)} & copied] == []
    assert not {".", ".git", ".venv"} & copied


def test_the_licence_is_named_once_and_its_text_is_packed() -> None:
    project = PROJECT["project"]
    assert [(ROOT / name).read_text().partition("\n")[0] for name in project["license-files"]] == [
        "BSD 3-Clause License"
    ]
    assert project["license"] == "BSD-3-Clause"
    # With a licence expression there must be no classifier of one (PEP 639).
    assert not [one for one in project["classifiers"] if one.startswith("License")]
    assert Path(ROOT / "SECURITY.md").is_file()


@pytest.mark.parametrize(("there", "made"), [([], True), (["python"], True), (["python", "pip"], False)])
def test_a_virtual_environment_that_was_interrupted_is_made_anew(
    tmp_path: Path, there: list[str], made: bool
) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in there:
        (programs / name).touch()
    shown = subprocess.run(
        ["make", "--dry-run", ".venv/.run-ready"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ("-m venv --clear .venv" in shown.stdout) is made
    assert "pip install" in shown.stdout
