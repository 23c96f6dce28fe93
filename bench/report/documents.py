"""What `make bench-report` writes: each drawing, and the page that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.history import HISTORY, ROOT, read
from bench.report.drawing import drawing
from bench.report.page import bounds_part, cost_part
from bench.report.panels import DRAWINGS

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "performance.md"
BOUNDS_MARKS = ("<!-- bounds and history -->\n", "<!-- end of the bounds -->\n")
COST_MARKS = ("<!-- costs from the history -->\n", "<!-- end of the costs -->\n")


def report(history: Path = HISTORY) -> dict[Path, str]:
    """Every file with its text. Raises ValueError when the page has no place for a part."""
    runs = read(history)
    page = between(PAGE.read_text(), BOUNDS_MARKS, bounds_part(runs))
    files = {PAGE: between(page, COST_MARKS, cost_part(runs))}
    for name, panels in DRAWINGS.items():
        files[PAGE.with_suffix("") / f"{name}.svg"] = drawing(f"{name}: figures over the runs", panels, runs)
    return files


def between(page: str, marks: tuple[str, str], text: str) -> str:
    """The page with this between the marks. Raises ValueError."""
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"cannot write the report: {marks[0].strip()} and its end do not stand in the page")
    return before + begin + text + end + after
