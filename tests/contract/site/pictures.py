"""The drawn pictures, made of the program's own tables and machines, for light pages and dark ones."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from bench.report.drawing import FONT, NAMESPACE
from netmap_actors.confinement.permissions import ROWS
from netmap_actors.liveness.detector import LivenessDetector
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import ActorName, Stage
from netmap_supervisor.supervision.child_machine import TABLE, Action, ChildState
from tests.contract.test_house import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["pictures", "verdict_of_silence"]

STYLE = """\
.page{fill:#fcfcfb;stroke:#e1e0d9}.box{fill:#fff;stroke:#898781}.ours{stroke:#2a78d6;stroke-width:1.5}
.maybe{stroke-dasharray:4 3}.group{fill:none;stroke:#c3c2b7;stroke-dasharray:2 3}.line{fill:none;stroke:#6d6b66}
.head{fill:#6d6b66}.orders{fill:none;stroke:#eb6834;stroke-dasharray:4 3}.orders-head{fill:#eb6834}
text{fill:#52514e;font-size:13px}.name{fill:#0b0b0b;font-weight:600;font-size:14px}.small{font-size:12px}
.middle{text-anchor:middle}.end{text-anchor:end}
.good{fill:#1baf7a}.old{fill:#eb9a34}.bad{fill:#d9480f}.calm{fill:#9db8d6}.on{fill:#0b0b0b;font-weight:600}
@media (prefers-color-scheme:dark){
.page{fill:#1a1a19;stroke:#383835}.box{fill:#242422;stroke:#898781}.ours{stroke:#3987e5}.group{stroke:#52514e}
.line{stroke:#a3a19a}.head{fill:#a3a19a}text{fill:#c3c2b7}.name{fill:#fff}.calm{fill:#86a5cc}
.orders{stroke:#e0733f}.orders-head{fill:#e0733f}.good{fill:#199e70}.on{fill:#0b0b0b}
}"""


def pictures() -> dict[Path, str]:
    """Every picture with its text."""
    folder = ROOT / "docs" / "explanation"
    drawn = {"processes": _processes(), "life-of-a-child": _life(), "silence": _silence()}
    return {folder / f"{name}.svg": text for name, text in drawn.items()}


def _svg(title: str, width: int, height: int, body: Iterator[str]) -> str:
    lines = [
        f"<svg xmlns='{NAMESPACE}' {FONT} role='img' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>",
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        "<defs>",
        *(
            f"<marker id='{name}' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' "
            f"orient='auto-start-reverse'><path class='{name}' d='M0 0L8 4L0 8z'/></marker>"
            for name in ("head", "orders-head")
        ),
        "</defs>",
        f"<rect class='page' x='0.5' y='0.5' width='{width - 1}' height='{height - 1}' rx='8'/>",
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f"<text x='{x:g}' y='{y:g}' class='{kind}'>{escape(words)}</text>"


def _arrow(path: str, kind: str = "line", *, both: bool = False) -> str:
    head = "head" if kind == "line" else f"{kind}-head"
    start = f" marker-start='url(#{head})'" if both else ""
    return f"<path class='{kind}' d='{path}' marker-end='url(#{head})'{start}/>"


# The processes: the rows of permissions.


class _Place(NamedTuple):
    x: int
    y: int
    does: str


BOX_WIDTH, BOX_HEIGHT = 190, 62
PLACES = {
    "supervisor": _Place(185, 40, "starts, watches, kills"),
    ActorName.DEV_CONTROL: _Place(185, 350, "embedded control server"),
    ActorName.CONNECTION: _Place(185, 150, "one TCP connection"),
    ActorName.LIVENESS: _Place(430, 150, "when is it dead?"),
    ActorName.PUBLISHER: _Place(185, 260, "the netmap"),
    "view": _Place(430, 350, "the table of run"),
    ActorName.HISTORY: _Place(430, 260, "what happened, in SQLite"),
    ActorName.HTTP_ENDPOINT: _Place(660, 150, "the netmap over HTTP"),
    ActorName.WEBHOOKS: _Place(660, 260, "tells others"),
}
"""Of each row of permissions; a new one has to get its own."""
NEEDED = {"supervisor", ActorName.CONNECTION, ActorName.LIVENESS, ActorName.PUBLISHER}
OUTSIDE = {
    "control server": (10, 181),
    "your programs": (10, 291),
    "browsers,|Prometheus": (896, 181),
    "receivers": (896, 291),
}


def _reach(network: str) -> str:
    first = network.split(maxsplit=1)[0]
    return {"none": "no network", "connects": "connects out", "listens": "may listen", "serves": "serves"}[
        first
    ]


def _processes() -> str:
    def body() -> Iterator[str]:
        yield "<rect class='group' x='165' y='20' width='705' height='412' rx='10'/>"
        for name, row in ROWS.items():
            place = PLACES[name]
            kind = "box ours" if name in NEEDED else "box maybe"
            wide = 665 if name == "supervisor" else BOX_WIDTH
            yield f"<rect class='{kind}' x='{place.x}' y='{place.y}' width='{wide}' height='{BOX_HEIGHT}' rx='6'/>"
            middle = place.x + wide / 2
            shown = {"supervisor": "Supervisor", "view": "view"}.get(name, name)
            yield _text(middle, place.y + 20, shown, "name middle")
            yield _text(middle, place.y + 37, place.does, "middle")
            files = "writes files" if "writes" in row.files else "writes no file"
            yield _text(middle, place.y + 53, f"{_reach(row.network)} · {files}", "small middle")
        for words, (x, y) in OUTSIDE.items():
            for number, line in enumerate(words.split("|")):
                yield _text(x, y + 4 + 15 * number, line, "name")
        yield _arrow("M132 181H183", both=True)
        yield _arrow("M375 181H428")
        yield _text(402, 174, "when", "small middle")
        yield _arrow("M280 212V258")
        yield _text(288, 240, "what", "small")
        yield _arrow("M185 291H136")
        yield _arrow("M375 291H428")
        yield _arrow("M620 291H658")
        yield _arrow("M375 274C430 236 600 240 658 204")
        yield _arrow("M350 322C360 350 390 368 428 376")
        yield _arrow("M850 181H892", both=True)
        yield _arrow("M850 291H892")
        yield _arrow("M525 150V104", "orders")
        yield _text(533, 131, "verdict", "small")
        yield _arrow("M280 104V148", "orders")
        yield _text(288, 131, "kills, starts anew", "small")
        yield _text(
            24,
            454,
            "Solid: always there. Dashed: when it is wanted. The Supervisor starts and watches every other one.",
            "small",
        )

    return _svg("The processes of a run, and who tells whom what", 1000, 468, body())


# The life of a child: the table of its machine.

STATES = [ChildState.BACKOFF, ChildState.STARTING, ChildState.RUNNING, ChildState.STOPPING, ChildState.KILLED]
"""From left to right, above INACTIVE."""
STATE_WIDTH, STEP, ROW, GROUND = 112, 186, 168, 318


def _moves() -> dict[tuple[ChildState, ChildState], list[str]]:
    """(from, to): what leads there. What changes nothing and asks for nothing is left out."""
    found: dict[tuple[ChildState, ChildState], list[str]] = {}
    for state, row in TABLE.items():
        for event, (action, after) in row.items():
            if after is not state or action is not Action.NOTHING:
                found.setdefault((state, after), []).append(event.value)
    return found


def _life() -> str:
    left = {state: 36 + STEP * place for place, state in enumerate(STATES)}

    def body() -> Iterator[str]:
        for state, x in left.items():
            yield f"<rect class='box ours' x='{x}' y='{ROW}' width='{STATE_WIDTH}' height='40' rx='6'/>"
            yield _text(x + STATE_WIDTH / 2, ROW + 25, state.value, "name middle")
        wide = left[STATES[-1]] + STATE_WIDTH - 36
        yield f"<rect class='box' x='36' y='{GROUND}' width='{wide}' height='40' rx='6'/>"
        yield _text(36 + wide / 2, GROUND + 25, f"{ChildState.INACTIVE.value}: no process", "name middle")
        for (before, after), events in _moves().items():
            yield from _move(left, before, after, ", ".join(events))
        yield _text(
            36,
            392,
            "An event that changes nothing is not drawn. limit: the time of a state is over.",
            "small",
        )

    return _svg(
        "The life of a child: states, and the events that lead from one to the other", 930, 408, body()
    )


def _move(left: dict[ChildState, int], before: ChildState, after: ChildState, words: str) -> Iterator[str]:
    if ChildState.INACTIVE in {before, after}:
        down = after is ChildState.INACTIVE
        x = left[before if down else after] + (STATE_WIDTH - 32 if down else 32)
        ends = (ROW + 40, GROUND - 2) if down else (GROUND, ROW + 42)
        yield _arrow(f"M{x} {ends[0]}V{ends[1]}")
        yield _text(x + (6 if down else -6), (ROW + 44 + GROUND) / 2, words, "small" if down else "small end")
        return
    start, end = left[before], left[after]
    if before is after:
        yield _arrow(
            f"M{start + 40} {ROW}C{start + 40} {ROW - 40} {start + 84} {ROW - 40} {start + 84} {ROW - 2}"
        )
        yield _text(start + 62, ROW - 36, f"{words}: alarm", "small middle")
        return
    steps = (end - start) // STEP
    assert steps > 0, "a move to the left needs a place in this picture"
    if steps == 1:
        yield _arrow(f"M{start + STATE_WIDTH} {ROW + 20}H{end - 2}")
        yield _text((start + STATE_WIDTH + end) / 2, ROW + 13, words, "small middle")
        return
    above = ROW - 40 * steps + 10
    rise = above - (ROW - above) / 3
    out = start + STATE_WIDTH
    yield _arrow(f"M{out - 14} {ROW}C{out + 20} {rise:g} {end - 20} {rise:g} {end + 18} {ROW - 2}")
    yield _text((start + STATE_WIDTH + end) / 2, above - 6, words, "small middle")


# The timeline of a silence: the detector, told every 15 s that there is nothing to read.

LIMIT, EVERY, BACK = 120.0, 15.0, 2.0
"""Seconds: the limit of silence, between two reports, and until it is fresh again at the latest."""


def verdict_of_silence() -> tuple[float, list[float]]:
    """(seconds after the last MapResponse at which the verdict falls, when there were reports before)."""
    detector, now, reports = LivenessDetector(), 0.0, []
    detector.stage_entered(1, 1, Stage.MAP, 0.0, LIMIT)
    detector.map_response(1, 1, 0.0)
    while True:
        detector.progress(
            internal_pb2.Progress(
                generation=1, session=1, stage=Stage.MAP, limit=LIMIT, drained_at=now, last_received_at=0.0
            )
        )
        reports.append(now)
        if verdicts := detector.expire(now):
            return verdicts[0].silent_for, reports
        now += EVERY


def _silence() -> str:
    verdict, reports = verdict_of_silence()
    right, beyond = 760, 160
    scale = (right - 170) / verdict

    def at(second: float) -> float:
        return 170 + second * scale if second <= verdict else right + (second - verdict) / BACK * beyond

    def bar(y: int, start: float, end: float, kind: str, words: str) -> Iterator[str]:
        yield f"<rect class='{kind}' x='{at(start):g}' y='{y}' width='{at(end) - at(start):g}' height='26'/>"
        yield _text((at(start) + at(end)) / 2, y + 17, words, "on middle small")

    def body() -> Iterator[str]:
        lanes = ("the network", "the kernel says", "control_connection", "liveness", "netmap")
        for number, name in enumerate(lanes):
            yield _text(163, 67 + 46 * number, name, "name end")
        back = verdict + BACK
        yield from bar(50, 0, verdict, "bad", "every packet of this connection is lost")
        yield from bar(50, verdict, back, "good", "another connection")
        yield from bar(96, 0, verdict, "calm", "ESTABLISHED")
        yield from bar(96, verdict, back, "calm", "ESTABLISHED")
        yield from bar(142, 0, verdict, "calm", "reads to the end, finds nothing, says so")
        yield from bar(142, verdict, back, "good", "new process")
        for report in reports:
            yield _arrow(f"M{at(report):g} 168V190")
        yield f"<path class='line' d='M{at(0):g} 201H{at(verdict):g}'/>"
        yield _text(
            (at(0) + at(verdict)) / 2,
            216,
            f"the deadline is {LIMIT:g} s after the last complete MapResponse; nothing else moves it",
            "small middle",
        )
        yield f"<circle class='bad' cx='{at(verdict):g}' cy='201' r='6'/>"
        yield _text(at(verdict) + 10, 205, "verdict: silence", "name")
        yield from bar(234, 0, verdict, "good", f"fresh, with an age that runs up to {verdict:g} s")
        yield from bar(234, verdict, back - 0.5, "old", "stale")
        yield from bar(234, back - 0.5, back, "good", "fresh")
        for second in (0, 30, 60, 90, verdict):
            yield f"<path class='line' d='M{at(second):g} 274v6'/>"
            yield _text(at(second), 295, f"{second:g} s", "middle small")
        yield f"<path class='line' d='M{at(0):g} 274H{at(back):g}'/>"
        yield _text(at(back), 295, f"at most {BACK:g} s", "end small")
        yield _text(at(0), 36, "last MapResponse", "small")
        yield _text(at(verdict), 36, "killed, started anew", "small")

    return _svg(
        f"A silence of {verdict:g} seconds, and what each part of the program sees of it", 950, 312, body()
    )
