"""`python -m tests.mutants [WORD…]`: plant each bug in a copy of the tree and see that its tests find it.

Exit status 1 when one survives, or when its tests fail without it or for another reason. WORD: a part of a name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.planted import MUTANTS

if TYPE_CHECKING:
    from tests.mutants.planted import Mutant

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 600.0


def main(words: list[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="nm-mutants-") as directory:
        copy = Path(directory) / "tree"
        _copy_tree(copy)
        for mutant in chosen:
            began = time.monotonic()
            verdict = _judge(mutant, copy)
            survivors += verdict != "caught"
            print(f"{verdict:<10} {time.monotonic() - began:6.1f} s  {mutant.name}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} caught")
    return 1 if survivors else 0


def _copy_tree(copy: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


def _judge(mutant: Mutant, copy: Path) -> str:
    """caught, SURVIVED, BROKEN (its tests fail without the bug, too) or MISTAKEN (they fail for something else)."""
    if _report_of_failure(mutant, copy) is not None:
        return "BROKEN"
    before = {edit.file: (copy / edit.file).read_text() for edit in mutant.edits}
    try:
        for edit in mutant.edits:
            text = (copy / edit.file).read_text()
            assert text.count(edit.old) == 1, f"{edit.file} does not hold this once: {edit.old!r}"
            (copy / edit.file).write_text(text.replace(edit.old, edit.new))
        report = _report_of_failure(mutant, copy)
        return "SURVIVED" if report is None else "caught" if mutant.says in report else "MISTAKEN"
    finally:
        for name, text in before.items():
            (copy / name).write_text(text)


def _report_of_failure(mutant: Mutant, copy: Path) -> str | None:
    """What pytest says of its tests; None when they pass."""
    tests = [test for test in mutant.tests if (copy / test.partition("::")[0]).exists()]
    assert tests, f"no tests for: {mutant.name}"
    path = os.pathsep.join(str(copy / source) for source in ("actors", "supervisor"))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    # 1: tests failed. Anything else but 0 means that they could not be run.
    assert done.returncode in {0, 1}, done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:]
    return done.stdout.decode() if done.returncode == 1 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
