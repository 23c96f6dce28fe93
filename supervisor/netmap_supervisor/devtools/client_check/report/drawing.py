"""A drawing of lanes as SVG: what the client did stands above the line of a connection, what the server did below it.

Side and kind differ by place and shape as well as by colour.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from netmap_supervisor.devtools.client_check.report.check_run import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netmap_supervisor.devtools.client_check.report.lanes import Band, Cluster, Lane, Lanes, Mark

__all__ = ["MEANINGS", "drawn", "legend", "quoted", "shapes"]

_SHAPES: Final = {
    "accept": '<circle r="4" class="hollow"/>',
    "key": '<rect x="-4" y="-4" width="8" height="8" class="hollow"/>',
    "upgrade": '<path d="M0-5.5 5.5 0 0 5.5-5.5 0z" class="hollow"/>',
    "register": '<rect x="-4.5" y="-4.5" width="9" height="9"/>',
    "map": '<path d="M0-5.5 5.5 4.5h-11z"/>',
    "lite": '<path d="M0-5 5 4h-10z" class="hollow"/>',
    "sent": '<path d="M0 5.5 5.5-4.5h-11z"/>',
    "refused": '<circle r="5" class="hollow"/><path d="M-3.5 3.5 3.5-3.5" class="hollow"/>',
    "reset": '<path d="M-4.5-4.5 4.5 4.5M-4.5 4.5 4.5-4.5" class="hollow"/>',
    "goaway": '<path d="M-5 0H4M0-4.5 4.5 0 0 4.5" class="hollow"/>',
    "end": '<path d="M0-6V6M-4-6H4M-4 6H4" class="hollow"/>',
    "ping": '<path d="M-5 0H5M0-5V5" class="hollow"/>',
    "fault": '<path d="M-3 6V-6L6-2-3 1" class="hollow"/>',
    "heal": '<path d="M-5 0-1 4 5-5" class="hollow"/>',
    "step": '<path d="M-5-4H1L5 0 1 4H-5z"/>',
    "joined": '<path d="M-4-5V5M-4 0H5M1-4 5 0 1 4" class="hollow"/>',
    "other": '<circle r="2.5"/>',
}
MEANINGS: Final = {
    "started": "client started",
    "joined": "client has a map",
    "step": "step",
    "left-out": "events left out",
    "accept": "connection",
    "key": "asks for the server's key",
    "upgrade": "Noise handshake",
    "register": "register request",
    "map": "map request",
    "lite": "update of its own node",
    "read": "map request without a stream",
    "sent": "message",
    "refused": "refusal",
    "reset": "RST_STREAM",
    "goaway": "GOAWAY",
    "end": "connection closed",
    "ping": "HTTP/2 PING",
    "ping_response": "answer to a PingRequest",
    "c2n": "answer to the server's request",
    "fault": "fault begins",
    "heal": "fault ends",
}
"""What the kinds of events mean; a kind that is not here stands for itself."""
_TOP = 48
_LANE = 62
_LINE = 33
_ABOVE, _BELOW = 21, 45
_TALLEST = 18
"""Pixels of the highest bar."""
_STEP = 13
_LEAST_PIXELS = 3.5
"""A hundredth of the narrowest drawing."""
_BOTTOM = 26
_TEXT_TURNS = 55.0
"""Percent: words that begin behind this stand to the left of their place."""
_ROWS = 3
_TITLE_TIMES = 4


def quoted(text: str) -> str:
    """Any text as HTML's and XML's text or attribute value."""
    return escape(visible(text))


def shapes() -> str:
    """The shapes that all drawings of a page refer to."""
    symbols = "".join(f'<g id="k-{kind}">{shape}</g>' for kind, shape in _SHAPES.items())
    return f'<svg class="defs" width="0" height="0" aria-hidden="true"><defs>{symbols}{_HATCH}</defs></svg>'


_HATCH: Final = (
    '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path d="M0 0V7" class="hatch"/></pattern>'
)


def legend(kinds: Sequence[tuple[str, str]]) -> str:
    """The shapes of these (side, kind) with what they mean."""
    items = "".join(
        f'<li><svg width="16" height="14" aria-hidden="true"><g class="{_side(side)}">{_use(kind, 8, 7)}</g></svg> '
        f"{quoted(side)}: {quoted(MEANINGS.get(kind, kind))}</li>"
        for side, kind in kinds
    )
    return f'<ul class="legend">{items}</ul>'


def drawn(lanes: Lanes, title: str) -> str:
    """The drawing. It takes the width it is given."""
    height = _TOP + _LANE * len(lanes.lanes) + _BOTTOM
    parts = [
        f'<svg class="lanes" width="100%" height="{height}" role="img" aria-label="{quoted(title)}">',
        *_bands(lanes.bands, height - _BOTTOM),
        *_axis(lanes.ticks, height - _BOTTOM),
        *(
            part
            for row, lane in enumerate(lanes.lanes)
            for part in _lane(lane, _TOP + row * _LANE, lanes.zero)
        ),
        "</svg>",
    ]
    return "".join(parts)


def _bands(bands: Sequence[Band], bottom: int) -> Iterator[str]:
    row = 0
    for band in bands:
        wide = band.end - band.begin
        if wide > 0:
            yield (
                f'<rect class="band {band.kind}" x="{band.begin}%" y="{_TOP - 4}" width="{wide:.2f}%" '
                f'height="{bottom - _TOP + 4}"/>'
            )
        for at, text in ((band.begin, band.begin_text), (band.end, band.end_text)):
            if text:
                base = 12 + 15 * (row % _ROWS)
                row += 1
                yield (
                    f'<line class="edge {band.kind}" x1="{at}%" x2="{at}%" y1="{base - 9}" y2="{bottom}"/>'
                    + _words(at, base, text, band.kind)
                )


def _words(at: float, base: int, text: str, kind: str) -> str:
    turned = at > _TEXT_TURNS
    anchor = ' text-anchor="end"' if turned else ""
    return (
        f'<text class="{kind}" x="{at}%" dx="{-4 if turned else 4}" y="{base}"{anchor}>{quoted(text)}</text>'
    )


def _axis(ticks: Sequence[tuple[float, str]], bottom: int) -> Iterator[str]:
    yield f'<line class="axis" x1="1%" x2="99%" y1="{bottom}" y2="{bottom}"/>'
    for at, text in ticks:
        anchor = "start" if at < 4 else "end" if at > 95 else "middle"
        yield (
            f'<line class="axis" x1="{at}%" x2="{at}%" y1="{bottom}" y2="{bottom + 5}"/>'
            f'<text class="tick" x="{at}%" y="{bottom + 18}" text-anchor="{anchor}">{text}</text>'
        )


def _lane(lane: Lane, top: int, zero: float) -> Iterator[str]:
    line = top + _LINE
    yield f'<text class="name" x="1%" y="{top + 8}">{quoted(lane.title)}</text>'
    yield f'<line class="wire" x1="{lane.begin}%" x2="{lane.end}%" y1="{line}" y2="{line}"/>'
    for cluster in lane.clusters:
        yield from _cluster(cluster, top, zero)
    for bar in lane.bars:
        tall = max(1.0, _TALLEST * bar.share)
        above = line - 1 - tall if bar.side != "server" else line + 1
        yield (
            f'<g class="{_side(bar.side)}"><title>{quoted(bar.side)}: {bar.count} events</title>'
            f'<rect class="bar" x="{bar.at}%" y="{above:.1f}" width="1.6%" height="{tall:.1f}"/></g>'
        )


def _cluster(cluster: Cluster, top: int, zero: float) -> Iterator[str]:
    row = {"client": _ABOVE, "server": _BELOW}.get(cluster.side, _LINE)
    # Marks to the left of their place where there is no room to the right; in their order all the same.
    widths = [_STEP + _count_width(mark) for mark in cluster.marks]
    start = 0
    if (100.0 - cluster.at) * _LEAST_PIXELS < sum(widths):
        start = -sum(widths[:-1]) - _count_width(cluster.marks[-1])
    yield f'<svg class="{_side(cluster.side)}" x="{cluster.at}%" y="{top + row}">'
    for mark, wide in zip(cluster.marks, widths, strict=True):
        more = len(mark.events)
        many = f'<text class="count" x="{start + 6}" y="4">×{more}</text>' if more > 1 else ""
        yield f"<g><title>{quoted(_title(mark, zero))}</title>{_use(mark.kind, start, 0)}{many}</g>"
        start += wide
    yield "</svg>"


def _count_width(mark: Mark) -> int:
    more = len(mark.events)
    return 7 * (1 + len(str(more))) if more > 1 else 0


def _title(mark: Mark, zero: float) -> str:
    times = ", ".join(f"{event.at - zero:.2f} s" for event in mark.events[:_TITLE_TIMES])
    more = " …" if len(mark.events) > _TITLE_TIMES else ""
    first = mark.events[0]
    return f"{first.side}: {MEANINGS.get(mark.kind, mark.kind)} {first.detail} at {times}{more}"


def _use(kind: str, x: int, y: int) -> str:
    return f'<use href="#k-{kind if kind in _SHAPES else "other"}" x="{x}" y="{y}"/>'


def _side(side: str) -> str:
    return side if side in ("client", "server") else "check"
