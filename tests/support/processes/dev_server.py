"""A real `netmap-supervisor dev-control` as a child process: the embedded control server alone."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes.daemon import PROGRAM, clean_environment
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

URL = re.compile(r"https?://[^\s\"',]+")
READY = "Ctrl-C ends it"
"""Said on stderr when everything has been announced."""
AUTH_KEY = re.compile(r"\b[a-z]+key-[A-Za-z0-9_-]+")


class DevServer:
    """Where a running dev-control can be reached."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        url: str,
        auth_key: str,
        log: Path | None = None,
        socket: Path | None = None,
    ) -> None:
        self.process = process
        self.url = url
        self.auth_key = auth_key
        self.log = log
        """What it writes to stderr."""
        self.socket = socket
        """Where it takes commands."""


@contextlib.contextmanager
def running_dev_server(
    *options: str, listen: str = "127.0.0.1:0", prefix: Sequence[str] = ()
) -> Iterator[DevServer]:
    """Start it, wait until it has printed its URL and an auth key; ended on leaving."""
    directory = Path(tempfile.mkdtemp(prefix="nmd-", dir="/tmp"))
    out_path, log_path = directory / "out.txt", directory / "log.txt"
    command = [*prefix, *PROGRAM, "dev-control", f"--listen={listen}", *options]
    with out_path.open("wb") as out, log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            env=clean_environment(directory, {"NETMAP_DEV_CONTROL_SOCKET": str(directory / "commands.sock")}),
            cwd=directory,
        )

    def announced() -> DevServer | None:
        assert process.poll() is None, (
            f"dev-control ended with {process.returncode}: {log_path.read_text()[-800:]}"
        )
        if READY not in log_path.read_text():
            return None
        text = out_path.read_text()
        url, key = URL.search(text), AUTH_KEY.search(text)
        assert url, text
        assert key, text
        named = re.search(r"^commands +(\S+)$", text, re.MULTILINE)
        return DevServer(
            process, url.group().rstrip("/"), key.group(), log_path, Path(named[1]) if named else None
        )

    try:
        yield wait_for(announced, 20.0, "dev-control prints its URL and an auth key")
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)
