"""Outcomes of a check, as a course of scenarios gives them."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import (
    Attempt,
    CheckVerdict,
    Reached,
    ScenarioOutcome,
    TimelineEvent,
)
from netmap_supervisor.devtools.client_check.report.check_run import CheckRun
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, Limits

RUN = CheckRun(["./client", "{auth_key}"], 120.0, "2026-11-23T17:00:00+00:00")
HOSTILE = "\x1b[31m\x00\x07日本語 \ufffe\uffff\udc80 <script src=http://192.0.2.1/>&]]>'\" \u202e" + "y" * 150


def event(at: float, connection: int | None, side: str, kind: str, detail: str = "") -> TimelineEvent:
    return TimelineEvent(at, connection, side, kind, detail)


def attempt(
    verdict: CheckVerdict,
    seen: str,
    timeline: tuple[TimelineEvent, ...] = (),
    log: str = "",
    refused: str = "",
) -> Attempt:
    return Attempt(verdict, seen, 138.2346, Reached.MAP, refused, {"watched": 1.0}, timeline, log)


def outcome(
    name: str,
    verdict: CheckVerdict,
    seen: str = "map session after 0.5 s",
    *,
    attempts: tuple[Attempt, ...] | None = None,
    expected_failure: str = "",
) -> ScenarioOutcome:
    row, limits = SCENARIOS[name], Limits()
    return ScenarioOutcome(
        name,
        row.level,
        row.does,
        row.expected(limits),
        row.why,
        row.sources,
        verdict,
        seen,
        (attempt(verdict, seen),) if attempts is None else attempts,
        expected_failure,
        row.bounds(limits),
    )


def silence() -> ScenarioOutcome:
    """A client that was never heard of again on the connection, but made another one that came to nothing."""
    seen = "asked nothing and made no new connection in 137.0 s"
    timeline = (
        event(0.0, None, "check", "started"),
        event(0.1, 1, "client", "accept", "127.0.0.1:9"),
        event(0.2, 1, "client", "key"),
        event(0.3, 1, "client", "upgrade"),
        event(0.4, 1, "client", "register", "auth key"),
        event(0.5, 1, "client", "map"),
        event(0.6, 1, "server", "sent", "9 peers"),
        event(1.0, None, "check", "fault", "liveness/silence"),
        event(121.0, 2, "client", "accept", "127.0.0.1:10"),
        event(121.1, 2, "client", "map"),
        event(121.2, 2, "server", "refused", "map request without a node key"),
    )
    refused = "map request without a node key"
    failed = attempt(CheckVerdict.FAIL, seen, timeline, "/logs/silence.log", refused)
    return outcome("liveness/silence", CheckVerdict.FAIL, seen, attempts=(failed,))


def hostile() -> ScenarioOutcome:
    """A client whose every word is meant to break the report."""
    timeline = (
        event(0.0, None, "check", "started"),
        event(1.0, 1, "client", HOSTILE, HOSTILE),
        event(1.0, 1, HOSTILE, "map", HOSTILE),
        event(2.0, None, "check", "fault", HOSTILE),
    )
    failed = attempt(CheckVerdict.FAIL, HOSTILE, timeline, f"/logs/{HOSTILE}", HOSTILE)
    return outcome(
        "session/cut", CheckVerdict.FAIL, HOSTILE, attempts=(failed,), expected_failure="because " + HOSTILE
    )
