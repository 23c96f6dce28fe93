"""The wheel and the sdist: what they say and hold, and each installed into an empty environment and run there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from netmap_actors import __version__
from tests.support.processes.daemon import clean_environment

ROOT = Path(__file__).parents[2]
DOCUMENT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = DOCUMENT["project"]
SHARED: dict[str, str] = DOCUMENT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
LIMIT = 900.0
FILES = (
    "share/man/man1/netmap-supervisor.1",
    "share/netmap-supervisor/config.toml",
    "share/netmap-supervisor/container/Containerfile",
    "share/netmap-supervisor/container/compose.yaml",
    "share/netmap-supervisor/examples/go/main.go",
    "share/netmap-supervisor/examples/templates/nginx.conf.j2",
    "share/netmap-supervisor/grafana/dashboard.json",
    "share/netmap-supervisor/prometheus/alerts.yml",
    "share/netmap-supervisor/systemd/netmap-supervisor-export@.service",
    "share/netmap-supervisor/systemd/netmap-supervisor.service",
    "share/netmap-supervisor/systemd/netmap-supervisor@.service",
    "share/netmap-supervisor/systemd/sysusers.d/netmap-supervisor.conf",
    "share/netmap-supervisor/systemd/tmpfiles.d/netmap-supervisor.conf",
)
"""What an installation has beside the program."""
SOURCES = (
    ".ci/run",
    "CHANGELOG.md",
    "deploy/container/Containerfile",
    "deploy/packaging/long_description.py",
    "LICENSE",
    "SECURITY.md",
    "README.md",
    "Makefile",
    "docs/operations.md",
    "tests/conftest.py",
    "constraints.txt",
)

pytestmark = [pytest.mark.release, pytest.mark.timeout(2 * LIMIT)]


def run(*words: str | Path, at: Path, limit: float = LIMIT) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=at,
        env=environment(at),
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def environment(home: Path) -> dict[str, str]:
    """Without what shows the tree; pip keeps its settings, and the proxies it needs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.lower().endswith("_proxy")
    }
    return {name: value for name, value in clean_environment(home).items() if name != "PYTHONPATH"} | kept


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that comes of the sdist, and the sdist."""
    place = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", place, "-t", "sdist", at=ROOT)
    (sdist,) = place.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(place / "source", filter="data")
    (source,) = (place / "source").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-d", place, "-t", "wheel", at=source)
    return place


def one(place: Path, pattern: str) -> Path:
    (found,) = place.glob(pattern)
    return found


def test_the_metadata_says_what_an_index_shows(built: Path) -> None:
    wheel = one(built, "*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        shown = Parser().parsestr(packed.read(metadata).decode())
    assert (shown["Name"], shown["Version"], shown["License-Expression"]) == (
        "netmap-supervisor", __version__, "BSD-3-Clause",
    )  # fmt: skip
    assert shown["Description-Content-Type"] == "text/markdown"
    assert "](docs/" not in str(shown.get_payload())
    assert set(shown.get_all("Classifier") or ()) == set(PROJECT["classifiers"])
    assert set(shown.get_all("Provides-Extra") or ()) == set(PROJECT["optional-dependencies"])
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert [name for name in names if name.startswith(("tests/", "bench/"))] == []
    page = Path("netmap_actors/http_endpoint/page")
    files = {
        str(path.relative_to(ROOT / "actors"))
        for path in (ROOT / "actors" / page).rglob("*")
        if path.is_file()
    }
    assert files
    assert files == {name for name in names if name.startswith(f"{page}/")}


def test_every_file_beside_the_program_is_packed(built: Path) -> None:
    with zipfile.ZipFile(one(built, "*.whl")) as packed:
        data = {name.partition(".data/data/")[2] for name in packed.namelist()}
    expected = set()
    for source, target in SHARED.items():
        files = [path for path in (ROOT / source).rglob("*") if path.is_file()] or [ROOT / source]
        expected |= {str(Path(target) / path.relative_to(ROOT / source)) for path in files}
    assert data - {""} == {name for name in expected if not name.endswith(".pyc")}


def test_an_index_would_take_both(built: Path, tmp_path: Path) -> None:
    """twine reads the metadata, and renders the long description as an index does."""
    run(sys.executable, "-m", "venv", tmp_path / "env", at=tmp_path)
    python = tmp_path / "env/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--no-input", "twine", "readme-renderer[md]", at=tmp_path)
    both = (one(built, "*.whl"), one(built, "*.tar.gz"))
    assert run(python, "-m", "twine", "check", "--strict", *both, at=tmp_path).count("PASSED") == 2


def test_a_second_build_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """Of the tree itself, elsewhere and later; the first wheel was made of the sdist."""
    run(sys.executable, "-m", "hatchling", "build", "-d", tmp_path, at=ROOT)
    for pattern in ("*.whl", "*.tar.gz"):
        assert one(tmp_path, pattern).read_bytes() == one(built, pattern).read_bytes(), pattern


def test_version_changelog_and_tag_agree() -> None:
    heading = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] == __version__
    git = ("git", "-c", f"safe.directory={ROOT}", "tag", "--points-at", "HEAD", "v*")
    for tag in run(*git, at=ROOT).split():
        assert tag == f"v{__version__}"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", heading[2]), "a release has a date"


def test_the_sdist_has_what_the_project_needs(built: Path) -> None:
    with tarfile.open(one(built, "*.tar.gz")) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert names >= set(SOURCES)
    assert not [
        name for name in names if name.startswith((".venv", "bench/results")) or name.endswith(".pyc")
    ]


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_an_installation_away_from_the_tree_runs_and_has_its_files(
    built: Path, tmp_path: Path, kind: str
) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "env", at=tmp_path)
    python, program = tmp_path / "env/bin/python", tmp_path / "env/bin/netmap-supervisor"
    pip = (python, "-m", "pip", "install", "--quiet", "--no-input", "-c", ROOT / "constraints.txt")
    if kind == "*.tar.gz":
        run(*pip, "hatchling", at=tmp_path)
        pip = (*pip, "--no-build-isolation")
    run(*pip, one(built, kind), at=tmp_path)
    assert __version__ in run(program, "--version", at=tmp_path)
    where = run(
        python, "-P", "-c", "import netmap_supervisor; print(netmap_supervisor.__file__)", at=tmp_path
    )
    assert Path(where.strip()).is_relative_to(tmp_path / "env")
    assert [name for name in FILES if not (tmp_path / "env" / name).is_file()] == []
    places = ("--runtime-dir", tmp_path / "run")
    daemon = subprocess.Popen(
        [program, "run", "--view=off", f"--state-dir={tmp_path}/state", *places],
        cwd=tmp_path, env=environment(tmp_path), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        run(program, "wait", "--for=fresh", "--timeout=60s", *places, at=tmp_path)
        assert "online" in run(program, "netmap", *places, at=tmp_path)
        run(program, "stop", *places, at=tmp_path)
        assert daemon.wait(30.0) == 0
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
