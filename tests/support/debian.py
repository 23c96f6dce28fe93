"""Debian outside the tree: root file systems of its packages, and our wheels for its Python.

What is made once is kept under a name that is a digest of what it was made of. The mirror is the one apt uses on this
machine. Not here: what is done with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.peers.go_tools import cache_root, file_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PATH", "ROOT", "SUITE", "kept", "make_root", "run", "wheels"]

ROOT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
PYTHON = "3.11"
"""That suite's."""
EXTRAS = ("socks", "template")
BUILD_LIMIT = 1200.0
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def kept(room: str, kind: str, recipe: bytes, make: Callable[[Path], None]) -> Path:
    """The directory of that recipe, made now if there is none.

    It is made under another name, so that half a directory is never found. Whatever `make` raises is passed on.
    """
    place = cache_root() / room
    directory = place / f"{kind}-{hashlib.sha256(recipe).hexdigest()[:16]}"
    with file_lock(place / "lock"):
        if not directory.exists():
            with tempfile.TemporaryDirectory(prefix=f".{kind}-", dir=place) as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                make(made)
                made.rename(directory)
            # One of each kind is enough: an older recipe's is made again if it is wanted again.
            for other in place.glob(f"{kind}-*"):
                if other != directory:
                    shutil.rmtree(other)
    return directory


def run(*command: str | Path, **options: object) -> str:
    """What it printed. Raises RuntimeError with the end of what it said instead, for any status but 0."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_LIMIT,
        **({"env": os.environ | {"PATH": PATH, "LC_ALL": "C"}} | options),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def make_root(target: Path, packages: tuple[str, ...], *options: str) -> None:
    """A root file system: a directory, or an archive by the name's ending. Raises RuntimeError."""
    run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        # A mirror that is kept at one day has a Release file that is out of date, and as well signed.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *options,
        f"--include={','.join(packages)}",
        SUITE,
        target,
        _mirror(),
    )


def _mirror() -> str:
    """The first one that apt uses here for Debian itself."""
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    codename = release.get("VERSION_CODENAME", "").strip('"')
    listed = run(
        "apt-get", "indextargets", "--format", "$(SITE)", f"Codename: {codename}", "Created-By: Packages"
    )
    if not listed.strip():
        raise RuntimeError(f"apt names no mirror for {codename!r}")
    return listed.split()[0]


def wheels() -> Path:
    """A directory with every wheel that an installation needs: the versions of constraints.txt. Raises RuntimeError."""
    pins = (ROOT / "constraints.txt").read_bytes()
    return kept("wheels", "wheels", pins + "\n".join(_requirements()).encode() + PYTHON.encode(), _download)


def _requirements() -> list[str]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    extras = [one for extra in EXTRAS for one in project["optional-dependencies"][extra]]
    # A marker would be judged by the Python that runs this, and all of them hold for the suite's.
    named = (*project["dependencies"], *extras, *document["build-system"]["requires"])
    return [requirement.partition(";")[0].strip() for requirement in named]


def _download(directory: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PIP_NO_INDEX"}
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"),
        *(f"--platform={tag}_x86_64" for tag in _platforms()),
        *("--constraint", ROOT / "constraints.txt", "--dest", directory, *_requirements()),
        env=environment,
    )


def _platforms() -> Iterator[str]:
    """manylinux as glibc 2.36 takes it."""
    yield "manylinux2014"
    yield from (f"manylinux_2_{minor}" for minor in range(36, 16, -1))
