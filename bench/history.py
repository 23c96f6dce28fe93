"""The figures with a memory: one line of JSON for each run of `make bench`, kept in git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from bench.figures import Figure
from bench.machine import Machine, Versions  # noqa: TC001 - msgspec reads the fields

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ROOT / "bench" / "history.jsonl"
MADE = ("bench/history.jsonl", "docs/performance.md", "docs/performance")
"""What a run and its report write: it makes no other tree of what was measured."""


class Run(msgspec.Struct, frozen=True):
    """One run, its missed figures among the others."""

    at: str
    """UTC, RFC 3339."""
    commit: str
    """Empty: not measured in a git checkout."""
    clean: bool
    """What was measured is what that commit holds."""
    quick: bool
    """With fewer rounds."""
    programs: list[str]
    """Which were run."""
    failed: list[str]
    """Those of them that have no figures, as they broke off."""
    load: float
    """Load average of the minute before."""
    yardstick: Figure
    """`python -c pass`, ms."""
    machine: Machine
    versions: Versions
    figures: dict[str, Figure]


def rounded(figure: Figure) -> Figure:
    """Four digits: more would be noise in a file that is kept."""
    return Figure(
        figure.unit, *(float(f"{getattr(figure, name):.4g}") for name in ("median", "min", "max")), figure.n
    )


def read(path: Path = HISTORY) -> list[Run]:
    """Oldest first; none when there is no such file."""
    if not path.exists():
        return []
    decoder = msgspec.json.Decoder(Run)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


def append(run: Run, path: Path = HISTORY) -> None:
    """Add a line."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(run) + b"\n")


def checkout(root: Path = ROOT) -> tuple[str, bool]:
    """The commit that is checked out, and whether the tree is what it holds; ("", False) without git."""

    def git(*arguments: str) -> str:
        # The folder may belong to another user: nothing is written.
        command = ["git", "-c", f"safe.directory={root}", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".", *(f":!{name}" for name in MADE))
        return git("rev-parse", "--short=12", "HEAD"), not changed
    except (OSError, subprocess.CalledProcessError):
        return "", False
