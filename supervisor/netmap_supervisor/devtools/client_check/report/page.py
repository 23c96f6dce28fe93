"""The report as one page that needs nothing else: no script, no request, all text escaped."""

from __future__ import annotations

import base64
import hashlib
import shlex
from typing import TYPE_CHECKING, Final

from netmap_supervisor.devtools.client_check.course import is_failure
from netmap_supervisor.devtools.client_check.report.check_run import by_group, summary, verdict_counts
from netmap_supervisor.devtools.client_check.report.drawing import drawn, legend, quoted, shapes
from netmap_supervisor.devtools.client_check.report.lanes import lanes_of
from netmap_supervisor.devtools.client_check.report.page_style import VERDICT_SIGNS, style_sheet
from netmap_supervisor.devtools.client_check.report.timeline import counted, excerpt, fault_time, who, zero_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netmap_supervisor.devtools.client_check.outcome import (
        Attempt,
        CheckVerdict,
        ScenarioOutcome,
        TimelineEvent,
    )
    from netmap_supervisor.devtools.client_check.report.check_run import CheckRun

__all__ = ["report_page"]

_MOST_EVENTS: Final = 300


def report_page(outcomes: Sequence[ScenarioOutcome], run: CheckRun, logs: Mapping[str, str]) -> str:
    """HTML. `logs`: for the path of a log, the end of what is in it."""
    counts = {verdict: count for verdict, count in verdict_counts(outcomes).items() if count}
    groups = by_group(outcomes)
    style = style_sheet(list(counts))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(style)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer"><title>check-client</title>',
            f"<style>{style}</style></head><body>",
            shapes(),
            *_head(outcomes, run),
            *_filters(counts, len(outcomes)),
            *(part for group, members in groups.items() for part in _table(group, members)),
            "<h2>Each scenario</h2>",
            *(part for group in groups.values() for one in group for part in _scenario(one, logs)),
            "</body></html>\n",
        ]
    )


def _policy(style: str) -> str:
    """Nothing but this style sheet: whatever a client's text may hold, it makes no request."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _head(outcomes: Sequence[ScenarioOutcome], run: CheckRun) -> Iterator[str]:
    failures = sum(is_failure(one, strict=run.is_strict) for one in outcomes)
    count = f"{len(outcomes)} scenario{'' if len(outcomes) == 1 else 's'}"
    yield f"<h1>{f'{failures} of {count} failed' if failures else f'{count}, no failure'}</h1>"
    yield f"<p>{quoted(summary(outcomes))}{', strict' if run.is_strict else ''}</p>"
    told = (
        ("client", f"<code>{quoted(shlex.join(run.command))}</code>"),
        ("limit", f"{run.limit:g} s without a message"),
        ("started", quoted(run.started)),
    )
    yield f'<dl class="facts">{"".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in told)}</dl>'


def _filters(counts: Mapping[str, int], total: int) -> Iterator[str]:
    yield '<div class="choice">'
    for verdict, count in {"all": total, **counts}.items():
        checked = " checked" if verdict == "all" else ""
        yield (
            f'<span class="filter"><input class="choose" type="radio" name="show" id="show-{verdict}"{checked}>'
            f'<label class="chip" for="show-{verdict}">{verdict} {count}</label></span>'
        )
    yield "</div>"


def _table(group: str, members: Sequence[ScenarioOutcome]) -> Iterator[str]:
    kinds = " ".join(sorted({f"is-{one.verdict.value}" for one in members}))
    yield f'<section class="one {kinds}"><h2>{quoted(group)} <small>{quoted(summary(members))}</small></h2>'
    yield (
        '<table class="group"><tr><th class="name">scenario</th><th class="verdict">verdict</th>'
        '<th class="wide">a client</th><th>seen</th><th class="wide number">took</th></tr>'
    )
    for one in members:
        seen = quoted(one.seen)
        if one.expected_failure:
            seen += f" (expected to fail: {quoted(one.expected_failure)})"
        yield (
            f'<tr class="one is-{one.verdict.value}"><td class="name"><a href="#{_anchor(one)}">{quoted(one.name)}</a>'
            f'</td><td class="verdict">{_verdict(one.verdict)}</td><td class="wide">{quoted(one.expected)}</td>'
            f'<td>{seen}</td><td class="wide number">{one.took:.1f} s</td></tr>'
        )
    yield "</table></section>"


def _anchor(one: ScenarioOutcome) -> str:
    return quoted(one.name.replace("/", "."))


def _verdict(verdict: CheckVerdict) -> str:
    word = verdict.value
    return f'<span class="verdict v-{word}"><b aria-hidden="true">{VERDICT_SIGNS[word]}</b>{word}</span>'


def _scenario(one: ScenarioOutcome, logs: Mapping[str, str]) -> Iterator[str]:
    is_open = " open" if one.verdict.is_told else ""
    yield (
        f'<details class="scenario one is-{one.verdict.value}" id="{_anchor(one)}"{is_open}>'
        f"<summary>{_verdict(one.verdict)} <strong>{quoted(one.name)}</strong> "
        f'<span class="seen">{quoted(one.seen)}</span></summary><div><dl class="told">'
    )
    told = [
        ("the server", one.does),
        ("a client", one.expected),
        ("why", one.why),
        ("source", "; ".join(one.sources)),
        ("level", one.level.value),
        ("expected to fail", one.expected_failure),
    ]
    yield "".join(f"<dt>{name}</dt><dd>{quoted(text)}</dd>" for name, text in told if text)
    yield "</dl>"
    for number, attempt in enumerate(one.attempts, 1):
        if len(one.attempts) > 1:
            yield f"<h3>attempt {number}: {_verdict(attempt.verdict)}</h3>"
        yield from _attempt(one, attempt, logs)
    yield "</div></details>"


def _attempt(one: ScenarioOutcome, attempt: Attempt, logs: Mapping[str, str]) -> Iterator[str]:
    told = [
        ("seen", attempt.seen if len(one.attempts) > 1 else ""),
        ("reached", attempt.reached.value),
        ("refused", attempt.refused),
        ("log", attempt.log),
    ]
    yield '<dl class="told">'
    yield "".join(f"<dt>{name}</dt><dd>{quoted(text)}</dd>" for name, text in told if text)
    yield "</dl>"
    if attempt.timeline:
        kinds = {(event.side, event.kind): None for event in attempt.timeline}
        yield drawn(
            lanes_of(attempt.timeline, _bounds(one, attempt), attempt.took), f"{one.name}: {attempt.seen}"
        )
        yield (
            f'<p class="caption">Seconds after {zero_of(attempt.timeline)}. Above a line what the client did, below it '
            "what the server did.</p>"
        )
        yield legend(list(kinds))
        yield from _events(attempt.timeline)
    if end := logs.get(attempt.log, "").strip():
        lines = "\n".join(quoted(line) for line in end.splitlines())
        yield f'<details class="more"><summary>the end of the log</summary><pre>{lines}</pre></details>'


def _events(timeline: Sequence[TimelineEvent]) -> Iterator[str]:
    zero = fault_time(timeline) or 0.0
    count = f"{len(timeline)} event{'' if len(timeline) == 1 else 's'}"
    yield f'<details class="more"><summary>{count}</summary><div class="scroll"><table>'
    yield f"<tr><th>seconds after {zero_of(timeline)}</th><th>who</th><th>what</th></tr>"
    for item in excerpt(timeline, _MOST_EVENTS):
        if isinstance(item, tuple):
            yield f'<tr><td class="number">…</td><td></td><td>{len(item)} more: {quoted(counted(item))}</td></tr>'
        else:
            what = quoted(f"{item.kind} {item.detail}".rstrip())
            at = f"{item.at - zero:.2f}"
            yield f'<tr><td class="number">{at}</td><td>{quoted(who(item))}</td><td>{what}</td></tr>'
    yield "</table></div></details>"


def _bounds(one: ScenarioOutcome, attempt: Attempt) -> dict[str, float]:
    """The latest time has the seconds that this client took to join in it, as it is judged."""
    joined = attempt.facts.get("joined_after")
    more = joined if isinstance(joined, float) else 0.0
    return {name: at + more * (name == "latest") for name, at in one.bounds.items()}
