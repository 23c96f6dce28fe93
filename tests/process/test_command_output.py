"""Commands whose output goes nowhere: one line says so, and the exit status."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.processes.daemon import PROGRAM, clean_environment

COMMANDS = (("--help",), ("config", "show"), ("check-client", "--list"))


def run(tmp_path: Path, redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=clean_environment(tmp_path),
        cwd=tmp_path,
    )


@pytest.mark.parametrize("words", COMMANDS)
def test_a_disk_that_is_full_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, ">/dev/full", *words)
    assert done.returncode == 1
    assert done.stderr == "netmap-supervisor: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", COMMANDS)
def test_an_output_that_somebody_closed_is_not_missed(
    tmp_path: Path, words: tuple[str, ...], closed: str
) -> None:
    done = run(tmp_path, closed, *words)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", COMMANDS)
def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, "| head -c 1", *words)
    assert (done.stderr, len(done.stdout)) == ("", 1)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("status",), 3),
        (("wait", "--timeout", "50ms"), 124),
        (("config", "check", "--config", "missing.toml"), 78),
        (("no-such-command",), 2),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else str(words),
)
def test_what_a_command_has_found_stands_though_nobody_reads_it(
    tmp_path: Path, words: tuple[str, ...], status: int
) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*PROGRAM, *words],
            stdout=write,
            stderr=write,
            timeout=20,
            check=False,
            env=clean_environment(tmp_path),
            cwd=tmp_path,
        )
    finally:
        os.close(write)
    assert done.returncode == status
