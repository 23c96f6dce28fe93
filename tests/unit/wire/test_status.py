"""The status report: its documented shape, and what it says about what the core knows."""

from __future__ import annotations

import json

import msgspec
import pytest

from netmap_actors import shown_json
from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.status import StatusReport
from netmap_supervisor.cli.state.status import lines
from netmap_supervisor.config.settings import RunSettings
from netmap_supervisor.daemon.status_report import SupervisorFacts, make_report
from tests.support.machines.simulated_shell import SimulatedShell
from tests.support.netmaps import shown_netmap

SETTINGS = RunSettings(state_dir="/s", runtime_dir="/r")
CONNECTION = "control_connection"

SHAPE = {
    "": "version pid uptime_s control netmap connection liveness degraded actors subscribers "
    "log_lines_suppressed webhooks nursery http",
    "control": "url embedded server_key",
    "netmap": "state age_s state_since epoch seq peers peers_online peers_unknown domain self",
    "connection": "state generation pid local_address remote_address proxy session_age_s sessions attempts ended "
    "last_end next_attempt_s auth_url",
    "liveness": "silence_timeout_s silent_s deadline_in_s",
}


def shown(shell: SimulatedShell) -> dict:
    own = SupervisorFacts("1.2.3", 42, 10_000.0)
    report = make_report(shell.core, SETTINGS, own, shell.now)
    assert msgspec.json.decode(shown_json.encode(report), type=StatusReport) == report
    return json.loads(shown_json.encode(report))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, None),
        ({"http_listen": "unix:/x"}, {"listen": "unix:/x", "tls": False, "token_required": False}),
        (
            {"http_listen": "0.0.0.0:1", "http_tls_cert": "/c"},
            {"listen": "0.0.0.0:1", "tls": True, "token_required": True},
        ),
        (
            {"http_listen": "[::]:1", "http_plaintext": True},
            {"listen": "[::]:1", "tls": False, "token_required": True},
        ),
    ],
)
def test_it_says_how_the_http_endpoint_is_reached(given: dict, shown: dict | None) -> None:
    shell = SimulatedShell().started()
    settings = msgspec.structs.replace(SETTINGS, **given)
    report = make_report(shell.core, settings, SupervisorFacts("1", 1, 0.0), shell.now)
    assert msgspec.to_builtins(report.http) == shown
    words = "\n".join(lines(report))
    assert ("IN PLAIN TEXT" in words) is bool(given.get("http_plaintext"))


def fresh(shell: SimulatedShell, **figures) -> None:
    """control_connection has a session and the publisher its map, received just now."""
    generation = shell.processes[CONNECTION]
    shell.word(
        CONNECTION,
        internal_pb2.StageEntered(generation=generation, session=1, stage="map", since=shell.boottime),
    )
    told = {
        "state": "fresh",
        "generation": generation,
        "session": 1,
        "last_received_at": shell.boottime,
        "peers": 3,
        "peers_online": 2,
        "peers_unknown": 1,
        "self_stable_id": "n1",
        "self_name": "me.example.",
        "self_addresses": ["100.64.0.1"],
        "self_machine_authorized": True,
        "subscribers": 2,
    }
    publisher = internal_pb2.PublisherStatistics(**(told | figures))
    shell.word("publisher", internal_pb2.Heartbeat(rss_bytes=7, publisher=publisher))


def test_the_report_has_the_documented_keys_in_their_order() -> None:
    shell = SimulatedShell().started()
    fresh(shell)
    report = shown(shell)
    for place, keys in SHAPE.items():
        assert list(report[place] if place else report) == keys.split(), place
    assert list(report["connection"]["ended"]) == (
        "silence wake link closed error crashed removed expired hung operator".split()
    )
    assert list(report["netmap"]["self"]) == ["name", "stable_id", "addresses"]
    for row in report["actors"]:
        keys = "name pid state generation restarts last_exit uptime_s rss_bytes system_calls refused_calls confinement"
        assert list(row) == keys.split()


def test_it_says_since_when_the_state_is_this_one_and_only_of_the_publishers() -> None:
    shell = SimulatedShell().started()
    ago = shell.boottime - 60.0

    def since() -> str | None:
        # By the clock that is set: the time that has passed is that of the other one.
        shell.wall = 1_700_000_060.0
        netmap = shown(shell)["netmap"]
        return None if netmap["state_since"] is None else f"{netmap['state']} {netmap['state_since'][11:]}"

    assert since() is None
    fresh(shell, state_since=ago)
    assert since() == "fresh 22:13:20.000Z"
    fresh(shell, state_since=shell.boottime + 1.0)
    assert since() == "fresh 22:14:20.000Z"
    shell.end(CONNECTION, ExitReason.CLOSED)
    assert since() is None, "it is stale, and the publisher has not said so yet"
    told = internal_pb2.PublisherStatistics(state="stale", state_since=shell.boottime - 2.0)
    shell.word("publisher", internal_pb2.Heartbeat(publisher=told))
    assert since() == "stale 22:14:18.000Z"


def test_the_last_end_and_the_conditions_have_the_documented_keys() -> None:
    shell = SimulatedShell().started()
    fresh(shell)
    shell.end(CONNECTION, ExitReason.CLOSED)
    shell.word("publisher", internal_pb2.Degraded(code="quarantined", text="1 peer", active=True))
    report = shown(shell)
    assert list(report["connection"]["last_end"]) == ["reason", "stage", "detail", "at", "generation"]
    assert report["connection"]["last_end"]["at"] == "2023-11-14T22:13:20.000Z"
    assert report["degraded"] == [
        {"code": "quarantined", "text": "1 peer", "since": "2023-11-14T22:13:20.000Z"}
    ]


def test_before_anything_is_up_nothing_is_claimed() -> None:
    report = shown(SimulatedShell().start())
    assert report["netmap"]["state"] == "none"
    assert report["netmap"]["age_s"] is None
    assert report["netmap"]["self"] is None
    assert report["connection"]["state"] == "starting"
    assert {row["state"] for row in report["actors"]} == {"active"}, "they come up together"


def test_a_fresh_netmap_is_shown_with_its_age_and_figures() -> None:
    shell = SimulatedShell().started()
    fresh(shell)
    shell.advance(3.0)
    report = shown(shell)
    assert report["netmap"]["state"] == "fresh"
    assert report["netmap"]["age_s"] == pytest.approx(3.0, abs=0.01)
    assert (report["netmap"]["peers"], report["subscribers"]) == (3, 2)
    assert report["netmap"]["self"] == {"name": "me.example.", "stable_id": "n1", "addresses": ["100.64.0.1"]}
    assert report["connection"]["state"] == "map_session"
    assert report["connection"]["session_age_s"] == pytest.approx(3.0, abs=0.01)


def test_fresh_decays_by_itself_when_the_age_reaches_the_limit() -> None:
    shell = SimulatedShell().started()
    fresh(shell)
    shell.beats = False
    shell.suspend(119.9)
    assert shown(shell)["netmap"]["state"] == "fresh"
    shell.suspend(0.2)
    assert shown(shell)["netmap"]["state"] == "stale"


@pytest.mark.parametrize("victim", [CONNECTION, "publisher"])
def test_fresh_is_not_believed_without_the_publisher_or_its_connection(victim) -> None:
    shell = SimulatedShell().started()
    fresh(shell)
    shell.end(victim)
    assert shown(shell)["netmap"]["state"] == "stale"
    assert shown(shell)["netmap"]["peers"] == 3, "what was true once is kept"


@pytest.mark.parametrize(
    ("stage", "state"),
    [
        ("resolve", "resolving"),
        ("connect", "connecting"),
        ("handshake", "handshaking"),
        ("register", "registering"),
        ("login", "login_needed"),
        ("map", "map_session"),
        ("a stage of a later version", "starting"),
    ],
)
def test_the_state_of_the_connection_follows_its_stage(stage, state) -> None:
    shell = SimulatedShell().started()
    shell.word(CONNECTION, internal_pb2.StageEntered(generation=1, stage=stage, since=1.0))
    assert shown(shell)["connection"]["state"] == state


def test_a_node_that_an_administrator_has_to_approve_says_so() -> None:
    shell = SimulatedShell().started()
    fresh(shell, self_machine_authorized=False)
    assert shown(shell)["connection"]["state"] == "awaiting_approval"


def test_a_waiting_time_is_shown_and_runs_down() -> None:
    shell = SimulatedShell(jitter=lambda: 0.5).started()
    for _ in range(3):
        shell.end(CONNECTION, ExitReason.ERROR)
        shell.advance(10.0, until=lambda: CONNECTION in shell.processes)
    shell.end(CONNECTION, ExitReason.ERROR)
    report = shown(shell)
    assert report["connection"]["state"] == "backing_off"
    assert report["connection"]["next_attempt_s"] == pytest.approx(4.0)
    assert report["actors"][-1]["state"] == "backoff"
    assert (report["connection"]["attempts"], report["connection"]["sessions"]) == (4, 0)
    shell.advance(1.0)
    assert shown(shell)["connection"]["next_attempt_s"] == pytest.approx(3.0, abs=0.01)


def test_a_refused_key_shows_login_needed_also_while_it_is_tried_again() -> None:
    shell = SimulatedShell().started()
    fresh(shell)
    shell.end(CONNECTION, ExitReason.LOGIN_REFUSED)
    assert shown(shell)["connection"]["state"] == "login_needed"
    shell.advance(61.0)
    assert CONNECTION in shell.processes
    assert shown(shell)["connection"]["state"] == "login_needed"
    shell.word(CONNECTION, internal_pb2.Registered(generation=2, machine_authorized=True))
    assert shown(shell)["connection"]["state"] == "starting"


def test_a_login_address_is_shown_until_it_is_done() -> None:
    shell = SimulatedShell().started()
    shell.word(CONNECTION, internal_pb2.LoginNeeded(url="https://login.example/a"))
    assert shown(shell)["connection"]["auth_url"] == "https://login.example/a"
    fresh(shell)
    assert shown(shell)["connection"]["auth_url"] is None


def test_the_silence_deadline_is_shown_from_the_newest_that_anybody_knows() -> None:
    shell = SimulatedShell().started()
    fresh(shell)
    liveness = internal_pb2.LivenessStatistics(
        generation=1,
        session=1,
        stage="map",
        last_received_at=shell.boottime - 4.0,
        deadline_at=shell.boottime + 116.0,
    )
    shell.word("liveness", internal_pb2.Heartbeat(liveness=liveness))
    assert shown(shell)["liveness"] == {"silence_timeout_s": 120.0, "silent_s": 0.0, "deadline_in_s": 120.0}
    shell.end(CONNECTION)
    assert shown(shell)["liveness"] == {"silence_timeout_s": 120.0, "silent_s": None, "deadline_in_s": None}


def test_while_stopping_the_connection_is_stopped() -> None:
    shell = SimulatedShell().started()
    fresh(shell)
    shell.stop()
    assert shown(shell)["connection"]["state"] == "stopped"


def test_addresses_and_key_come_from_the_connection_and_the_key_stays() -> None:
    shell = SimulatedShell().started()
    info = internal_pb2.ConnectionInfo(
        generation=1, local_address="10.0.0.1:5", remote_address="10.0.0.2:443", server_key="mkey:00"
    )
    shell.word(CONNECTION, info)
    connection = shown(shell)["connection"]
    assert (connection["local_address"], connection["remote_address"]) == ("10.0.0.1:5", "10.0.0.2:443")
    shell.end(CONNECTION)
    report = shown(shell)
    assert report["connection"]["local_address"] is None
    assert report["control"]["server_key"] == "mkey:00"


@pytest.mark.parametrize(("number", "told"), [(0, False), (11_494, True)])
def test_what_was_left_out_of_the_log_is_said_when_something_was(number, told) -> None:
    said = "\n".join(lines(msgspec.structs.replace(shown_netmap.report(), log_lines_suppressed=number), 200))
    assert ("11494 lines left out" in said) is told
