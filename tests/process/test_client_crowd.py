"""Many clients at once on the control server: the load of the benchmark, in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.http import state
from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from netmap_supervisor.testing import DevControl

ROOT = Path(__file__).parents[2]
CLIENTS = 150


@pytest.mark.dev_control(batch_delay=0.2)
def test_a_change_reaches_all_and_is_made_once(
    dev_control: DevControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    framed: list[bytes] = []
    encode_frame = state.encode_frame

    def counted(json: bytes, *, compress: bool) -> bytes:
        framed.append(json)
        return encode_frame(json, compress=compress)

    command = [sys.executable, "-P", "-m", "bench.peers.client_crowd", dev_control.url, dev_control.auth_key]
    crowd = subprocess.Popen(
        [*command, str(CLIENTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))},
    )

    def answer(key: str) -> Any:
        assert crowd.stdout is not None
        return json.loads(crowd.stdout.readline())[key]

    def update(port: int) -> list[float]:
        assert crowd.stdin is not None
        crowd.stdin.write(f"update {port}\n")
        crowd.stdin.flush()
        arrivals: list[float] = answer("arrivals")
        return arrivals

    try:
        answer("joined")
        update(40_000)  # everybody has heard of everybody by now, or hears of it together with this
        update(40_001)
        monkeypatch.setattr(state, "encode_frame", counted)
        watch = Stopwatch()
        arrivals = update(40_002)
        allowed = watch.allowed(2.0)
    finally:
        crowd.kill()
        crowd.communicate()
    assert len(arrivals) == CLIENTS - 1
    assert arrivals[-1] < allowed
    told = [one for one in framed if b"198.51.100.1:40002" in one]
    # One for its peers, and one for the node itself.
    assert 1 <= len(told) <= 2, f"framed {len(told)} times for {CLIENTS} clients"
    assert len(dev_control.nodes()) == CLIENTS
