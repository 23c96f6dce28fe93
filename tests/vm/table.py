"""The table of a run: scene, what was looked at, the figure, its bound, the verdict."""

from __future__ import annotations

__all__ = ["Table"]


class Table:
    """Collects rows; a row that is out of its bounds ends the test that adds it."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str, str]] = []

    def within(
        self, scene: str, what: str, figure: float, least: float, most: float, unit: str = "s"
    ) -> None:
        """`figure` has to lie between the two, both included."""
        bound = f"{least:g} to {most:g} {unit}" if least else f"at most {most:g} {unit}"
        self._add(scene, what, f"{figure:.2f} {unit}", bound, well=least <= figure <= most)

    def equal(self, scene: str, what: str, found: object, wanted: object) -> None:
        """`found` has to be `wanted`."""
        self._add(scene, what, _text(found), _text(wanted), well=found == wanted)

    def _add(self, scene: str, what: str, figure: str, bound: str, *, well: bool) -> None:
        self.rows.append((scene, what, figure, bound, "well" if well else "BROKEN"))
        assert well, f"{scene}: {what}: {figure}, and has to be {bound}"

    def lines(self) -> list[str]:
        """As Markdown."""
        head = ("scene", "what", "figure", "bound", "verdict")
        rows = [head, ("---",) * len(head), *self.rows]
        return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
