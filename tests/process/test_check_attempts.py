"""One attempt of `check-client` with a small real client: its timeline, how far it came, what was refused."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from netmap_supervisor.devtools.client_check.attempt import run_attempt
from netmap_supervisor.devtools.client_check.outcome import Attempt, CheckVerdict, Reached
from netmap_supervisor.devtools.client_check.place.place import Settings
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, CheckScenario, Limits
from netmap_supervisor.devtools.client_check.scenarios.scenario import Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    BelievesServer,
    Edit,
    KeepsSession,
    Raw,
    RestartClient,
    ServerAway,
    Step,
    Traffic,
)
from tests.support.waiting import Stopwatch

pytestmark = pytest.mark.xdist_group("waits")

ROOT = Path(__file__).resolve().parents[2]
CLIENT = (sys.executable, "-P", "-m", "tests.support.clients.flawed_client", "4")
PEERS = ("cat", "{dir}/peers.json")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def attempt(
    scenario: CheckScenario, directory: Path, *command: str, peers: tuple[str, ...] = (), join: float = 30.0
) -> Attempt:
    settings = Settings(command or CLIENT, Limits(4.0, join=join), directory, nodes=3, peers_command=peers)
    made = run_attempt(scenario, settings, directory / "log", threading.Event())
    assert made is not None
    return made


def steps(*held: Step) -> CheckScenario:
    return CheckScenario("map/test", "does things", Shape.STEPS, "MUST follow", "For a test.", (), steps=held)


def test_what_a_fault_does_at_once_comes_behind_it(tmp_path: Path) -> None:
    watch = Stopwatch()
    made = attempt(SCENARIOS["session/cut"], tmp_path)
    assert (made.verdict, made.reached, made.refused) == (CheckVerdict.PASS, Reached.MAP, ""), made.seen
    assert made.facts["closed_by"] == "server"
    assert made.facts["closed_after"] < watch.allowed(5.0)  # type: ignore[operator]  # the end of the first milliseconds is there
    kinds = [(event.side, event.kind) for event in made.timeline]
    assert kinds[0] == ("check", "started")
    assert kinds.index(("check", "joined")) < kinds.index(("check", "fault"))
    assert ("server", "end") in kinds[kinds.index(("check", "fault")) :]
    assert [event.detail for event in made.timeline if event.kind == "sent"][:2] != []
    assert [event.at for event in made.timeline] == sorted(event.at for event in made.timeline)


def test_who_has_lost_its_session_before_the_fault_is_not_judged_by_it(tmp_path: Path) -> None:
    lost = (sys.executable, "-P", "-m", "tests.support.clients.deaf_client", "goaway")
    settled = Limits(40.0, join=15.0)  # longer than this client keeps its session
    settings = Settings(lost, settled, tmp_path)
    made = run_attempt(SCENARIOS["session/goaway"], settings, tmp_path / "log", threading.Event())
    assert made is not None
    assert (made.verdict, "has no map session any more" in made.seen) == (CheckVerdict.ERROR, True), made.seen


def test_a_second_connection_without_a_map_is_not_the_one_with_half_a_frame(tmp_path: Path) -> None:
    knocks = (sys.executable, "-P", "-m", "tests.support.clients.deaf_client", "close")
    made = attempt(SCENARIOS["liveness/half-frame"], tmp_path, *knocks)
    assert (made.verdict, made.facts["closed_by"]) == (CheckVerdict.FAIL, "client"), made.seen
    assert made.facts.get("closed_after") is not None, "the one with the map is all of those that count"


@pytest.mark.parametrize("name", ["input/zero-frame", "input/corrupt-record", "register/null"])
def test_the_client_without_a_flaw_lives_on_when_it_is_fed_rubbish(name: str, tmp_path: Path) -> None:
    made = attempt(SCENARIOS[name], tmp_path)
    assert made.verdict is CheckVerdict.PASS, made.seen


def test_who_does_not_join_is_told_what_the_server_saw_and_refused(tmp_path: Path) -> None:
    script = 'printf "\\033[31mERROR\\033[0m starting\\n"; NETMAP_CHECK_AUTH_KEY=wrong exec "$@"'
    made = attempt(SCENARIOS["join/first-map"], tmp_path, "sh", "-c", script, "sh", *CLIENT, join=6.0)
    assert made.verdict is CheckVerdict.FAIL
    assert made.reached is Reached.UPGRADE
    assert "did not join within 6 s; the server last saw " in made.seen
    assert f"and refused: {made.refused}" in made.seen
    assert "auth" in made.refused
    assert "; its log ends with: " in made.seen
    assert "\x1b" not in made.seen
    assert "wrong" not in made.seen


def test_steps_edit_the_tailnet_and_send_raw_messages_and_read_what_is_believed(tmp_path: Path) -> None:
    made = attempt(
        steps(
            Step("adds birch", (Edit("add_node", {"name": "birch"}),), (BelievesServer(online=True),)),
            Step(
                "tells unknown fields, and birch anew",
                (
                    Raw(
                        {
                            "Unheard": {"of": 1},
                            "PeersChanged": ["{node:birch}"],
                            "OnlineChange": {"{id:birch}": True},
                        }
                    ),
                ),
                (BelievesServer(), KeepsSession()),
                watch=1.0,
            ),
            Step(
                "takes birch offline",
                (Edit("set_online", {"node": "birch", "online": False}),),
                (BelievesServer(True),),
            ),
        ),
        tmp_path,
        peers=PEERS,
    )
    assert (made.verdict, made.seen.count(":")) == (CheckVerdict.PASS, 3), made.seen
    assert [event.detail for event in made.timeline if event.kind == "step"] == [
        "adds birch",
        "tells unknown fields, and birch anew",
        "takes birch offline",
    ]


def test_server_and_client_can_go_and_come_back(tmp_path: Path) -> None:
    made = attempt(
        steps(
            Step("is away for a second", (ServerAway(1.0),), (BackInSession(),), within=40.0),
            # This client keeps no state: it joins as another node, with the key it was given.
            Step(
                "has the client restarted",
                (RestartClient(),),
                (BackInSession(), Traffic("register", "auth", least=1)),
            ),
        ),
        tmp_path,
    )
    assert made.verdict is CheckVerdict.PASS, made.seen
    connections = [event.connection for event in made.timeline if event.kind == "upgrade"]
    assert connections == sorted(set(connections)), "connections of two servers have different numbers"


def test_a_peers_command_that_fails_says_nothing_about_the_client(tmp_path: Path) -> None:
    step = Step("says nothing", (), (BelievesServer(),), within=2.0)
    made = attempt(steps(step), tmp_path, peers=("sh", "-c", "echo gone >&2; exit 3"))
    assert made.verdict is CheckVerdict.ERROR
    assert made.seen.endswith("cannot read peers: the peers command ended with status 3: gone")


def test_a_peers_command_that_takes_longer_than_the_limit_fails_nobody(tmp_path: Path) -> None:
    step = Step("adds birch", (Edit("add_node", {"name": "birch"}),), (BelievesServer(),), within=1.0)
    made = attempt(steps(step), tmp_path, peers=("sh", "-c", 'sleep 2; cat "$1/peers.json"', "sh", "{dir}"))
    assert made.verdict is CheckVerdict.PASS, made.seen


def test_a_client_that_does_not_know_who_is_online_is_not_judged_by_it(tmp_path: Path) -> None:
    script = 'sed "s/\\"online\\": [a-z]*/\\"online\\": null/g" "$1/peers.json"'
    step = Step("says nothing", (), (BelievesServer(online=True),))
    made = attempt(steps(step), tmp_path, peers=("sh", "-c", script, "sh", "{dir}"))
    assert (made.verdict, made.seen) == (CheckVerdict.SKIP, "the peers command does not say who is online")
