"""The peers command as a process: its output, its limits, its errors."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from netmap_supervisor.devtools.client_check.place import peers
from netmap_supervisor.devtools.client_check.place.peers import (
    MAX_OUTPUT,
    BeliefReader,
    CannotReadPeers,
    read_peers,
)
from netmap_supervisor.devtools.client_check.verdicts.beliefs import BelievedPeer
from tests.support.waiting import wait_for

ASH = (BelievedPeer("ash", frozenset({"100.64.0.7"}), True),)
SAYS = '[{"name": "ash", "addresses": ["100.64.0.7"], "online": true}]'


def shell(script: str) -> list[str]:
    return ["sh", "-c", script, "sh", "{dir}"]


def test_it_is_run_with_the_same_values_as_the_client(tmp_path: Path) -> None:
    (tmp_path / "peers").write_text(SAYS)
    values = {"dir": str(tmp_path)}
    assert read_peers(["cat", "{dir}/peers"], values) == ASH
    assert read_peers(shell('cat "$NETMAP_CHECK_DIR/peers"; echo noise >&2'), values) == ASH


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nonexistent/peers"], "cannot start the peers command /nonexistent/peers: No such file"),
        (shell("echo first >&2; echo 'no daemon' >&2; exit 4"), "ended with status 4: no daemon"),
        (shell("kill -9 $$"), "ended with status -9"),
        (shell("echo hello"), "printed no JSON: "),
        (shell(r"printf '\377'"), "printed 'utf-8' codec"),
        ([sys.executable, "-c", f"print('x' * {MAX_OUTPUT + 10})"], "printed more than 16 MiB"),
        (shell("sleep 100"), "took more than 0.5 s"),
        (shell("sleep 100 & echo []; exec >&-; sleep 100"), "took more than 0.5 s"),
    ],
)
def test_what_goes_wrong_is_told(command: list[str], said: str, tmp_path: Path) -> None:
    limit = 0.5 if "sleep" in " ".join(command) else 20.0
    with pytest.raises(CannotReadPeers) as caught:
        read_peers(command, {"dir": str(tmp_path)}, limit=limit)
    assert said in str(caught.value)


def test_a_reader_tells_only_what_was_asked_for_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_PAUSE", 0.01)
    reader = BeliefReader(["cat", "{dir}/peers"], {"dir": str(tmp_path)}, time.monotonic)
    try:
        wait_for(lambda: "ended with status 1" in reader.problem, 20.0, "the problem")
        assert reader.since(0.0) is None
        (tmp_path / "peers").write_text("[]")
        wait_for(lambda: (found := reader.since(0.0)) is not None and found[1] == (), 20.0, "an empty list")
        (tmp_path / "peers").write_text(SAYS)
        moment = time.monotonic()
        asked_at, listed = wait_for(lambda: reader.since(moment), 20.0, "the new list")
        assert (asked_at >= moment, listed) == (True, ASH)
        assert reader.problem == ""
        assert reader.since(time.monotonic() + 100.0) is None
    finally:
        reader.close()


def test_a_reader_that_is_closed_ends_its_command(tmp_path: Path) -> None:
    script = 'echo $$ > "$1/new"; mv "$1/new" "$1/pid"; sleep 100'
    reader = BeliefReader(shell(script), {"dir": str(tmp_path)}, time.monotonic)
    wait_for((tmp_path / "pid").exists, 20.0, "the command")
    reader.close()
    wait_for(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists(), 10.0, "its end")
