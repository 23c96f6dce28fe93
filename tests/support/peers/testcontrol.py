"""Runs tailscale's own test control server, which can only listen on 127.0.0.1:9911: one at a time per machine."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.peers.go_tools import cache_root, file_lock
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST, PORT = "127.0.0.1", 9911
START_LIMIT = 60.0
"""Seconds until /key answers; 50 000 fake nodes take a few."""


@dataclass(frozen=True)
class GoControl:
    """A running testcontrol."""

    url: str
    pid: int
    nodes: int
    log: Path


def _port_is_free() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError:
            return False
    return True


def _answers() -> bool:
    connection = http.client.HTTPConnection(HOST, PORT, timeout=5)
    try:
        connection.request("GET", "/key?v=140")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def control_slot() -> Iterator[None]:
    """Holds the right to use port 9911; others of this project wait."""
    with file_lock(cache_root() / "testcontrol.lock"):
        yield


@contextlib.contextmanager
def running_control(binary: Path, nodes: int, log: Path) -> Iterator[GoControl]:
    """A testcontrol with `nodes` fake nodes, answering; ended on leaving. The caller holds `control_slot`."""
    wait_for(_port_is_free, 60.0, f"port {PORT} is free")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [binary, "-nfake", str(nodes)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: process.poll() is not None or _answers(), START_LIMIT, "testcontrol answers /key")
        if process.poll() is not None:
            raise RuntimeError(f"testcontrol ended with {process.returncode}: {log.read_text()[-500:]}")
        yield GoControl(f"http://{HOST}:{PORT}", process.pid, nodes, log)
    finally:
        process.kill()
        process.wait()
