"""A real tailscaled without a tunnel device, as a child process: its local API and its command line `tailscale`."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.processes.daemon import clean_environment
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND_LIMIT = 30.0
"""Seconds one `tailscale` command may take."""
_LOGIN_URL = re.compile(r"https?://\S+/auth/\w+")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("local-tailscaled.sock", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _status(path: Path, query: str = "") -> dict[str, Any] | None:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", f"/localapi/v0/status{query}")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    except OSError:
        return None
    finally:
        connection.close()


class Tailscaled:
    """One running tailscaled."""

    def __init__(self, tools: Path, directory: Path, pid: int) -> None:
        self.pid = pid
        self.socket = directory / "sock"
        self.log = directory / "log"
        self._tailscale = tools / "tailscale"

    def state(self) -> str | None:
        """NoState, NeedsLogin, NeedsMachineAuth, Starting or Running; None: it does not answer."""
        answer = _status(self.socket, "?peers=false")
        return None if answer is None else str(answer["BackendState"])

    def status(self) -> dict[str, Any]:
        """What `tailscale status --json` shows."""
        return _status(self.socket) or {}

    def peers(self) -> dict[str, dict[str, Any]]:
        """The peers by the first label of their DNS names."""
        found = (self.status().get("Peer") or {}).values()
        return {peer["DNSName"].partition(".")[0]: peer for peer in found}

    def command(self, *arguments: str) -> list[str]:
        """The command line of `tailscale` for this daemon."""
        return [str(self._tailscale), f"--socket={self.socket}", *arguments]

    def run(self, *arguments: str) -> str:
        """What a `tailscale` command prints; it has to succeed."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=COMMAND_LIMIT, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}\n{self.log.read_text()[-2000:]}"
        return done.stdout

    def up(self, url: str, auth_key: str, hostname: str, *options: str) -> None:
        """`tailscale up` by auth key; returns when it is Running."""
        self.run("up", *_up_options(url, hostname), f"--auth-key={auth_key}", *options)

    @contextlib.contextmanager
    def going_up(self, url: str, hostname: str, *options: str) -> Iterator[GoingUp]:
        """`tailscale up` that waits for a person, or is refused; ended on leaving."""
        command = self.command("up", *_up_options(url, hostname), *options)
        words = self.log.with_name("up")
        with words.open("wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            yield GoingUp(process, words)
        finally:
            process.kill()
            process.wait()


class GoingUp:
    """A running `tailscale up`."""

    def __init__(self, process: subprocess.Popen[bytes], words: Path) -> None:
        self._process = process
        self._words = words

    def words(self) -> str:
        """What it has printed so far."""
        return self._words.read_text()

    def wait_login_url(self, other_than: str = "") -> str:
        """The address it asks its user to visit."""
        return wait_for(
            lambda: next((url for url in _LOGIN_URL.findall(self.words()) if url != other_than), None),
            COMMAND_LIMIT,
            "tailscale up prints where to log in",
        )

    def wait_end(self) -> int:
        """Its exit status."""
        try:
            return self._process.wait(COMMAND_LIMIT)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"tailscale up has not ended, and said {self.words()!r}") from None


def _up_options(url: str, hostname: str) -> list[str]:
    return [f"--login-server={url}", f"--hostname={hostname}", "--accept-dns=false"]


@contextlib.contextmanager
def running_tailscaled(tools: Path, keep_in: Path | None = None, *options: str) -> Iterator[Tailscaled]:
    """tailscaled; ended on leaving. It is logged in nowhere, and all it keeps is removed.

    `keep_in`: a directory of a short name which keeps everything for the next start.
    """
    directory = keep_in or Path(tempfile.mkdtemp(prefix="nmt-", dir="/tmp"))
    command = [
        tools / "tailscaled",
        "--tun=userspace-networking",
        f"--statedir={directory}",
        f"--socket={directory / 'sock'}",
        "--port=0",
        "--no-logs-no-support",
        *options,
    ]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(directory)
        )
    daemon = Tailscaled(tools, directory, process.pid)
    try:
        wait_for(daemon.state, 20.0, "tailscaled answers")
        yield daemon
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if keep_in is None:
            shutil.rmtree(directory, ignore_errors=True)
