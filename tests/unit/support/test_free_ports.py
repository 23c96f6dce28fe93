"""Two tests are never told the same port, whichever processes they run in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.host import free_ports
from tests.support.host.free_ports import FIRST, free_address, free_port

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os
from tests.support.host.free_ports import free_port
os.getpid = lambda: int({pid})
print(free_port(), free_port(2))
"""


def test_another_process_gets_other_ports_while_this_one_lives() -> None:
    ours = free_port(3)
    told = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM.format(pid=os.getpid())],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    one, two = map(int, told.stdout.split())
    assert {one, two, two + 1}.isdisjoint({ours, ours + 1, ours + 2, *free_ports._taken})


def test_a_port_can_be_listened_on_and_is_not_told_again() -> None:
    ports = [free_port() for _ in range(5)]
    assert len({*ports, *(int(free_address().rpartition(":")[2]) for _ in range(5))}) == 10
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < lowest or lowest <= FIRST


def test_one_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        free_ports._taken.pop(port).close()
        monkeypatch.setattr(free_ports, "FIRST", port)
        monkeypatch.setattr(free_ports, "END", port + 1)
        with pytest.raises(OSError, match=f"cannot find 1 free ports: all from {port} to"):
            free_port()
