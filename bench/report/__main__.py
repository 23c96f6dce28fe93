"""Draws the history of the figures into docs/performance/ and writes the numbers of docs/performance.md."""

from __future__ import annotations

import click

from bench.history import ROOT
from bench.report.documents import report


def main() -> None:
    for path, text in report().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        click.echo(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
