"""`check-client` without server and client: planted histories, observations of them, and the verdicts."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from netmap_actors.clock import SystemClock
from netmap_actors.dev_control.http.state import Seen
from netmap_supervisor.cli import main
from netmap_supervisor.devtools.client_check.attempt import run_attempt
from netmap_supervisor.devtools.client_check.outcome import CheckVerdict, Level
from netmap_supervisor.devtools.client_check.place.client import Client, filled_in
from netmap_supervisor.devtools.client_check.place.log import BEGINNING, END
from netmap_supervisor.devtools.client_check.place.place import Settings
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, Limits
from netmap_supervisor.devtools.client_check.verdicts.assessment import Assessment, assess
from netmap_supervisor.devtools.client_check.verdicts.observations import (
    Facts,
    Session,
    StepFact,
    Timeline,
    observe,
)
from tests.support.waiting import wait_for

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


# The witness


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
            {"steps": (STEP, dataclasses.replace(STEP, after=20.0, said="birch is still listed"))},
            "fail",
            "20.0 s after step 2 (the server adds birch): birch is still listed",
        ),
        (
            "map/peers-removed",
            {"steps": (dataclasses.replace(STEP, said="early", level=Level.SHOULD), STEP)},
            "warn",
            "step 1 (the server adds birch): early",
        ),
        (
            "map/peers-removed",
            {
                "steps": (
                    dataclasses.replace(STEP, said="early", level=Level.SHOULD),
                    dataclasses.replace(STEP, said="grave"),
                )
            },
            "fail",
            "step 2 (the server adds birch): grave",
        ),
        (
            "map/peers-removed",
            {"steps": (dataclasses.replace(STEP, said="does not say who is online", unknown=True),)},
            "skip",
            "does not say who is online",
        ),
    ],
)
def test_a_verdict_with_its_sentence(name: str, facts: dict[str, object], verdict: str, said: str) -> None:
    found = assess(SCENARIOS[name], LIMITS, dataclasses.replace(JOINED, **facts))  # type: ignore[arg-type]
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


# The client as a process


def test_only_known_braces_are_filled_in() -> None:
    assert filled_in(["{url}/{x}", "a{dir}b{dir}", "{}"], {"url": "u", "dir": "d"}) == ["u/{x}", "adbd", "{}"]


def test_its_whole_group_is_ended_and_its_last_words_are_kept(tmp_path: Path) -> None:
    client = Client(
        ["sh", "-c", 'sleep 100 & echo $! > "$1"; echo "at $NETMAP_CHECK_URL"; wait', "sh", "{dir}/pid"],
        {"url": "http://there", "dir": str(tmp_path)},
        tmp_path / "log",
        SystemClock(),
    )
    number = wait_for(
        lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 10.0, "its child"
    )
    wait_for(lambda: "at http://there" in client.last_words(), 10.0, "its words")
    assert client.ended() == ""
    client.end()
    # It may stay a zombie where nobody reaps orphans.
    wait_for(lambda: not _lives(int(number)), 10.0, "the end of its child")


def test_who_prints_without_end_fills_no_disk_and_is_not_held_up(tmp_path: Path) -> None:
    noise = f"print('begin', flush=True); print('x' * {BEGINNING + (5 << 20)}); print('panic: the end')"
    client = Client([sys.executable, "-c", noise], {}, tmp_path / "log", SystemClock())
    assert wait_for(client.ended, 20.0, "its end").endswith(": panic: the end")
    client.end()
    written = (tmp_path / "log").read_bytes()
    assert written.startswith(b"begin\n")
    assert written.endswith(b"panic: the end\n")
    assert re.search(rb"\.\.\. \d{7} bytes left out \.\.\.", written)
    assert len(written) < BEGINNING + END + 100


def test_what_is_a_little_too_long_is_whole(tmp_path: Path) -> None:
    text = "".join(f"{number}\n" for number in range(3 << 20))[: BEGINNING + 1000]
    (tmp_path / "text").write_text(text)
    client = Client(["cat", str(tmp_path / "text")], {}, tmp_path / "log", SystemClock())
    wait_for(client.ended, 20.0, "its end")
    client.end()
    assert (tmp_path / "log").read_text() == text


def _lives(pid: int) -> bool:
    try:
        return " Z " not in (Path("/proc") / str(pid) / "stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/nonexistent/client",), "cannot start /nonexistent/client: No such file or directory"),
        (("sh", "-c", "echo one; echo panic >&2; exit 3"), "exit status 3: one / panic"),
        (("sh", "-c", "kill -9 $$"), "signal 9"),
        (("sleep", "100"), "did not join within 1 s; the server saw nothing of it"),
    ],
)
def test_a_client_that_is_no_client_is_a_verdict(tmp_path: Path, command: tuple[str, ...], said: str) -> None:
    held = run_attempt(
        SCENARIOS["liveness/silence"],
        Settings(command, Limits(join=1.0), tmp_path),
        tmp_path / "log",
        threading.Event(),
    )
    assert held is not None
    assert held.verdict is CheckVerdict.ERROR
    assert said in held.seen
    assert held.never_started == (command[0] == "/nonexistent/client")


def test_an_interrupted_trial_has_no_outcome(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    settings = Settings(("sleep", "100"), Limits(), tmp_path)
    assert run_attempt(SCENARIOS["liveness/silence"], settings, tmp_path / "log", stop) is None


# The command


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "a client is needed"),
        (
            ["--scenario", "nonsense", "--", "x"],
            2,
            "is no scenario and no group; the groups are join, liveness",
        ),
        (["--scenario", "half_frame", "--", "x"], 2, "did you mean liveness/half-frame?"),
        (["--expected-failures", "/nonexistent/x", "--", "x"], 1, "cannot read /nonexistent/x: No such file"),
        (["--peers-command", 'a "', "--", "x"], 2, "No closing quotation"),
        (["--limit", "1s", "--", "x"], 2, "--limit"),
        (
            ["--json", "/nonexistent/x", "--", "x"],
            1,
            "cannot write /nonexistent/x: there is no directory /nonexistent",
        ),
        (["--junit", "/nonexistent/x", "--", "x"], 1, "cannot write /nonexistent/x"),
        (["--html", "/dev/null", "--", "x"], 1, "cannot write /dev/null: it is no regular file"),
        (["--output", "/dev/null/x", "--", "x"], 1, "cannot keep logs in /dev/null/x"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-client", *arguments]) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_expected_failures_are_read_before_anything_starts_and_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "known"
    arguments = [
        "check-client",
        "--scenario=join",
        f"--expected-failures={known}",
        "--",
        "sh",
        "-c",
        "exit 7",
    ]
    known.write_text("join/frist-map = it ends at once")
    assert main(arguments) == 2
    assert "line 1: 'join/frist-map' is no scenario; did you mean join/first-map?" in " ".join(
        capsys.readouterr().err.split()
    )
    known.write_text("join/first-map = it ends at once")
    assert main(arguments) == 0
    assert "1 fail" in capsys.readouterr().out


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-client", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SCENARIOS)


def test_a_failed_course_names_its_logs_and_writes_its_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    arguments = ["check-client", "--scenario", "join/first-map", "--output", str(tmp_path / "logs")]
    arguments += [f"--{kind}={path}" for kind, path in places.items()]
    assert main([*arguments, "--", "sh", "-c", "printf 'no\\033[31m\\377\\n'; exit 7", "{auth_key}"]) == 1
    shown = capsys.readouterr()
    assert "1 fail" in shown.out
    assert "join/first-map: fail" in shown.out, "what there is to know stands below the table"
    assert str(tmp_path / "logs") in shown.err
    assert "1 scenario, at most about 30 s" in shown.err
    assert "    1/1  fail   join/first-map: " in shown.err
    made = json.loads(places["json"].read_text())
    assert made["command"] == ["sh", "-c", "printf 'no\\033[31m\\377\\n'; exit 7", "{auth_key}"]
    assert made["scenarios"][0]["verdict"] == "fail"
    assert made["strict"] is False
    assert "no\ufffd" in ET.parse(places["junit"]).findtext("testsuite/testcase/system-err", "")
    assert "1 of 1 scenario failed" in places["html"].read_text()
    assert "devkey" not in "".join(path.read_text() for path in places.values())
    assert (tmp_path / "logs" / "join.first-map.log").read_bytes() == b"no\x1b[31m\xff\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "logs",
        *sorted(path.name for path in places.values()),
    ]
