"""`check-client` with real clients: ours, which has to pass everything, and a deaf one, which must not."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS
from tests.support.processes.daemon import PROGRAM
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
OURS = [
    *PROGRAM,
    "run",
    "--control-url={url}",
    "--auth-key=file:{auth_key_file}",
    "--state-dir={dir}/s",
    "--runtime-dir={dir}/r",
    "--silence-timeout=8s",
    "--truth-interval=4s",
    "--view=off",
]


def check(directory: Path, *options: str, client: list[str], limit: float) -> tuple[int, dict[str, Any], str]:
    """Exit status, outcomes by name, and all that was said."""
    report = directory / "report.json"
    command = [
        *PROGRAM,
        "check-client",
        f"--json={report}",
        f"--output={directory}/logs",
        *options,
        "--",
        *client,
    ]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    held = json.loads(report.read_text())["scenarios"]
    return done.returncode, {one["name"]: one for one in held}, done.stdout + done.stderr


PEERS = shlex.join([*PROGRAM, "netmap", "--json", "--runtime-dir", "{dir}/r"])
FLAWED = [sys.executable, "-P", "-m", "tests.support.clients.flawed_client", "4"]


@pytest.mark.slow
@pytest.mark.timeout(620)
def test_our_own_daemon_passes_every_scenario(tmp_path: Path) -> None:
    options = (
        "--strict",
        "--limit=8s",
        "--truth-limit=6s",
        "--join-limit=120s",
        "--jobs=8",
        f"--peers-command={PEERS}",
    )
    status, held, said = check(tmp_path, *options, client=OURS, limit=600.0)
    assert {name: one["seen"] for name, one in held.items() if one["verdict"] != "pass"} == {}, said
    assert (status, list(held)) == (0, list(SCENARIOS))


@pytest.mark.xdist_group("waits")
@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("flaw", "scenario", "verdict", "words"),
    [
        ("", "", "", ""),
        ("no-watchdog", "liveness/silence", "fail", "asked nothing and made no new connection in "),
        ("keeps-removed", "map/peers-removed", "fail", "(the server removes birch): birch is still listed"),
        (
            "replays-key",
            "register/one-shot-key-not-replayed",
            "warn",
            "1 register request with the spent auth key, none expected",
        ),
    ],
)
def test_the_report_names_each_flaw_of_a_client_and_no_other(
    tmp_path: Path, flaw: str, scenario: str, verdict: str, words: str
) -> None:
    groups = (
        "join",
        "liveness/silence",
        "liveness/healthy",
        "session/cut",
        "session/rst-stream",
        "map/peers-removed",
    )
    asked = [f"--scenario={name}" for name in (*groups, "register/one-shot-key-not-replayed")]
    options = (
        "--strict",
        "--no-again",
        "--limit=4s",
        "--jobs=7",
        "--peers-command=cat {dir}/peers.json",
        *asked,
    )
    status, held, said = check(tmp_path, *options, client=[*FLAWED, *filter(None, [flaw])], limit=140.0)
    wrong = {name: one for name, one in held.items() if one["verdict"] != "pass"}
    assert list(wrong) == [*filter(None, [scenario])], said
    assert (status, len(held)) == (1 if flaw else 0, 7)
    if flaw:
        assert (wrong[scenario]["verdict"], words in wrong[scenario]["seen"]) == (verdict, True), said


FIELD = {
    "map/full-is-authoritative": ("merges-full", "ash is still listed"),
    "map/patch-endpoints": ("no-patched-endpoints", "after step 2"),
    "identity/same-host-after-reconnect": ("forgets-key", "register request with another node key"),
    "network/backend-gone": ("no-pause", "connections while it was refused"),
}
"""Scenarios, each with a flaw that fails it, and what is said of that."""


@pytest.mark.xdist_group("waits")
@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("flawed", ["", *FIELD])
def test_a_flaw_of_the_field_fails_its_own_scenario_and_no_other(tmp_path: Path, flawed: str) -> None:
    flaw, words = FIELD.get(flawed, ("", ""))
    options = (
        "--no-again",
        "--limit=4s",
        "--belief-limit=12s",
        "--jobs=5",
        "--peers-command=cat {dir}/peers.json",
        "--scenario=join",
        *[f"--scenario={name}" for name in FIELD],
    )
    status, held, said = check(tmp_path, *options, client=[*FLAWED, *filter(None, [flaw])], limit=140.0)
    wrong = {name: one for name, one in held.items() if one["verdict"] != "pass"}
    assert list(wrong) == [*filter(None, [flawed])], said
    assert (status, len(held)) == (1 if flawed else 0, 5)
    if flawed:
        assert (wrong[flawed]["verdict"], words in wrong[flawed]["seen"]) == ("fail", True), said


@pytest.mark.xdist_group("waits")
def test_a_deaf_client_fails_where_it_is_deaf_only(tmp_path: Path) -> None:
    options = ("--limit=3s", "--no-again", "--scenario=join", "--scenario=liveness/silence")
    deaf = [sys.executable, "-P", "-m", "tests.support.clients.deaf_client"]
    status, held, said = check(tmp_path, *options, client=deaf, limit=50.0)
    assert status == 1, said
    assert held["join/first-map"]["verdict"] == "pass", said
    assert held["liveness/silence"]["verdict"] == "fail", said
    assert held["liveness/silence"]["seen"].startswith("asked nothing and made no new connection in "), said


def test_a_program_that_does_not_exist_is_told_once(tmp_path: Path) -> None:
    status, held, said = check(tmp_path, client=["/nonexistent/client"], limit=50.0)
    verdicts = [one["verdict"] for one in held.values()]
    assert (status, verdicts) == (1, ["error", *["skip"] * (len(SCENARIOS) - 1)]), said
    assert held["join/first-map"]["seen"] == "cannot start /nonexistent/client: No such file or directory"


@pytest.mark.xdist_group("waits")
@pytest.mark.parametrize("manner", ["goaway", "close"])
def test_a_client_that_has_quietly_lost_its_session_is_not_called_healthy(
    tmp_path: Path, manner: str
) -> None:
    options = ("--limit=4s", "--no-again", "--scenario=liveness/healthy")
    lost = [sys.executable, "-P", "-m", "tests.support.clients.deaf_client", manner]
    status, held, said = check(tmp_path, *options, client=lost, limit=50.0)
    assert (status, held["liveness/healthy"]["verdict"]) == (1, "fail"), said
    assert held["liveness/healthy"]["seen"].startswith(
        ("map session gone after", "connection closed by the client")
    ), said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_it_ends_the_client_too(tmp_path: Path, number: signal.Signals) -> None:
    client = [
        "sh",
        "-c",
        'echo "$$ $1" > "$0.new"; mv "$0.new" "$0"; sleep 1000',
        str(tmp_path / "seen"),
        "{dir}",
    ]
    command = [*PROGRAM, "check-client", f"--output={tmp_path}/logs"]
    process = subprocess.Popen(
        [*command, "--scenario=join", "--join-limit=60s", "--", *client],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    try:
        wait_for((tmp_path / "seen").exists, 20.0, "the client")
        pid, directory = (tmp_path / "seen").read_text().split()
        assert Path(directory).is_dir()
        process.send_signal(number)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not Path(directory).exists()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 10.0, "the client's end")
