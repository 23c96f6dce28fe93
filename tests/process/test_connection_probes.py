"""Probes of a control_connection process against a whole server: who is asked, who reads, and what counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netmap_actors.boot import ConnectionSettings
from netmap_actors.dev_control.standalone import make_options, running_server
from netmap_actors.wire import internal_pb2
from tests.support.processes.connection_process import running_connection
from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.dev_control.standalone import RunningServer


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=3, options=make_options(keep_alive=50.0)) as running:
        yield running


def settings(server: RunningServer, directory: Path) -> ConnectionSettings:
    key = directory / "auth-key"
    key.write_text(server.auth_key)
    return ConnectionSettings(
        control_url=server.url, state_dir=str(directory / "state"), auth_key=f"file:{key}", hostname="client"
    )


def test_a_probe_is_answered(server: RunningServer, tmp_path: Path) -> None:
    with running_connection(settings(server, tmp_path)) as process:
        process.next_map()
        process.next("stage_entered", stage="map")
        process.tell(internal_pb2.Probe(token=7, reason="wake", timeout=5.0))
        result = process.next("probe_result")
        assert (result.token, result.generation, result.answered) == (7, 1, True)


def test_a_probe_into_silence_is_not(server: RunningServer, tmp_path: Path) -> None:
    with running_connection(settings(server, tmp_path)) as process:
        process.next_map()
        process.next("stage_entered", stage="map")
        server.fault("liveness/silence")
        process.tell(internal_pb2.Probe(token=8, reason="link", timeout=0.5))
        result = process.next("probe_result")
        assert (result.token, result.answered) == (8, False)


def test_a_probe_counts_only_while_the_socket_is_read(server: RunningServer, tmp_path: Path) -> None:
    with running_connection(settings(server, tmp_path)) as process:
        process.next_map()
        process.next("stage_entered", stage="map")
        filler = json.dumps({"Domain": "x", "Filler": "x" * 200_000})
        for _ in range(200):
            server.raw(filler)
        process.next_word("progress", paused=True)
        process.tell(internal_pb2.Probe(token=9, reason="interval", timeout=0.5))
        # Two more reports: a second passed, at least, and the publisher still takes nothing.
        process.next_word("progress", paused=True)
        process.next_word("progress", paused=True)
        for _ in range(2, 202):
            process.next_map()
        result = process.next("probe_result")
        assert (result.token, result.answered) == (9, True)


def test_a_probe_into_silence_is_not_answered_by_a_pause_that_is_over(
    server: RunningServer, tmp_path: Path
) -> None:
    with running_connection(settings(server, tmp_path)) as process:
        process.next_map()
        process.next("stage_entered", stage="map")
        filler = json.dumps({"Domain": "x", "Filler": "x" * 200_000})
        for _ in range(200):
            server.raw(filler)
        process.next_word("progress", paused=True)
        for _ in range(2, 202):
            process.next_map()
        process.next_word("progress", paused=False, last_number=201)
        server.fault("liveness/silence")
        watch = Stopwatch()
        process.tell(internal_pb2.Probe(token=10, reason="interval", timeout=0.5))
        result = process.next("probe_result")
        assert (result.token, result.answered) == (10, False)
        assert 0.5 <= watch.wall() < watch.allowed(5.0)
