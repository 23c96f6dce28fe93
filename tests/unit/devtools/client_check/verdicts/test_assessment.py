"""What a client did by planted histories, and the verdict on it with its sentence."""

from __future__ import annotations

import json

import msgspec
import pytest

from netmap_actors.dev_control.http.state import Seen
from netmap_supervisor.devtools.client_check.outcome import CheckVerdict, Level
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, Limits
from netmap_supervisor.devtools.client_check.verdicts.assessment import Assessment, assess
from netmap_supervisor.devtools.client_check.verdicts.observations import (
    Facts,
    Session,
    StepFact,
    Timeline,
    observe,
)

LIMITS = Limits()
STRUCK = 1000.0
JOINED = Facts(joined_after=0.5, watched=137.0, fed_until=137.0)


def seen(after: float, kind: str, connection: int = 1, detail: str = "") -> Seen:
    return Seen(STRUCK + after, connection, "127.0.0.1:9", kind, detail)


def moments(**given: object) -> Timeline:
    usual = {
        "started_at": STRUCK - 10.0,
        "joined_at": STRUCK - 9.0,
        "injected_at": STRUCK,
        "old": frozenset({1}),
    }
    return Timeline(**{**usual, "seen_until": STRUCK + 137.0, **given})  # type: ignore[arg-type]


def session(after: float, connection: int, alive: float = 137.0) -> Session:
    return Session(STRUCK + after, connection, STRUCK + alive)


# Observations


def test_a_new_connection_is_told_from_the_one_that_was_struck() -> None:
    events = [
        seen(-9.0, "accept"),
        seen(-8.9, "map"),
        seen(120.5, "reset"),
        seen(121.0, "accept", 2),
        seen(121.1, "upgrade", 2),
        seen(121.2, "map", 2),
        seen(121.3, "end", 1, "the client closed"),
    ]
    facts = observe(events, [session(-8.9, 1, alive=120.0), session(121.2, 2)], moments())
    assert facts == Facts(
        joined_after=1.0,
        watched=137.0,
        fed_until=pytest.approx(120.0),
        session_after=pytest.approx(121.2),
        connected_after=pytest.approx(121.0),
        new_connections=(pytest.approx(121.0),),
        closed_after=pytest.approx(121.3),
        closed_by="client",
        reset_after=pytest.approx(120.5),
        asked_after=pytest.approx(121.2),
        asked_by="map",
        attempts=(pytest.approx(121.2),),
        attempt_count=1,
        requests_on_new=1,
    )


def test_what_is_asked_on_the_dead_connection_is_no_session() -> None:
    facts = observe([seen(120.0, "reset"), seen(120.0, "map")], [session(-8.9, 1)], moments())
    assert facts.session_after is None
    assert facts.asked_on_old == (120.0,)
    # The request that a fault took is not one that came again.
    assert observe([seen(0.0, "map")], [], moments()).asked_on_old == ()
    answered = observe([seen(120.0, "map")], [session(-8.9, 1), session(120.0, 1)], moments())
    assert answered.session_on_old
    assert answered.connected_after is None


@pytest.mark.parametrize(
    ("detail", "who"),
    [
        ("the client closed", "client"),
        ("Connection reset by peer", "client"),
        ("fault cut", "server"),
        ("dropped", "server"),
        ("the client does not read", "server"),
        ("others need the place", "server"),
        ("a defect of this server: KeyError", "server"),
    ],
)
def test_who_closed_a_connection(detail: str, who: str) -> None:
    assert observe([seen(2.0, "end", 1, detail)], [], moments()).closed_by == who


def test_a_connection_of_several_that_closes_is_not_all_of_them() -> None:
    both = moments(old=frozenset({1, 2}))
    assert observe([seen(2.0, "end", 1)], [], both).closed_after is None
    assert observe([seen(2.0, "end", 1), seen(3.0, "end", 2)], [], both).closed_after == 3.0


def test_attempts_and_requests_end_when_the_fault_is_healed() -> None:
    events = [seen(at, kind, 2) for at in (1.0, 8.0, 61.0) for kind in ("upgrade", "map")]
    healed = moments(healed_at=STRUCK + 60.0, seen_until=STRUCK + 61.5)
    facts = observe(events, [session(1.0, 2, alive=1.1), session(61.0, 2, alive=61.5)], healed)
    assert (facts.attempts, facts.attempt_count, facts.requests_on_new) == ((1.0, 8.0), 2, 2)
    assert facts.back_after == 1.0
    # A session that was about to be cut when the fault was healed is not a return, one that lives on is.
    assert observe(events, [session(59.9, 2, alive=60.1)], healed).back_after is None
    assert observe(events, [session(59.9, 2, alive=61.0)], healed).back_after == 0.0
    assert observe(events, [], healed, "register").attempt_count == 0


def test_only_a_ping_that_was_not_answered_is_a_reason() -> None:
    pings = [seen(20.0, "ping"), seen(60.0, "ping", detail="unanswered")]
    assert observe(pings, [], moments()).pinged_after == 60.0
    assert observe(pings[:1], [], moments()).pinged_after is None


def test_what_did_not_happen_is_not_in_the_document() -> None:
    shown = Facts(joined_after=0.12345, attempts=(1.00049,)).document()
    assert shown["joined_after"] == 0.123
    assert shown["attempts"] == [1.0]
    assert "session_after" not in shown
    json.dumps(shown)


# Verdicts

NEW = {"session_after": 121.4, "connected_after": 121.3}
BACK = {"back_after": 4.0}
STEP = StepFact("adds birch", 1.2)


@pytest.mark.parametrize(
    ("name", "facts", "verdict", "said"),
    [
        ("join/first-map", {}, "pass", "map session after 0.5 s"),
        ("join/first-map", {"joined_after": None}, "fail", "did not join within 137.0 s"),
        ("liveness/silence", {"joined_after": None}, "error", "did not join within 137.0 s"),
        ("liveness/healthy", {}, "pass", "same connection and map session for 137.0 s"),
        (
            "liveness/healthy",
            {"session_after": 60.0, "connected_after": 59.0},
            "fail",
            "although nothing was wrong",
        ),
        (
            "liveness/healthy",
            {"asked_on_old": (3.0,)},
            "fail",
            "another map session on the same connection after 3.0 s",
        ),
        (
            "liveness/healthy",
            {"closed_after": 4.0, "closed_by": "client"},
            "fail",
            "closed by the client after 4.0 s",
        ),
        ("liveness/healthy", {"reset_after": 4.0}, "fail", "given up after 4.0 s"),
        (
            "liveness/healthy",
            {"fed_until": 7.0},
            "fail",
            "map session gone after 7.0 s, and no other in 137.0 s",
        ),
        ("liveness/clock-wrong", {"fed_until": None}, "fail", "map session gone after 0.0 s"),
        ("map/foreign-ping", {"foreign_calls": 1}, "warn", "called the other address, once"),
        ("map/foreign-ping", {}, "pass", "same connection"),
        ("liveness/silence", NEW, "pass", "new TCP connection after 121.3 s, map session after 121.4 s"),
        ("liveness/silence", {"session_after": 107.0, "connected_after": 106.9}, "warn", "1.0 s too soon"),
        (
            "liveness/silence",
            {"session_after": 80.0, "connected_after": 79.9, "pinged_after": 60.0},
            "pass",
            "its HTTP/2 PING after 60.0 s was not answered",
        ),
        (
            "liveness/silence",
            {"session_after": 80.0, "connected_after": 79.9, "pinged_after": 80.5},
            "warn",
            "28.0 s too soon",
        ),
        ("liveness/black-hole", {"session_after": 3.0, "connected_after": 2.9}, "pass", "after 2.9 s"),
        ("liveness/silence", {"session_after": 138.5, "connected_after": 137.5}, "fail", "1.0 s too late"),
        (
            "liveness/silence",
            {"session_after": 146.9, "connected_after": 1.0, "joined_after": 10.0},
            "pass",
            "146.9 s",
        ),
        (
            "liveness/silence",
            {"asked_on_old": (120.0,)},
            "fail",
            "asked again on the same dead connection after 120.0 s, no new one in 137.0 s",
        ),
        ("liveness/silence", {}, "fail", "asked nothing and made no new connection in 137.0 s"),
        ("liveness/silence", {"reset_after": 120.0}, "fail", "gave the request up after 120.0 s"),
        ("liveness/silence", {"new_connections": (120.0,)}, "fail", "but no map session in 137.0 s"),
        ("liveness/half-frame", {"session_after": 121.0, "session_on_old": True}, "warn", "and was answered"),
        ("liveness/half-frame", {"session_after": 138.0, "session_on_old": True}, "fail", "and was answered"),
        (
            "input/bad-json",
            {"session_after": 1.0, "session_on_old": True},
            "pass",
            "ended the session at once",
        ),
        ("input/bad-json", NEW, "pass", "by its watchdog"),
        (
            "input/bad-json",
            {"session_after": 42.0, "reset_after": 41.0},
            "pass",
            "ended the session after 41.0 s",
        ),
        (
            "liveness/black-hole",
            {},
            "fail",
            "no new connection in 137.0 s; what is asked on the dead one gets lost",
        ),
        ("input/bad-json", {}, "fail", "asked nothing"),
        ("input/zstd-bomb", {"session_after": 138.0, "connected_after": 0.5}, "fail", "too late"),
        ("session/goaway", {"session_after": 1.0, "connected_after": 0.5}, "pass", "after 0.5 s"),
        ("session/goaway", {"session_after": 61.0, "connected_after": 0.5}, "warn", "after 61.0 s"),
        ("session/goaway", {"session_after": 138.0, "connected_after": 0.5}, "fail", "after 138.0 s"),
        ("session/rst-stream", {}, "fail", "no new connection"),
        (
            "identity/deleted-but-fed",
            {"asked_after": 600.0, "asked_by": "register"},
            "pass",
            "registered anew",
        ),
        ("identity/deleted-but-fed", {"asked_after": 666.0, "asked_by": "read"}, "warn", "after 666.0 s"),
        ("identity/deleted-but-fed", {}, "warn", "asked nothing in 137.0 s"),
        (
            "refusal/status-500",
            {"attempt_count": 20, **BACK},
            "pass",
            "20 map requests while it was refused; back after",
        ),
        ("refusal/status-500", {"attempt_count": 21, **BACK}, "warn", "20 are enough"),
        ("refusal/status-500", {"attempt_count": 201, **BACK}, "fail", "20 are enough"),
        ("refusal/status-500", {"attempt_count": 1}, "fail", "not back"),
        ("refusal/status-500", BACK, "warn", "did not ask"),
        ("refusal/status-500", {}, "fail", "did not ask while it was refused; not back"),
        ("refusal/status-500", {"attempt_count": 1, "back_after": 121.0}, "fail", "back after 121.0 s"),
        (
            "refusal/status-429",
            {"attempt_count": 2, "attempts": (1.0, 8.0), **BACK},
            "pass",
            "at least 7.0 s apart",
        ),
        (
            "refusal/status-429",
            {"attempt_count": 2, "attempts": (1.0, 7.0), **BACK},
            "warn",
            "at least 6.0 s apart",
        ),
        (
            "register/null",
            {"attempt_count": 1, **BACK, "joined_after": None},
            "pass",
            "1 register request while",
        ),
        (
            "identity/server-key-changed",
            {"attempt_count": 40, **BACK},
            "pass",
            "no request on 40 connections",
        ),
        ("identity/server-key-changed", {"attempt_count": 41, **BACK}, "warn", "40 are enough"),
        ("identity/server-key-changed", {"attempt_count": 401, **BACK}, "fail", "40 are enough"),
        (
            "identity/server-key-changed",
            {"attempt_count": 1, "requests_on_new": 2, **BACK},
            "warn",
            "asked for the key anew and trusted it, 2 times, over plain http",
        ),
        (
            "identity/server-key-changed",
            {"attempt_count": 1, "requests_on_new": 2, "secure": True, **BACK},
            "pass",
            "over TLS",
        ),
        ("identity/server-key-changed", {"attempt_count": 1}, "fail", "not back"),
        ("identity/server-key-changed", BACK, "warn", "did not try"),
        (
            "map/peers-removed",
            {"steps": (STEP, STEP)},
            "pass",
            "as expected after each step (adds birch: 1.2 s,",
        ),
        (
            "map/peers-removed",
            {"steps": (STEP, msgspec.structs.replace(STEP, after=20.0, said="birch is still listed"))},
            "fail",
            "20.0 s after step 2 (the server adds birch): birch is still listed",
        ),
        (
            "map/peers-removed",
            {"steps": (msgspec.structs.replace(STEP, said="early", level=Level.SHOULD), STEP)},
            "warn",
            "step 1 (the server adds birch): early",
        ),
        (
            "map/peers-removed",
            {
                "steps": (
                    msgspec.structs.replace(STEP, said="early", level=Level.SHOULD),
                    msgspec.structs.replace(STEP, said="grave"),
                )
            },
            "fail",
            "step 2 (the server adds birch): grave",
        ),
        (
            "map/peers-removed",
            {"steps": (msgspec.structs.replace(STEP, said="does not say who is online", unknown=True),)},
            "skip",
            "does not say who is online",
        ),
    ],
)
def test_a_verdict_with_its_sentence(name: str, facts: dict[str, object], verdict: str, said: str) -> None:
    found = assess(SCENARIOS[name], LIMITS, msgspec.structs.replace(JOINED, **facts))  # type: ignore[arg-type]
    assert (found.verdict.value, said in found.seen) == (verdict, True), found


def test_a_client_that_ended_failed_if_it_had_joined_before() -> None:
    ended = "the client ended by itself after 3.0 s, exit status 1: panic"
    assert assess(SCENARIOS["input/zstd-bomb"], LIMITS, JOINED, ended) == Assessment(CheckVerdict.FAIL, ended)
    assert assess(SCENARIOS["input/zstd-bomb"], LIMITS, Facts(), ended) == Assessment(
        CheckVerdict.ERROR, ended
    )
    assert assess(SCENARIOS["join/first-map"], LIMITS, Facts(), ended) == Assessment(CheckVerdict.FAIL, ended)


def test_who_never_asked_was_not_tried() -> None:
    """One that is refused from its beginning cannot join: to have asked is what counts."""
    ended = "the client ended by itself after 0.1 s, exit status 1"
    assert assess(SCENARIOS["register/null"], LIMITS, Facts(), ended) == Assessment(CheckVerdict.ERROR, ended)
    silent = assess(SCENARIOS["register/null"], LIMITS, Facts(watched=30.0))
    assert silent == Assessment(CheckVerdict.ERROR, "did not ask to be registered within 30.0 s")
    asked = Facts(watched=30.0, attempts=(0.0,), attempt_count=1)
    assert assess(SCENARIOS["register/null"], LIMITS, asked, ended) == Assessment(CheckVerdict.FAIL, ended)
