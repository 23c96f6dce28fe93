"""The report for CI systems, validated against the schema and read as they read it."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
import xmlschema

from netmap_supervisor.devtools.client_check.outcome import CheckVerdict, ScenarioOutcome
from netmap_supervisor.devtools.client_check.report import junit_xml
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS
from tests.support.netmaps.check_outcomes import HOSTILE, RUN, attempt, hostile, outcome, silence

OURS = Path(__file__).parents[4] / "support" / "inputs" / "junit.xsd"
SCHEMAS = [OURS, *map(Path, filter(None, [os.environ.get("JUNIT_SCHEMA")]))]
"""`JUNIT_SCHEMA=FILE`: also against that one, such as junit-10.xsd of Jenkins' xUnit plugin."""
STRICT = msgspec.structs.replace(RUN, is_strict=True)
FAIL, PASS, WARN, FLAKY, SKIP, ERROR = (
    CheckVerdict(word) for word in ("fail", "pass", "warn", "flaky", "skip", "error")
)


@pytest.fixture(scope="module", params=SCHEMAS, ids=lambda path: path.name)
def schema(request: pytest.FixtureRequest) -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(request.param)


def flaky() -> ScenarioOutcome:
    attempts = (attempt(FAIL, "not back", log="/logs/one"), attempt(PASS, "back after 1 s", log="/logs/two"))
    return outcome("session/cut", FLAKY, "not back", attempts=attempts)


def twice() -> ScenarioOutcome:
    attempts = (attempt(FAIL, "not back"), attempt(FAIL, "not back either"))
    return outcome("session/goaway", FAIL, "not back", attempts=attempts)


def every_kind() -> list[ScenarioOutcome]:
    names = list(SCENARIOS)
    return [
        *(outcome(name, verdict) for name, verdict in zip(names, CheckVerdict, strict=False)),
        silence(),
        hostile(),
        flaky(),
        twice(),
        outcome("map/foreign-ping", SKIP, "no --peers-command", attempts=()),
        outcome("liveness/healthy", PASS, expected_failure="known"),
    ]


def case_of(one: ScenarioOutcome, run: object = RUN, **logs: str) -> ET.Element:
    found = ET.fromstring(junit_xml([one], run, logs)).find("testsuite/testcase")  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("run", [RUN, STRICT], ids=["usual", "strict"])
def test_every_report_is_valid(schema: xmlschema.XMLSchema, run: object) -> None:
    logs = {f"/logs/{HOSTILE}": f"{HOSTILE}\n\r\n\0\x0b\x0c\x85\n" + HOSTILE, "/logs/one": "panic\n"}
    schema.validate(ET.fromstring(junit_xml(every_kind(), run, logs)))  # type: ignore[arg-type]
    schema.validate(ET.fromstring(junit_xml([], run, {})))  # type: ignore[arg-type]
    for verdict in CheckVerdict:
        schema.validate(ET.fromstring(junit_xml([outcome("session/cut", verdict)], run, {})))  # type: ignore[arg-type]


@pytest.mark.parametrize("character", [*map(chr, range(0x100)), "\ud800", "\ufffe", "\uffff", "\U0001ffff"])
def test_no_character_of_a_client_makes_it_invalid(character: str) -> None:
    text = f"a{character}b"
    said = outcome("session/cut", FAIL, text, attempts=(attempt(FAIL, text, log=text, refused=text),))
    assert ET.fromstring(junit_xml([said], RUN, {text: text})).attrib["failures"] == "1"


def test_a_group_is_a_suite_and_totals_are_true() -> None:
    root = ET.fromstring(junit_xml(every_kind(), RUN, {}))
    suites = root.findall("testsuite")
    assert [suite.attrib["name"] for suite in suites] == list(
        dict.fromkeys(one.name.partition("/")[0] for one in every_kind())
    )
    for place in (root, *suites):
        cases = place.findall(".//testcase")
        assert len(cases) == int(place.attrib["tests"])
        for tag, total in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            if total in place.attrib:
                assert len(place.findall(f".//{tag}")) == int(place.attrib[total]), total
        assert sum(float(case.attrib["time"]) for case in cases) == pytest.approx(
            float(place.attrib["time"]), abs=0.01
        )
    first = suites[0].find("properties")
    assert first is not None
    assert {one.attrib["name"]: one.attrib["value"] for one in first} == {
        "command": "./client '{auth_key}'",
        "limit_s": "120",
        "strict": "false",
    }


def test_a_failure_has_its_timeline_and_its_log() -> None:
    case = case_of(silence(), **{"/logs/silence.log": "one\npanic: \x1b the end\n"})
    assert case.attrib == {
        "name": "liveness/silence",
        "classname": "check-client.liveness",
        "time": "138.235",
    }
    failure = case.find("failure")
    assert failure is not None
    assert failure.attrib == {"type": "MUST", "message": silence().seen}
    assert "     0.00  check     fault liveness/silence\n" in (failure.text or "")
    assert "refused: map request without a node key\n" in (failure.text or "")
    assert case.findtext("system-err") == "the end of /logs/silence.log:\none\npanic: \\x1b the end"


@pytest.mark.parametrize(
    ("verdict", "expected_failure", "usual", "strict"),
    [
        (PASS, "", [], []),
        (FAIL, "", ["failure"], ["failure"]),
        (WARN, "", ["system-out"], ["failure"]),
        (FLAKY, "", ["flakyFailure"], ["failure"]),
        (SKIP, "", ["skipped"], ["skipped"]),
        (ERROR, "", ["error"], ["error"]),
        (FAIL, "known", ["skipped"], ["skipped"]),
        (PASS, "known", ["system-out"], ["failure"]),
        (ERROR, "known", ["error"], ["error"]),
    ],
)
def test_each_verdict_as_ci_systems_know_it(
    verdict: CheckVerdict, expected_failure: str, usual: list[str], strict: list[str]
) -> None:
    attempts = (attempt(FAIL, "not back"), attempt(PASS, "back")) if verdict is FLAKY else None
    one = outcome("session/cut", verdict, attempts=attempts, expected_failure=expected_failure)
    assert [part.tag for part in case_of(one)] == usual
    assert [part.tag for part in case_of(one, STRICT)] == strict


def test_what_failed_again_and_what_passed_then() -> None:
    assert [(part.tag, part.attrib["message"]) for part in case_of(twice())] == [
        ("failure", "not back"),
        ("rerunFailure", "not back either"),
    ]
    case = case_of(flaky(), **{"/logs/one": "panic"})
    (again,) = case.findall("flakyFailure")
    assert again.attrib == {"type": flaky().level.value, "message": "not back"}
    assert "seen: not back" in again.findtext("stackTrace", "")
    assert case.findtext("system-err") == "the end of /logs/one:\npanic"


def test_an_unforeseen_pass_and_a_foreseen_failure_say_so() -> None:
    passed = outcome("session/cut", PASS, expected_failure="issue 210")
    assert "expected to fail: issue 210" in case_of(passed).findtext("system-out", "")
    failed = case_of(outcome("session/cut", FAIL, "not back", expected_failure="issue 210")).find("skipped")
    assert failed is not None
    assert failed.attrib["message"] == "expected to fail: issue 210; not back"
