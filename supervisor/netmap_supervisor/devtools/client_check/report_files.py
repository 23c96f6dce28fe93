"""Where reports are written: each file as a whole when the check has ended, its place tried before the check begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors import shown_json
from netmap_supervisor.cli.export.output_file import OutputFile
from netmap_supervisor.devtools.client_check.report.document import report_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from netmap_supervisor.devtools.client_check.outcome import ScenarioOutcome
    from netmap_supervisor.devtools.client_check.report.check_run import CheckRun

__all__ = ["ReportFiles"]


class ReportFiles:
    """The files of one check; None for a report that nobody asked for."""

    def __init__(self, json: Path | None) -> None:
        """Raises CommandFailed for a place that cannot be written."""
        self._json = None if json is None else OutputFile(json.absolute())
        if self._json is not None:
            self._json.check()

    def write(self, outcomes: Sequence[ScenarioOutcome], run: CheckRun) -> None:
        """All of them. Raises CommandFailed."""
        if self._json is not None:
            _put(self._json, (shown_json.indented(report_json(outcomes, run)) + "\n").encode())


def _put(file: OutputFile, data: bytes) -> None:
    file.update(data, lambda _old, _new: False)
