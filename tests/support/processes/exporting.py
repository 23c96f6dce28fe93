"""`export --follow` while a test looks at its file."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes.daemon import Daemon

__all__ = ["LIMIT", "following", "text_of", "wait_text"]

LIMIT = 20.0


@contextlib.contextmanager
def following(daemon: Daemon, *arguments: str, err: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`export … --follow` while the block runs; ended with it."""
    with err.open("ab") as errors:
        process = daemon.spawn_command("export", *arguments, "--follow", stderr=errors)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait_text(path: Path, part: str, limit: float = LIMIT) -> str:
    """The file's text as soon as it holds this."""
    return wait_for(lambda: part in (text := text_of(path)) and text, limit, f"{part!r} in {path.name}")
