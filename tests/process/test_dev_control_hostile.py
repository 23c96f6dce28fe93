"""`netmap-supervisor dev-control` as a process, while others do their worst to it.

Each of them gets a clear refusal or its own end. A healthy client beside it keeps its session and hears of a change
within a second, the memory of the server stays within a bound, and it says nothing it did not mean to say.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from netmap_actors.dev_control.http.machine_api import MAX_WAITING_MAPS
from netmap_actors.dev_control.http.server import MAX_CLIENTS
from tests.support.clients.control_client import Closed, ControlClient, Node
from tests.support.clients.hostile_control_client import CONNECTS, FOREIGN, GARBAGE
from tests.support.waiting import Stopwatch, wait_for

# One after another: each of them takes a whole core, and the server needs the other.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hostile")]

ROOT = Path(__file__).parents[2]
SEED_VARIABLE = "NETMAP_TEST_SEED"
NODES = 2000
"""Makes a whole map one of 1.2 MB: large enough for some of them to be seen in the memory."""
CHANGE_LIMIT = 1.0
MEMORY_LIMIT = 64 << 20
"""Bytes that one harm may add, at its height: four clients that read nothing keep eight maps each."""
PER_CONNECTION = 16 << 10
"""Bytes of a connection that only stands there."""
LIMIT = 30.0


def private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("Pss_Anon:")))


class Server:
    """The process, and two healthy clients of it: one that listens, one that changes."""

    def __init__(self, directory: Path) -> None:
        self.stderr = directory / "stderr"
        command = [sys.executable, "-P", "-m", "netmap_supervisor", "dev-control", f"--nodes={NODES}"]
        with self.stderr.open("wb") as said:
            self.process = subprocess.Popen(
                [*command, "--churn=0", "--keep-alive=1s"], stdout=subprocess.PIPE, stderr=said, text=True
            )
        assert self.process.stdout is not None
        self.url, self.auth_key = (self.process.stdout.readline().split()[-1] for _ in range(2))
        self.listener, self.changer = (
            ControlClient(self.url, Node(name)) for name in ("listener", "changer")
        )
        for client in (self.listener, self.changer):
            assert client.register(self.auth_key)["MachineAuthorized"]
        self.stream = self.listener.map()
        self.listener.message(self.stream, 0)
        self.port = 1024
        self.change()
        self.memory = private_bytes(self.process.pid)

    def change(self) -> float:
        """Seconds from a change to the one who has to hear of it, on a machine that does nothing else."""
        self.port += 1
        endpoint = f"198.51.100.7:{self.port}"
        watch = Stopwatch()
        body = self.changer.map_body(Stream=False, OmitPeers=True, Endpoints=[endpoint])
        assert self.changer.answer("/machine/map", body).status == 200
        self.listener.wait(lambda: endpoint in json.dumps(self.stream.messages[-3:]))
        return watch.seconds()

    @property
    def grown(self) -> int:
        return private_bytes(self.process.pid) - self.memory

    def close(self) -> None:
        self.listener.close()
        self.changer.close()
        self.process.terminate()
        self.process.wait(LIMIT)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    try:
        yield running
        running.change()
        assert running.stream.ended is False
    finally:
        running.close()
    said = running.stderr.read_text().splitlines()
    assert running.process.returncode == 0, said
    unmeant = [line for line in said if not line.startswith(("a control server for", '{"event"'))]
    assert unmeant == []


class Hostile:
    """One of the programs of `hostile_control_client`."""

    def __init__(self, server: Server, harm: str) -> None:
        seed = os.environ.get(SEED_VARIABLE) or str(random.SystemRandom().randrange(1 << 32))
        print(f"{SEED_VARIABLE}={seed}")
        command = [sys.executable, "-P", "-m", "tests.support.clients.hostile_control_client", harm]
        self.process = subprocess.Popen(
            [*command, server.url, server.auth_key, seed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "begun\n"

    def end(self) -> dict[str, Any]:
        """What it says at its end."""
        said, _ = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == 0
        facts: dict[str, Any] = json.loads(said)
        print(facts)
        return facts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def watched(server: Server, harm: str, seconds: float = 2.0, memory: int = MEMORY_LIMIT) -> dict[str, Any]:
    """Let it harm for a while, and look at who does not."""
    with Hostile(server, harm) as hostile:
        delays, grown, until = [], [server.grown], time.monotonic() + seconds
        while time.monotonic() < until:
            delays.append(server.change())
            grown.append(server.grown)
        facts = hostile.end()
    print(f"{harm}: changes after {max(delays):.3f} s at most, memory {max(grown) / 2**20:+.1f} MiB")
    assert max(delays) < CHANGE_LIMIT
    assert max(grown) < memory
    return facts


def test_garbage_before_the_upgrade_is_refused(server: Server) -> None:
    facts = watched(server, "garbage")
    assert facts["sent"] >= len(GARBAGE)
    assert facts["kept"] == 0


def test_requests_that_never_end_hold_nobody_up(server: Server) -> None:
    facts = watched(server, "half_open")
    assert facts["bytes"] >= 3


def test_ten_thousand_connections_in_a_row(server: Server) -> None:
    assert watched(server, "connects", 4.0) == {"made": CONNECTS}


def test_more_at_once_than_there_is_room_for(server: Server) -> None:
    facts = watched(server, "crowd", memory=MAX_CLIENTS * PER_CONNECTION)
    assert facts["refused"] >= facts["opened"] - MAX_CLIENTS
    wait_for(lambda: joins(server), LIMIT, "there is room again")


def joins(server: Server) -> bool:
    with contextlib.suppress(Closed, OSError), ControlClient(server.url, Node()) as client:
        return bool(client.register(server.auth_key)["MachineAuthorized"])
    return False


def test_wrong_keys_and_old_versions_are_refused(server: Server) -> None:
    facts = watched(server, "strangers")
    assert min(facts["refused"], facts["old"]) > 1


def test_requests_that_cannot_be_read_are_answered(server: Server) -> None:
    assert watched(server, "broken_json")["answered"] > 50


def test_nobody_acts_for_the_node_of_another(server: Server) -> None:
    assert watched(server, "foreign_keys")["refused"] >= 4 * FOREIGN


def test_streams_reset_in_a_loop_end_their_own_connection(server: Server) -> None:
    facts = watched(server, "rapid_reset")
    assert facts["cut"] == facts["connections"] >= 1


def test_maps_for_windows_that_stay_shut_are_refused_after_some(server: Server) -> None:
    facts = watched(server, "shut_windows")
    assert facts["refused"] == facts["asked"] - 4 * MAX_WAITING_MAPS


def test_who_never_reads_is_not_written_to_without_end(server: Server) -> None:
    assert watched(server, "never_reads", 4.0)["asked"] >= 40
