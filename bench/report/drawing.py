"""The drawn history: small charts of figures over the runs as one SVG, for light pages and dark ones. Pure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from bench.bounds import bounds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.history import Run
    from bench.report.panels import Line, Panel, Reach

COLUMNS = 2
WIDTH, HEIGHT = 430, 216
"""Of a panel, pixels."""
LEFT, RIGHT, TOP, BOTTOM = 54, 158, 34, 38
"""What a panel's plot leaves for words."""
HEAD = 44
LABEL = 14
"""Between the base lines of two labels."""
MOST_RUNS = 40
"""The newest of those that have a panel's figures."""
NAMESPACE = "http://www.w3.org/2000/svg"
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
STYLE = """\
.page{fill:#fcfcfb;stroke:#e1e0d9}.grid{stroke:#e1e0d9}.axis{stroke:#c3c2b7}
text{fill:#52514e;font-size:12px}.title{fill:#0b0b0b;font-weight:600;font-size:13px}.value{fill:#0b0b0b}
.ours{stroke:#2a78d6}.more{stroke:#1baf7a}.theirs{stroke:#eb6834}.server{stroke:#898781}.reach{stroke:#0b0b0b}
circle.ours{fill:#2a78d6}circle.more{fill:#1baf7a}circle.theirs{fill:#eb6834}circle.server{fill:#898781}
circle.quick{fill:#fcfcfb}
@media (prefers-color-scheme:dark){
.page{fill:#1a1a19;stroke:#383835}.grid{stroke:#2c2c2a}.axis{stroke:#383835}
text{fill:#c3c2b7}.title,.value{fill:#ffffff}
.ours{stroke:#3987e5}.more{stroke:#199e70}.theirs{stroke:#d95926}.reach{stroke:#ffffff}
circle.ours{fill:#3987e5}circle.more{fill:#199e70}circle.theirs{fill:#d95926}
circle.quick{fill:#1a1a19}
}"""
LEGEND = (
    ("ours", "ours"),
    ("more", "ours, too"),
    ("theirs", "tailscaled, or what the label says"),
    ("server", "the server's own share"),
    ("reach", "to reach"),
)


@dataclass(frozen=True)
class Point:
    """A figure in a run: `place` counts the runs of a panel."""

    place: int
    value: float
    low: float
    high: float
    quick: bool


def drawing(title: str, panels: Sequence[Panel], runs: Sequence[Run]) -> str:
    """A whole SVG file."""
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * WIDTH, HEAD + rows * HEIGHT
    body = [
        f"<svg xmlns='{NAMESPACE}' {FONT} role='img' width='{width}' height='{height}'>",
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f"<rect class='page' x='0.5' y='0.5' width='{width - 1}' height='{height - 1}' rx='8'/>",
        *_legend({line.kind for panel in panels for line in panel.lines}),
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS)
        body.append(f"<g transform='translate({column * WIDTH} {HEAD + row * HEIGHT})'>")
        body += _panel(panel, runs)
        body.append("</g>")
    return "\n".join([*body, "</svg>"]) + "\n"


def points_of(line: Line, runs: Sequence[Run]) -> list[Point]:
    """Its course; runs that did not measure it have no point."""
    found = []
    for place, run in enumerate(runs):
        figure = run.figures.get(line.figure)
        if figure is not None:
            value = getattr(figure, line.taken)
            found.append(Point(place, value, figure.min, figure.max, run.quick))
    return found


def reach_points(reach: Reach, runs: Sequence[Run]) -> list[tuple[int, float]]:
    """Where the bound was in each run: it moves with what it is a part of."""
    most = next(bound.most for bound in bounds_of(reach.figure) if bound.taken == reach.taken)
    found = []
    for place, run in enumerate(runs):
        other = run.figures.get(reach.times)
        if other is not None or not reach.times:
            found.append((place, most * (other.median if other else 1.0)))
    return found


def axis_top(highest: float) -> float:
    """A round number that is not below it: 1, 2, 2.5, 5 and their tenfolds."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= highest * 0.9999)


def apart(places: Sequence[float], least: float, most: float) -> list[float]:
    """The same heights in the same order, at least `LABEL` apart and, where there is room, between the two limits."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    moved = [0.0] * len(places)
    floor = least
    for number in order:
        floor = moved[number] = max(places[number], floor)
        floor += LABEL
    ceiling = most
    for number in reversed(order):
        ceiling = moved[number] = min(moved[number], ceiling)
        ceiling -= LABEL
    return moved


def shown(value: float) -> str:
    """Three digits."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}".replace(",", " ")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _legend(kinds: set[str]) -> list[str]:
    lines, x = [], 16
    for kind, name in LEGEND:
        if kind not in kinds and kind != "reach":
            continue
        lines += [_stroke(kind, [(x, 22), (x + 22, 22)]), _text(x + 28, 26, name)]
        x += 28 + 6.4 * len(name) + 18
    x += 4
    lines += [
        f"<circle class='server quick' cx='{x}' cy='22' r='3.5' stroke-width='1.5'/>",
        _text(x + 10, 26, "a quick run"),
    ]
    return lines


def _panel(panel: Panel, runs: Sequence[Run]) -> list[str]:
    known = [run for run in runs if any(line.figure in run.figures for line in panel.lines)][-MOST_RUNS:]
    courses = [(line, points_of(line, known)) for line in panel.lines]
    unit = next(
        (run.figures[line.figure].unit for line, _ in courses for run in known if line.figure in run.figures),
        "",
    )
    parts = [_text(16, 16, f"{panel.title}, {unit}" if unit else panel.title, "title")]
    if not known:
        return [*parts, _text(16, 44, "not measured yet")]
    reaches = [(reach, reach_points(reach, known)) for reach in panel.reaches]
    values = [point.value for _, points in courses for point in points]
    top = axis_top(max(*values, *(value for _, course in reaches for _, value in course), 0.0))
    plot = _Plot(len(known), top)
    parts += plot.axes(known)
    labels: list[tuple[float, str, str]] = []
    for reach, course in reaches:
        if course:
            heights = [(plot.x(place), plot.y(value)) for place, value in course]
            ends = [(float(LEFT), heights[0][1]), *heights, (float(WIDTH - RIGHT), heights[-1][1])]
            parts.append(_stroke("reach", ends))
            labels.append((heights[-1][1], "reach", f"{reach.name} ≤ {shown(course[-1][1])}".strip()))
    for line, points in courses:
        if points:
            parts += plot.course(line, points)
            labels.append((plot.y(points[-1].value), line.kind, f"{line.name}: {shown(points[-1].value)}"))
    heights_of_labels = apart([height for height, _, _ in labels], TOP, HEIGHT - BOTTOM)
    for height, (_, kind, text) in zip(heights_of_labels, labels, strict=True):
        x = WIDTH - RIGHT + 6
        parts += [_stroke(kind, [(x, height), (x + 10, height)]), _text(x + 15, height + 4, text, "value")]
    return parts


@dataclass(frozen=True)
class _Plot:
    """The scale of a panel."""

    count: int
    top: float

    def x(self, place: int) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * (place + 0.5) / self.count

    def y(self, value: float) -> float:
        share = min(1.0, value / self.top)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share

    def axes(self, runs: Sequence[Run]) -> list[str]:
        """Lines at quarters of the top, one where the machine is another, the first and the last run."""
        parts = []
        for quarter in range(5):
            value = self.top * quarter / 4
            y = self.y(value)
            kind = "grid" if quarter else "axis"
            parts.append(f"<path class='{kind}' d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' fill='none'/>")
            parts.append(_text(LEFT - 6, y + 4, shown(value), anchor="end"))
        for place, (before, after) in enumerate(itertools.pairwise(runs), 1):
            if before.machine != after.machine:
                x = (self.x(place - 1) + self.x(place)) / 2
                parts.append(f"<path class='server' d='M{x:.1f} {TOP}V{HEIGHT - BOTTOM}' fill='none'/>")
        base = HEIGHT - BOTTOM + 18
        if self.count == 1:
            return [*parts, _text(self.x(0), base, _run_name(runs[0]), anchor="middle")]
        parts.append(_text(LEFT, base, _run_name(runs[0])))
        return [*parts, _text(WIDTH - RIGHT, base, _run_name(runs[-1]), anchor="end")]

    def course(self, line: Line, points: Sequence[Point]) -> list[str]:
        """The line through the values, the spread of each, and its mark."""
        parts = []
        places = [(self.x(point.place), self.y(point.value)) for point in points]
        if line.taken == "median":
            for point, (x, _) in zip(points, places, strict=True):
                ends = f"M{x:.1f} {self.y(point.low):.1f}V{self.y(point.high):.1f}"
                parts.append(f"<path class='{line.kind}' d='{ends}' stroke-width='1' stroke-opacity='0.6'/>")
        parts.append(_stroke(line.kind, places))
        for point, (x, y) in zip(points, places, strict=True):
            kind = f"{line.kind} quick" if point.quick else line.kind
            radius = 2 if line.kind == "server" else 3.5
            parts.append(
                f"<circle class='{kind}' cx='{x:.1f}' cy='{y:.1f}' r='{radius}' stroke-width='1.5'>"
                f"<title>{escape(line.name)}: {shown(point.value)}, "
                f"{shown(point.low)} to {shown(point.high)}</title></circle>"
            )
        return parts


def _run_name(run: Run) -> str:
    return f"{run.at[5:10]} {run.commit[:7] or 'no commit'}{'' if run.clean else '+'}"


def _stroke(kind: str, places: Sequence[tuple[float, float]]) -> str:
    way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dashes = {"reach": " stroke-dasharray='5 4'", "server": " stroke-dasharray='2 3'"}.get(kind, "")
    thick = 1.5 if kind in {"reach", "server"} else 2
    return f"<path class='{kind}' d='M{way}' fill='none' stroke-width='{thick}'{dashes}/>"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    marks = (f" class='{kind}'" if kind else "") + (f" text-anchor='{anchor}'" if anchor else "")
    return f"<text x='{x:.1f}' y='{y:.1f}'{marks}>{escape(text)}</text>"
