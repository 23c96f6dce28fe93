"""Measures tailscaled against the same control server: the peer our figures are ratios of."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.process_tree import Sampler, boottime
from tests.system.daemon import clean_environment
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class TailscaledRun:
    """One start of tailscaled. Seconds since `tailscale up`; memory in bytes."""

    running_after: float
    busy_until: float
    cpu: float
    peak_pss: int
    steady_pss: int


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("local-tailscaled.sock", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _backend_state(path: Path) -> str | None:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/localapi/v0/status?peers=false")
        return str(json.loads(connection.getresponse().read())["BackendState"])
    except OSError:
        return None
    finally:
        connection.close()


@contextlib.contextmanager
def running_tailscaled(tools: Path) -> Iterator[tuple[int, Path]]:
    """tailscaled without a tunnel device, logged in nowhere yet; yields its process id and its socket."""
    directory = Path(tempfile.mkdtemp(prefix="nmt-", dir="/tmp"))
    path = directory / "sock"
    command = [
        tools / "tailscaled",
        "--tun=userspace-networking",
        f"--statedir={directory}",
        f"--socket={path}",
        "--port=0",
        "--no-logs-no-support",
    ]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(directory)
        )
    try:
        wait_for(lambda: _backend_state(path), 20.0, "tailscaled answers")
        yield process.pid, path
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def measure_tailscaled(tools: Path, control_url: str, limit: float = 120.0) -> TailscaledRun:
    """From `tailscale up` to Running, and to the end of the work the netmap made."""
    with running_tailscaled(tools) as (pid, path), Sampler(pid) as sampler:
        sampler.wait_quiet(boottime(), 30.0)
        before = sampler.cpu()
        began = boottime()
        command = [
            tools / "tailscale",
            f"--socket={path}",
            "up",
            f"--login-server={control_url}",
            "--accept-dns=false",
        ]
        up = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            wait_for(lambda: _backend_state(path) == "Running", limit, "tailscaled is Running")
            running_after = boottime() - began
            ended = sampler.wait_quiet(began, limit)
        finally:
            up.kill()
            up.communicate()
        return TailscaledRun(
            running_after=running_after,
            busy_until=ended - began,
            cpu=sampler.cpu() - before,
            peak_pss=sampler.peak_pss(),
            steady_pss=sampler.steady_pss(),
        )
