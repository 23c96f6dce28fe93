from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.liveness.detector import LivenessDetector
from netmap_actors.wire.internal_pb2 import Progress, Verdict
from netmap_actors.wire.vocabulary import PUBLISHER_PAUSED, EndReason

LIMIT = 120.0


def progress(
    now: float,
    *,
    generation: int = 1,
    session: int = 1,
    stage: str = "map",
    since: float = 100.0,
    last: float | None = None,
    drained: float | None = None,
    limit: float = LIMIT,
    paused_since: float | None = None,
) -> Progress:
    return Progress(
        generation=generation,
        session=session,
        stage=stage,
        stage_since=since,
        limit=limit,
        last_received_at=since if last is None else last,
        drained_at=now if drained is None else drained,
        paused=paused_since is not None,
        paused_since=paused_since or 0.0,
    )


def in_map(at: float = 100.0) -> LivenessDetector:
    detector = LivenessDetector()
    detector.connection_started(1)
    detector.stage_entered(1, 1, "map", at, LIMIT)
    return detector


def verdict(stage: str, silent_for: float, reason: EndReason, *, session: int) -> Verdict:
    return Verdict(generation=1, session=session, stage=stage, silent_for=silent_for, reason=reason)


def reasons(verdicts: list[Verdict]) -> list[str]:
    return [verdict.reason for verdict in verdicts]


def test_a_session_that_never_answers_is_silent_from_the_map_request_on() -> None:
    detector = in_map(100.0)
    assert detector.deadline() == 220.0
    detector.progress(progress(220.0))
    assert detector.expire(219.999) == []
    assert detector.expire(220.0) == [verdict("map", 120.0, EndReason.SILENCE, session=1)]


def test_a_map_response_moves_the_deadline() -> None:
    detector = in_map(100.0)
    detector.map_response(1, 1, 150.0)
    assert detector.deadline() == 270.0
    assert detector.expire(220.0) == []
    detector.progress(progress(270.0, last=150.0))
    assert reasons(detector.expire(270.0)) == [EndReason.SILENCE]


def test_a_map_response_that_arrives_late_in_the_queue_does_not_move_it_back() -> None:
    detector = in_map(100.0)
    detector.map_response(1, 1, 160.0)
    detector.map_response(1, 1, 150.0)
    assert detector.deadline() == 280.0


def test_without_proof_of_an_empty_socket_the_process_is_hung_a_second_later() -> None:
    detector = in_map(100.0)
    detector.progress(progress(219.0))
    assert detector.expire(220.0) == []
    assert detector.deadline() == 221.0
    assert detector.expire(220.5) == []
    assert reasons(detector.expire(221.0)) == [EndReason.HUNG]


def test_proof_within_the_second_makes_it_silence_at_once() -> None:
    detector = in_map(100.0)
    assert detector.expire(220.0) == []
    detector.progress(progress(220.3))
    assert detector.deadline() == 220.0
    assert reasons(detector.expire(220.3)) == [EndReason.SILENCE]


def test_a_response_within_the_second_saves_the_connection() -> None:
    detector = in_map(100.0)
    assert detector.expire(220.0) == []
    detector.map_response(1, 1, 219.9)
    assert detector.expire(221.5) == []
    assert detector.deadline() == 219.9 + LIMIT


def test_a_detector_that_was_stopped_itself_gives_the_connection_its_second() -> None:
    detector = in_map(100.0)
    assert detector.expire(400.0) == []
    assert detector.deadline() == 401.0
    assert reasons(detector.expire(401.0)) == [EndReason.HUNG]


@pytest.mark.parametrize("drained", [0.0, 150.0, 219.99])
def test_a_read_before_the_limit_is_no_proof(drained: float) -> None:
    detector = in_map(100.0)
    detector.progress(progress(220.0, drained=drained))
    assert detector.expire(220.0) == []


@pytest.mark.parametrize(
    ("stage", "limit"), [("resolve", 12.0), ("connect", 10.0), ("handshake", 15.0), ("register", 30.0)]
)
def test_a_stage_that_runs_out_is_an_error_with_its_name(stage: str, limit: float) -> None:
    detector = LivenessDetector()
    detector.stage_entered(1, 0, stage, 10.0, limit)
    assert detector.deadline() == 10.0 + limit
    assert detector.expire(9.99 + limit) == []
    assert detector.expire(10.0 + limit) == [verdict(stage, limit, EndReason.ERROR, session=0)]


def test_a_person_who_logs_in_has_no_limit() -> None:
    detector = LivenessDetector()
    detector.stage_entered(1, 0, "login", 10.0, 0.0)
    assert detector.deadline() is None
    assert detector.expire(1e6) == []


def test_older_generations_and_sessions_are_dropped_and_counted() -> None:
    detector = LivenessDetector()
    detector.connection_started(2)
    detector.stage_entered(2, 3, "map", 100.0, LIMIT)
    detector.map_response(1, 9, 500.0)
    detector.map_response(2, 2, 500.0)
    detector.progress(progress(500.0, generation=1, session=9, last=500.0))
    detector.stage_entered(2, 2, "map", 500.0, LIMIT)
    assert detector.foreign == 4
    assert detector.deadline() == 220.0


def test_a_new_session_starts_a_new_clock() -> None:
    detector = in_map(100.0)
    detector.stage_entered(1, 2, "map", 200.0, LIMIT)
    assert detector.deadline() == 320.0
    detector.map_response(1, 1, 319.0)
    assert detector.deadline() == 320.0


def test_a_new_generation_starts_a_new_clock_and_silences_the_old_one() -> None:
    detector = in_map(100.0)
    detector.connection_started(2)
    assert detector.deadline() is None
    detector.progress(progress(230.0))
    assert detector.deadline() is None


def test_an_ended_connection_is_judged_no_more() -> None:
    detector = in_map(100.0)
    detector.connection_ended(1)
    assert detector.deadline() is None
    assert detector.expire(1e6) == []


def test_nobody_is_judged_while_the_publisher_takes_nothing() -> None:
    detector = in_map(100.0)
    detector.progress(progress(200.0, paused_since=200.0))
    assert detector.expire(229.0) == []
    assert reasons(detector.expire(230.0)) == [PUBLISHER_PAUSED]
    assert detector.expire(231.0) == []
    detector.progress(progress(235.0, drained=199.0))
    assert detector.expire(235.0) == [], "the first second after a pause is for reading what waited"
    detector.map_response(1, 1, 235.5)
    assert detector.deadline() == 235.5 + LIMIT


def test_a_verdict_nobody_acted_on_is_said_again() -> None:
    detector = in_map(100.0)
    detector.progress(progress(220.0))
    assert reasons(detector.expire(220.0)) == [EndReason.SILENCE]
    assert detector.expire(221.0) == []
    assert reasons(detector.expire(222.0)) == [EndReason.SILENCE]


def test_a_verdict_is_not_taken_back_by_reports_of_the_same_silence() -> None:
    detector = in_map(100.0)
    detector.progress(progress(220.0))
    assert reasons(detector.expire(220.0)) == [EndReason.SILENCE]
    detector.progress(progress(220.5))
    assert detector.expire(220.6) == []


@given(
    last=st.floats(0.0, 100.0),
    died_at=st.floats(0.0, 119.0),
    report_after=st.floats(0.0, 3.0),
)
def test_a_successor_judges_at_the_same_moment(last: float, died_at: float, report_after: float) -> None:
    original, successor = in_map(100.0), LivenessDetector()
    successor.connection_started(1)
    at = 100.0 + last
    original.map_response(1, 1, at)
    reported = progress(at + died_at + report_after, last=at)
    original.progress(reported)
    successor.progress(reported)
    assert successor.deadline() == original.deadline()
    final = progress(at + LIMIT, last=at)
    original.progress(final)
    successor.progress(final)
    assert successor.expire(at + LIMIT) == original.expire(at + LIMIT)


moves = st.lists(
    st.tuples(st.sampled_from(["response", "report", "drip", "judge"]), st.floats(0.01, 60.0)), max_size=60
)


@given(moves)
def test_no_silence_is_declared_early_and_none_is_missed(trace: list[tuple[str, float]]) -> None:
    """`drip` stands for bytes that complete nothing: the connection reads them and can report nothing new."""
    detector, now, last, drained = in_map(100.0), 100.0, 100.0, 0.0
    for what, step in trace:
        now += step
        if what == "response":
            last = now
            detector.map_response(1, 1, now)
        elif what == "report":
            drained = now
            detector.progress(progress(now, last=last, drained=drained))
        for verdict in detector.expire(now):
            assert verdict.reason in {EndReason.SILENCE, EndReason.HUNG}
            assert now - last >= LIMIT
            assert verdict.silent_for == pytest.approx(now - last)
    end = max(now, last + LIMIT)
    detector.progress(progress(end, last=last, drained=end))
    assert reasons(detector.expire(end + 2.0)) == [EndReason.SILENCE]


@given(moves, st.integers(0, 2**32))
def test_reports_that_complete_nothing_never_delay_a_judgement(
    trace: list[tuple[str, float]], salt: int
) -> None:
    with_noise, without, now, last = in_map(100.0), in_map(100.0), 100.0, 100.0
    for index, (what, step) in enumerate(trace):
        now += step
        if what == "response":
            last = now
            with_noise.map_response(1, 1, now)
            without.map_response(1, 1, now)
        elif (salt >> (index % 32)) & 1:
            with_noise.progress(progress(now, last=last, drained=now))
    assert with_noise.silence_deadline() == without.silence_deadline() == last + LIMIT


@pytest.mark.parametrize("report", ["stage_entered", "map_response", "progress", "paused"])
def test_a_report_that_waited_does_not_revive_an_ended_connection(report: str) -> None:
    detector = in_map(100.0)
    detector.connection_ended(1)
    if report == "stage_entered":
        detector.stage_entered(1, 2, "map", 110.0, LIMIT)
    elif report == "map_response":
        detector.map_response(1, 2, 110.0)
    elif report == "progress":
        detector.progress(progress(110.0))
    else:
        detector.progress(progress(110.0, paused_since=105.0))
    assert detector.deadline() is None
    assert detector.silence_deadline() is None
    assert [verdict for now in range(110, 400) for verdict in detector.expire(float(now))] == []
    assert detector.foreign == 1
    detector.connection_started(3)
    detector.stage_entered(3, 1, "map", 400.0, LIMIT)
    assert detector.deadline() == 400.0 + LIMIT


def test_a_connection_that_was_ended_is_not_begun_again_by_a_word_that_was_late() -> None:
    detector = in_map(100.0)
    detector.connection_ended(2)
    detector.connection_started(2)
    detector.connection_started(1)
    detector.connection_ended(1)
    assert detector.connection.generation == 2
    assert detector.deadline() is None


@pytest.mark.parametrize("asleep", [40.0, 4000.0])
def test_a_pause_is_not_as_long_as_the_sleep_within_it(asleep: float) -> None:
    detector = in_map(100.0)
    detector.map_response(1, 1, 199.0)
    detector.progress(progress(200.0, last=199.0, drained=198.0, paused_since=200.0))
    woke = 205.0 + asleep
    assert detector.expire(woke) == [], "nobody was there to take anything"
    assert detector.deadline() == woke + 30.0
    detector.progress(progress(woke + 3.0, last=199.0, drained=198.0, paused_since=200.0))
    assert detector.expire(woke + 29.0) == []
    assert reasons(detector.expire(woke + 30.0)) == [PUBLISHER_PAUSED]


identities = st.tuples(st.integers(1, 4), st.integers(0, 3))
histories = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["started", "ended"]), identities),
        st.tuples(st.sampled_from(["stage", "response", "progress", "paused"]), identities),
        st.tuples(st.just("time"), st.tuples(st.integers(1, 200), st.just(0))),
    ),
    max_size=40,
)


@given(histories)
def test_only_the_newest_session_of_a_connection_that_lives_is_ever_judged(history: list) -> None:
    detector, now, ended, newest = LivenessDetector(), 100.0, 0, (0, 0)
    for what, (generation, session) in history:
        match what:
            case "started":
                detector.connection_started(generation)
                newest = max(newest, (generation, 0))
            case "ended":
                detector.connection_ended(generation)
                ended = max(ended, generation)
            case "stage":
                detector.stage_entered(generation, session, "map", now, LIMIT)
            case "response":
                detector.map_response(generation, session, now)
            case "progress" | "paused":
                since = now if what == "paused" else None
                detector.progress(
                    progress(now, generation=generation, session=session, since=now, paused_since=since)
                )
            case "time":
                now += generation
        if what in {"stage", "response", "progress", "paused"} and generation > ended:
            newest = max(newest, (generation, session))
        for _ in range(3):
            for verdict in detector.expire(now):
                assert verdict.generation > ended
                assert (verdict.generation, verdict.session) == newest
            now += 1.5
        if newest[0] <= ended:
            assert detector.deadline() is None
