"""The report for CI systems: JUnit's XML, as Jenkins' xUnit plugin describes it (its schema junit-10.xsd).

A SHOULD that is not done is a passed case with words, under --strict a failure; what failed once and then passed is
Maven Surefire's flakyFailure; a failure that is expected is skipped, as pytest's xfail is.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from netmap_supervisor.devtools.client_check.course import is_failure
from netmap_supervisor.devtools.client_check.outcome import CheckVerdict
from netmap_supervisor.devtools.client_check.report.check_run import by_group, group_of, visible
from netmap_supervisor.devtools.client_check.report.timeline import timeline_lines, zero_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netmap_supervisor.devtools.client_check.outcome import Attempt, ScenarioOutcome
    from netmap_supervisor.devtools.client_check.report.check_run import CheckRun

__all__ = ["junit_xml"]

_MOST_EVENTS: Final = 200
_WORSE: Final = (CheckVerdict.FAIL, CheckVerdict.WARN, CheckVerdict.FLAKY)


def junit_xml(outcomes: Sequence[ScenarioOutcome], run: CheckRun, logs: Mapping[str, str]) -> bytes:
    """UTF-8. `logs`: for the path of a log, the end of what is in it."""
    groups = by_group(outcomes)
    root = Element("testsuites", {"name": "check-client", **_counts(outcomes, run)})
    for number, (group, members) in enumerate(groups.items()):
        of = {"name": group, "id": str(number), "package": "check-client", "timestamp": run.started}
        skipped = sum(_is_skipped(one) for one in members)
        suite = SubElement(root, "testsuite", of | _counts(members, run) | {"skipped": str(skipped)})
        properties = SubElement(suite, "properties")
        for name, value in _properties(run):
            SubElement(properties, "property", name=name, value=visible(value))
        for one in members:
            suite.append(_case(one, run, logs))
    indent(root)
    made: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


def _properties(run: CheckRun) -> Iterator[tuple[str, str]]:
    yield "command", shlex.join(run.command)
    yield "limit_s", f"{run.limit:g}"
    yield "strict", "true" if run.is_strict else "false"


def _counts(outcomes: Sequence[ScenarioOutcome], run: CheckRun) -> dict[str, str]:
    errors = sum(one.verdict is CheckVerdict.ERROR for one in outcomes)
    failures = sum(is_failure(one, strict=run.is_strict) for one in outcomes) - errors
    took = sum(one.took for one in outcomes)
    return {
        "tests": str(len(outcomes)),
        "failures": str(failures),
        "errors": str(errors),
        "time": f"{took:.3f}",
    }


def _is_skipped(one: ScenarioOutcome) -> bool:
    return one.verdict is CheckVerdict.SKIP or (bool(one.expected_failure) and one.verdict in _WORSE)


def _case(one: ScenarioOutcome, run: CheckRun, logs: Mapping[str, str]) -> Element:
    classname = f"check-client.{group_of(one)}"
    case = Element("testcase", name=one.name, classname=classname, time=f"{one.took:.3f}")
    seen = visible(one.seen)
    unforeseen = f"passes although it is expected to fail: {visible(one.expected_failure)}"
    if _is_skipped(one):
        expected = f"expected to fail: {visible(one.expected_failure)}; " if one.expected_failure else ""
        SubElement(case, "skipped", message=expected + seen)
    elif one.verdict is CheckVerdict.ERROR:
        SubElement(case, "error", type="error", message=seen).text = _told(one, one.attempts[:1])
    elif is_failure(one, strict=run.is_strict):
        message = unforeseen if one.verdict is CheckVerdict.PASS else seen
        failure = SubElement(case, "failure", type=one.level.value, message=message)
        failure.text = _told(one, one.attempts[:1])
        if one.verdict is CheckVerdict.FLAKY:
            failure.text += f"\n{one.verdict.value}: it passed when it was run again alone"
        for again in one.attempts[1:]:
            if again.verdict is not CheckVerdict.PASS:
                _again(case, "rerunFailure", one, again)
    elif one.verdict is CheckVerdict.FLAKY:
        for failed in one.attempts:
            if failed.verdict is not CheckVerdict.PASS:
                _again(case, "flakyFailure", one, failed)
    elif one.verdict is CheckVerdict.WARN:
        SubElement(case, "system-out").text = _told(one, one.attempts[:1])
    elif one.verdict is CheckVerdict.PASS and one.expected_failure:
        SubElement(case, "system-out").text = unforeseen
    if one.verdict is not CheckVerdict.PASS:
        ends = [(attempt.log, logs[attempt.log]) for attempt in one.attempts if logs.get(attempt.log)]
        if ends:
            lines = [line for path, end in ends for line in (f"the end of {path}:", *end.splitlines())]
            SubElement(case, "system-err").text = "\n".join(map(visible, lines))
    return case


def _again(case: Element, tag: str, one: ScenarioOutcome, attempt: Attempt) -> None:
    element = SubElement(case, tag, type=one.level.value, message=visible(attempt.seen))
    SubElement(element, "stackTrace").text = _told(one, (attempt,))


def _told(one: ScenarioOutcome, attempts: Sequence[Attempt]) -> str:
    """All there is to know, as lines."""
    lines = [
        f"the server {one.does}",
        f"a client {one.expected}",
        f"seen: {one.seen}",
        f"why: {one.why}",
        f"source: {'; '.join(one.sources)}",
    ]
    for attempt in attempts:
        lines.append(f"reached: {attempt.reached.value}")
        if attempt.refused:
            lines.append(f"refused: {attempt.refused}")
        if attempt.log:
            lines.append(f"log: {attempt.log}")
        if attempt.timeline:
            lines.append(f"timeline, seconds after {zero_of(attempt.timeline)}:")
            lines += timeline_lines(attempt.timeline, _MOST_EVENTS)
    return "\n".join(visible(line) for line in lines)
