"""A history as lines: lanes over the time, what happened, and what came of it. Pure."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from netmap_actors.errors import escape
from netmap_actors.history.occurrences import Happening
from netmap_supervisor.view.lanes import ASCII, BLOCKS, draw, totals
from netmap_supervisor.view.text_layout import Column, fold, shortened, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.history.answers import Answer
    from netmap_actors.history.occurrences import Occurrence
    from netmap_actors.history.spans import Span

__all__ = ["lines"]

_WIDTH = 80
"""Cells where the output is no terminal."""
_NAME = 20
_TOTAL = 26
_COLUMNS = (
    Column("TIME"),
    Column("WHAT"),
    Column("WHO", rank=2, least=8, both_ends=True),
    Column("DETAIL", rank=1, least=12),
)
_SHOWN: dict[Happening, dict[str, str]] = {
    Happening.RUN_STARTED: {"version": "version ", "control_url": "of "},
    Happening.ACTOR_STARTED: {"pid": "pid "},
    Happening.ACTOR_EXITED: {"pid": "pid ", "reason": "", "detail": ""},
    Happening.SESSION_STARTED: {"pid": "pid ", "local": "from ", "remote": "to "},
    Happening.SESSION_ENDED: {"reason": "", "stage": "in stage ", "lived_s": "after ", "detail": ""},
    Happening.LOGIN_NEEDED: {},
    Happening.SILENCE: {"silent_for": "for "},
    Happening.WAKE: {"slept_s": "asleep for "},
    Happening.CLOCK_STEPPED: {"by_s": "by "},
    Happening.LINK_CHANGED: {"route": "", "before": "before: "},
    Happening.NETMAP_FRESH: {"reason": ""},
    Happening.NETMAP_STALE: {"reason": ""},
    Happening.DEGRADED: {"text": ""},
    Happening.RUN_STOPPED: {"reason": ""},
    Happening.NODE_ONLINE: {},
    Happening.NODE_OFFLINE: {},
    Happening.NODE_KEY_EXPIRING: {"expires": "at "},
}
"""What is shown of the details, and what stands before each; of other kinds everything, by name."""
_BEGINNINGS = frozenset({Happening.NETMAP_FRESH, Happening.NETMAP_STALE})
_SPANS = frozenset({"lived_s", "silent_for", "slept_s", "by_s"})
"""Details in seconds."""
_TRUST = {
    "session_started": "a new session",
    "session_ended": "the connection ended",
    "silence": "the control server fell silent",
    "gap": "a change was missed",
    "caught_up": "caught up with the publisher",
    "publisher_ended": "the publisher ended",
}
"""Why the netmap became fresh or stale."""
_FATES = {
    "left": (Happening.NODE_LEFT, {Happening.NODE_JOINED}),
    "went offline": (Happening.NODE_OFFLINE, {Happening.NODE_ONLINE, Happening.NODE_LEFT}),
    "joined": (Happening.NODE_JOINED, {Happening.NODE_LEFT}),
    "renamed": (Happening.NODE_RENAMED, {Happening.NODE_LEFT}),
    "key expired": (Happening.NODE_KEY_EXPIRED, {Happening.NODE_LEFT}),
    "key expires": (Happening.NODE_KEY_EXPIRING, {Happening.NODE_KEY_EXPIRED, Happening.NODE_LEFT}),
}
"""What a node can have come to, and what undoes it."""
_MAX_NAMED = 5


def lines(answer: Answer, width: int | None, *, blocks: bool, named: bool) -> Iterator[str]:
    """`width`: cells of a line, None for any. `blocks`: the terminal shows block characters. `named`: nodes were."""
    symbols = BLOCKS if blocks else ASCII
    wide = max(10, (width or _WIDTH) - _NAME - _TOTAL - 2)
    unseen = sum(gap.until - gap.since for gap in answer.gaps)
    length = answer.window.until - answer.window.since
    yield f"{_moment(answer.window.since)} to {_moment(answer.window.until)}" + (
        f", {_long(unseen)} of it not seen" if round(unseen) else ""
    )
    domain = _domain([node.name for node in answer.nodes] + [one.name for _, one in answer.occurrences])
    shown = [node for node in answer.nodes if named or len({span.state for span in node.spans}) > 1]

    def lane(name: str, spans: list[Span]) -> str:
        cells = draw(spans, answer.window, wide, symbols)
        told = ", ".join(f"{state} {_long(seconds)}" for state, seconds in totals(spans).items())
        return f"{shortened(name, _NAME, both_ends=True):<{_NAME}} {cells} {shortened(told, _TOTAL)}".rstrip()

    yield lane("netmap", answer.netmap)
    yield lane("connection", answer.connection)
    for node in shown:
        yield lane(_short(node.name, domain), node.spans)
    quiet = len(answer.nodes) - len(shown)
    if quiet:
        yield f"{quiet} node{'s' if quiet > 1 else ''} whose state did not change"
    if not answer.occurrences:
        return
    yield ""
    day = length > 20 * 3600.0
    rows = [
        (
            _moment(one.at) if day else _moment(one.at)[11:],
            _what(one),
            _short(one.name or one.subject, domain),
            _detail(one),
        )
        for _, one in sorted(answer.occurrences, key=lambda each: (each[1].at, each[0]))
    ]
    if answer.more:
        yield "older ones are left out: name a shorter time, a kind or a node"
    yield from table_lines(_COLUMNS, rows, width)
    yield ""
    for name, text in _outcome(answer, domain):
        yield from fold(f"{name:<13} ", text, width)


def _outcome(answer: Answer, domain: str) -> Iterator[tuple[str, str]]:
    """Last, where it is seen without scrolling: since when the netmap is what it is, or up to when it was seen, when it
    was not true and why, and who came or went; the newest first."""
    if answer.netmap:
        yield "netmap", _standing(answer)
    stale = [span for span in answer.netmap if span.state == "stale"]
    if stale:
        told = [
            f"{_moment(span.since)[11:]} for {_long(span.until - span.since)}"
            + (f" ({_trust_reason(span.detail['reason'])})" if span.detail.get("reason") else "")
            for span in stale[: -_MAX_NAMED - 1 : -1]
        ]
        yield "stale", _some(told, len(stale))
    for word, (kind, undone) in _FATES.items():
        nodes: dict[str, str] = {}
        for _, one in answer.occurrences:
            if one.kind == kind:
                nodes.pop(one.subject, None)  # it is the last one now
                nodes[one.subject] = _short(one.name or one.subject, domain)
            elif one.kind in undone:
                nodes.pop(one.subject, None)
        if nodes:
            yield word, _some([*nodes.values()][: -_MAX_NAMED - 1 : -1], len(nodes))


def _standing(answer: Answer) -> str:
    last = answer.netmap[-1]
    begun, ended = last.since, answer.window.since
    for span in reversed(answer.netmap[:-1]):
        if span.state != last.state or span.until < begun:
            ended = span.until
            break
        begun = span.since
    since = f"since {'before ' if begun <= answer.window.since else ''}{_moment(begun)}"
    told = any(one.at == begun and one.kind in _BEGINNINGS for _, one in answer.occurrences)
    if not told and any(ended <= gap.since and gap.until <= begun for gap in answer.gaps):
        since += " or before"
    if last.until >= answer.window.until:
        return f"{last.state} {since}"
    # Nobody has seen what came of it.
    return f"{last.state} {since} until {_moment(last.until)}, not seen since"


def _some(told: list[str], count: int) -> str:
    return ", ".join(told) + (f" and {count - len(told)} more" if count > len(told) else "")


def _trust_reason(reason: object) -> str:
    return _TRUST.get(str(reason), escape(str(reason)).replace("_", " "))


def _domain(names: list[str]) -> str:
    """What all these names end with from their first dot on, "" when they differ: it need not be said each time."""
    domains = {name.partition(".")[2] for name in names if name}
    return domains.pop() if len(domains) == 1 else ""


def _short(name: str, domain: str) -> str:
    return escape(name.removesuffix(f".{domain}") if domain else name)


def _what(one: Occurrence) -> str:
    return (
        str(one.kind).removeprefix("node_").replace("_", " ")
        if one.kind is not Happening.NODE_REMOVED
        else "node removed"
    )


def _detail(one: Occurrence) -> str:
    parts: list[str] = []
    wanted = _SHOWN.get(one.kind)
    for name, value in one.detail.items():
        if value in ("", None) or (wanted is not None and name not in wanted):
            continue
        if isinstance(value, dict) and value.keys() == {"from", "to"}:
            parts.append(f"{name} {_value(value['from'])} -> {_value(value['to'])}")
        else:
            lead = wanted[name] if wanted is not None else f"{name} "
            if one.kind in (Happening.NETMAP_FRESH, Happening.NETMAP_STALE):
                value = _trust_reason(value)  # noqa: PLW2901
            elif name in _SPANS and isinstance(value, int | float):
                value = _long(value)  # noqa: PLW2901
            parts.append(f"{lead}{_value(value)}")
    if one.kind is Happening.LOGIN_NEEDED:
        parts.append("`netmap-supervisor status` shows the address")
    if one.after is not None:
        lead = "nothing was seen" if one.kind is Happening.GAP else "at some time"
        parts.append(f"{lead} since {_moment(one.after)}" if one.after else f"{lead} before")
    return ", ".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "(" + " ".join(escape(str(one)) for one in value) + ")"
    return escape(str(value)) or "-"


def _moment(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _long(seconds: float) -> str:
    if seconds < 0:
        return f"-{_long(-seconds)}"
    if seconds >= 2 * 86400:
        return f"{seconds / 86400:.1f}d"
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f}h"
    if seconds >= 120:
        return f"{seconds / 60:.0f}m"
    return f"{seconds:.0f}s"
