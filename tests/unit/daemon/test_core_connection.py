"""The control connection as the core treats it: verdicts, ends, the next generation, what is passed on."""

from __future__ import annotations

import pytest

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.connection.verdicts import SERVER_TIME
from netmap_supervisor.supervision.messages import Exited, Spawned
from tests.support.machines.simulated_shell import NAMES, SimulatedShell, running

CONNECTION = "control_connection"


def test_a_verdict_of_silence_kills_at_once_and_the_next_starts_when_it_is_reaped() -> None:
    shell = running()
    shell.reaps = False
    shell.verdict()
    assert shell.killed == {CONNECTION}
    assert shell.events("silence_detected", silent_for=120.2, generation=1)
    shell.advance(1.0)
    assert shell.generation(CONNECTION) == 1
    reaped_at = shell.boottime
    shell.end(CONNECTION, signal=9)
    shell.reaps = True
    shell.advance(1.0)
    assert shell.generation(CONNECTION) == 2
    assert shell.starts[-1][0] - reaped_at <= 0.25
    assert shell.core.connection.ledger.ended_counts["silence"] == 1


@pytest.mark.parametrize("how", ["silence", "SIGKILL", "crash", "hung"])
def test_a_good_session_that_we_end_or_that_crashes_is_followed_without_delay_and_a_second_crash_is_not(
    how: str,
) -> None:
    shell = running(jitter=lambda: 0.999)
    shell.advance(60.0)
    match how:
        case "silence":
            shell.verdict()
        case "hung":
            shell.verdict("hung")
        case "SIGKILL":
            shell.end(CONNECTION, signal=9)
        case _:
            shell.end(CONNECTION)
    shell.advance(0.0)
    assert shell.generation(CONNECTION) == 2
    [ended] = shell.events("session_ended")
    assert ended["next_attempt_s"] == 0.0
    shell.session()
    shell.end(CONNECTION, signal=9)
    shell.advance(0.5)
    assert shell.generation(CONNECTION) == 2, "a session that did not live restarts with a delay"


@pytest.mark.parametrize(("generation", "session"), [(0, 1), (2, 1), (1, 0)])
def test_a_verdict_about_another_generation_or_an_older_session_is_ignored(generation, session) -> None:
    shell = running()
    shell.verdict(generation=generation, session=session)
    shell.advance(5.0)
    assert not shell.events("child_killed")
    assert shell.core.tree.foreign == 1


def test_a_verdict_about_the_process_before_is_ignored() -> None:
    shell = running()
    shell.end(CONNECTION)
    shell.advance(1.0)
    shell.verdict(generation=1)
    assert not shell.events("child_killed")


def test_words_of_an_older_process_are_dropped_and_counted() -> None:
    shell = running()
    shell.end("publisher")
    shell.advance(1.0)
    before = shell.core.tree.foreign
    shell.word("publisher", internal_pb2.Resync(reason="late"), generation=1)
    shell.word("nobody", internal_pb2.Resync(reason="?"), generation=1)
    assert shell.core.tree.foreign == before + 2


def test_a_paused_publisher_is_restarted_and_the_connection_stays() -> None:
    shell = running()
    shell.verdict("publisher_paused")
    shell.advance(1.0)
    assert shell.events("child_killed", actor="publisher", reason="publisher_paused")
    assert [actor for _, actor, _ in shell.starts[4:]] == ["publisher"]


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        (ExitReason.CLOSED, "closed"),
        (ExitReason.ERROR, "error"),
        (ExitReason.CRASHED, "crashed"),
        (ExitReason.REMOVED, "removed"),
        (ExitReason.EXPIRED, "expired"),
        (ExitReason.NORMAL, "operator"),
    ],
)
def test_an_end_is_counted_told_and_followed_by_a_new_generation(reason, counted) -> None:
    shell = running()
    shell.end(CONNECTION, reason)
    told = [
        (actor, body.generation, body.reason) for actor, word, body in shell.sent if word == "SessionEnded"
    ]
    assert told == [("publisher", 1, counted), ("liveness", 1, counted)]
    assert shell.core.connection.ledger.ended_counts[counted] == 1
    shell.sent.clear()
    shell.advance(5.0)
    assert shell.generation(CONNECTION) == 2
    told = [(actor, body.generation) for actor, word, body in shell.sent if word == "ConnectionStarted"]
    assert told == [("publisher", 2), ("liveness", 2)]


def test_what_the_connection_said_of_its_end_is_kept_and_its_retry_after_honoured() -> None:
    shell = running()
    said = internal_pb2.SessionEnded(generation=1, stage="map", detail="503", retry_after=30.0, had_map=True)
    shell.word(CONNECTION, said)
    shell.end(CONNECTION, ExitReason.ERROR)
    last_end = shell.core.connection.ledger.last_end
    assert (last_end.reason.value, last_end.stage, last_end.detail) == ("error", "map", "503")
    shell.advance(29.0)
    assert shell.generation(CONNECTION) == 1
    shell.advance(9.0)
    assert shell.generation(CONNECTION) == 2


def test_a_removed_node_registers_first_until_it_has_a_session() -> None:
    shell = running()
    shell.end(CONNECTION, ExitReason.REMOVED)
    assert shell.events("node_removed")
    shell.advance(5.0)
    assert shell.connection_starts[-1].register_first
    shell.end(CONNECTION, ExitReason.CLOSED)
    shell.advance(60.0)
    assert shell.connection_starts[-1].register_first
    shell.session()
    shell.end(CONNECTION, ExitReason.CLOSED)
    shell.advance(60.0)
    start = shell.connection_starts[-1]
    assert (start.register_first, start.had_session) == (False, True)


def test_an_expired_node_registers_first() -> None:
    shell = running()
    shell.end(CONNECTION, ExitReason.EXPIRED)
    shell.advance(5.0)
    assert shell.connection_starts[-1].register_first


def test_a_key_refused_later_needs_a_login_and_is_tried_once_a_minute() -> None:
    shell = running()
    for _ in range(3):
        shell.end(CONNECTION, ExitReason.LOGIN_REFUSED)
        assert shell.core.connection.ledger.state(alive=False, stopped=False) == "login_needed"
        shell.advance(59.9)
        assert CONNECTION not in shell.processes
        shell.advance(0.2)
        assert CONNECTION in shell.processes
    assert shell.exit is None
    assert shell.connection_starts[-1].register_first


def test_a_control_key_that_changed_later_is_shown_tried_once_a_minute_and_heals() -> None:
    shell = running()
    shell.end(CONNECTION, ExitReason.KEY_CHANGED)
    shell.advance(59.9)
    assert shell.generation(CONNECTION) == 1
    assert shell.degraded() == ["control_key_changed"]
    shell.advance(0.2)
    shell.session()
    assert shell.degraded() == []


def test_a_control_key_that_changed_before_the_start_ends_the_run() -> None:
    shell = SimulatedShell().started()
    shell.end(CONNECTION, ExitReason.KEY_CHANGED)
    for name in reversed(NAMES[:-1]):
        shell.end(name, ExitReason.NORMAL)
    assert shell.exit == 78


def test_a_session_without_its_full_map_is_no_session_yet() -> None:
    shell = SimulatedShell().started()
    shell.session(full=False)
    shell.end(CONNECTION, ExitReason.LOGIN_REFUSED)
    assert shell.core.tree.stopping
    assert shell.core.tree.exit_code == 77


def test_an_unreachable_server_is_asked_for_ever_at_a_bounded_pace() -> None:
    shell = SimulatedShell().started()
    end = shell.boottime + 3600.0
    while shell.boottime < end:
        shell.advance(end - shell.boottime, until=lambda: CONNECTION in shell.processes)
        if CONNECTION in shell.processes:
            shell.end(CONNECTION, ExitReason.ERROR)
    attempts = shell.core.connection.ledger.attempts
    assert 3600 / 45 <= attempts <= 3600 / 15 + 10
    assert shell.exit is None
    assert shell.degraded() == []


def test_an_operators_reconnect_kills_at_once_and_does_not_wait() -> None:
    shell = running()
    shell.reconnect()
    shell.advance(0.0)
    assert shell.generation(CONNECTION) == 2
    assert shell.core.connection.ledger.ended_counts["operator"] == 1
    for _ in range(6):
        shell.end(CONNECTION, ExitReason.ERROR)
        shell.reconnect()
    assert shell.generation(CONNECTION) == 8, "a reconnect ends a waiting time"


def test_a_publisher_that_comes_back_is_told_the_connection_and_its_resync_goes_on() -> None:
    shell = running()
    shell.end("publisher")
    shell.advance(1.0)
    assert ("publisher", "ConnectionStarted") in [sent[:2] for sent in shell.sent]
    shell.word("publisher", internal_pb2.Resync(reason="new"))
    assert shell.sent[-1][:2] == (CONNECTION, "Resync")


@pytest.mark.parametrize("watcher", ["publisher", "liveness"])
def test_who_comes_up_is_told_of_the_connection_whichever_was_first(watcher) -> None:
    def told(shell: SimulatedShell) -> list[tuple[str, int]]:
        return [(word, body.generation) for actor, word, body in shell.sent if actor == watcher]

    shell = SimulatedShell().start()
    assert told(shell) == [], "it has said nothing yet, and no word would reach it"
    shell.ready(watcher)
    assert told(shell) == [("ConnectionStarted", 1)]

    shell = SimulatedShell().start()
    shell.session(full=False)
    shell.end(CONNECTION)
    assert told(shell) == []
    shell.ready(watcher)
    assert told(shell) == [("SessionEnded", 1)], "what the connection sent waits for it"
    shell.advance(5.0, auto_ready=False)
    assert told(shell) == [("SessionEnded", 1), ("ConnectionStarted", 2)]


@pytest.mark.parametrize("stage", ["connect", "handshake"])
def test_no_stage_limit_ends_a_connection_that_waits_for_the_embedded_server(stage) -> None:
    def verdict() -> None:
        word = internal_pb2.Verdict(generation=1, session=0, stage=stage, silent_for=15.1, reason="error")
        shell.verdicts.add((1, "error"))
        shell.word("liveness", word)

    shell = SimulatedShell().start()
    for name in ("publisher", "liveness", CONNECTION):
        shell.ready(name)
    entered = internal_pb2.StageEntered(generation=1, stage=stage, since=shell.boottime)
    shell.word(CONNECTION, entered)
    shell.advance(14.0, auto_ready=False)
    verdict()
    shell.end("dev_control")
    shell.advance(14.0, auto_ready=False)
    verdict()
    shell.ready("dev_control")
    shell.advance(SERVER_TIME - 0.1)
    verdict()
    assert shell.kills == []
    shell.advance(0.2)
    verdict()
    assert shell.kills == [(CONNECTION, 1, "error")], "it has had its time"


def test_a_server_that_is_none_of_ours_has_the_time_of_the_stage() -> None:
    shell = SimulatedShell(names=("publisher", "liveness", CONNECTION)).start()
    shell.verdicts.add((1, "error"))
    shell.ready("liveness")
    word = internal_pb2.Verdict(generation=1, session=0, stage="handshake", silent_for=15.1, reason="error")
    shell.word("liveness", word)
    assert shell.kills == [(CONNECTION, 1, "error")]


def test_a_resync_without_a_session_goes_nowhere() -> None:
    shell = SimulatedShell().started()
    shell.word("publisher", internal_pb2.Resync(reason="new"))
    assert "Resync" not in [word for _, word, _ in shell.sent]


def test_a_login_is_logged_once_for_each_address() -> None:
    shell = SimulatedShell().started()
    for url in ("https://login/a", "https://login/a", "", "https://login/b"):
        shell.word(CONNECTION, internal_pb2.LoginNeeded(url=url))
    assert [event["url"] for event in shell.events("login_needed")] == ["https://login/a", "https://login/b"]


def test_what_a_child_reported_goes_with_its_process() -> None:
    shell = running()
    shell.word("publisher", internal_pb2.Degraded(code="quarantined", text="1 peer", active=True))
    assert shell.degraded() == ["quarantined"]
    shell.end("publisher")
    assert shell.degraded() == []
    assert not shell.events("healed"), "it is not known to be healed"
    assert shell.events("condition_dropped", code="quarantined", actor="publisher")
    shell.advance(1.0)
    shell.word("publisher", internal_pb2.Degraded(code="quarantined", text="1 peer", active=True))
    shell.word("publisher", internal_pb2.Degraded(code="quarantined", active=False))
    assert shell.degraded() == []


def test_first_netmap_is_said_once_for_each_connection() -> None:
    shell = SimulatedShell().started()
    shell.session()
    shell.session(session=2)
    assert len(shell.events("first_netmap", generation=1, peers=3)) == 1
    assert len(shell.events("map_session_started")) == 2


def test_a_late_answer_about_an_older_process_changes_nothing() -> None:
    shell = running()
    shell.end(CONNECTION)
    shell.feed(Spawned(CONNECTION, 1, 999))
    shell.feed(Exited(CONNECTION, 1, None, detail="late"))
    shell.advance(1.0)
    assert shell.generation(CONNECTION) == 2
    assert shell.core.tree.children[CONNECTION].pid != 999


def test_words_that_make_no_sense_are_logged_and_change_nothing() -> None:
    shell = running()
    shell.word("liveness", internal_pb2.StageEntered(stage="map"))
    shell.word(CONNECTION, internal_pb2.Verdict(generation=1, session=1, reason="silence"))
    assert [event["body"] for event in shell.events("unexpected_message")] == ["stage_entered", "verdict"]
    assert not shell.events("child_killed")


def test_a_document_the_publisher_cannot_use_ends_the_connection() -> None:
    shell = running()
    shell.session()
    shell.word("publisher", internal_pb2.Verdict(generation=1, session=1, stage="map", reason="error"))
    assert shell.events("child_killed", actor=CONNECTION, reason="error")
    shell.advance(5.0)
    assert shell.generation(CONNECTION) == 2
    assert "could not use a MapResponse" in shell.core.connection.ledger.last_end.detail
