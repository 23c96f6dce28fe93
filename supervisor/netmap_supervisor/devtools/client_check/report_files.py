"""Where reports are written: each file as a whole when the check has ended, its place tried before the check begins."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors import shown_json
from netmap_supervisor.cli.export.output_file import OutputFile
from netmap_supervisor.devtools.client_check.report.document import report_json
from netmap_supervisor.devtools.client_check.report.junit import junit_xml
from netmap_supervisor.devtools.client_check.report.page import report_page
from netmap_supervisor.devtools.client_check.verdicts.timelines import whole_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_supervisor.devtools.client_check.outcome import ScenarioOutcome
    from netmap_supervisor.devtools.client_check.report.check_run import CheckRun

__all__ = ["ReportFiles"]

_LOG_END = 16 << 10
"""Bytes of a log that stand in a report."""
_LOG_LINES = 200


class ReportFiles:
    """The files of one check; None for a report that nobody asked for."""

    def __init__(self, json: Path | None, junit: Path | None, html: Path | None) -> None:
        """Raises CommandFailed for a place that cannot be written."""
        made = (None if path is None else OutputFile(path.absolute()) for path in (json, junit, html))
        self._json, self._junit, self._html = made
        for file in (self._json, self._junit, self._html):
            if file is not None:
                file.check()

    def write(self, outcomes: Sequence[ScenarioOutcome], run: CheckRun) -> None:
        """All of them. Raises CommandFailed."""
        logs = _log_ends(outcomes) if self._junit or self._html else {}
        if self._json is not None:
            _put(self._json, (shown_json.indented(report_json(outcomes, run)) + "\n").encode())
        if self._junit is not None:
            _put(self._junit, junit_xml(outcomes, run, logs))
        if self._html is not None:
            _put(self._html, report_page(outcomes, run, logs).encode())


def _put(file: OutputFile, data: bytes) -> None:
    file.update(data, lambda _old, _new: False)


def _log_ends(outcomes: Sequence[ScenarioOutcome]) -> dict[str, str]:
    """By path, of those that say something about a failure."""
    ends: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.verdict.is_told:
            for attempt in outcome.attempts:
                # It may be gone, or never have been there.
                with contextlib.suppress(OSError):
                    if attempt.log and (end := _log_end(Path(attempt.log))):
                        ends[attempt.log] = end
    return ends


def _log_end(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LOG_END))
        text = file.read(_LOG_END).decode("utf-8", "replace")
    return "\n".join(whole_lines(text, lines=_LOG_LINES, characters=_LOG_END, begun=size <= _LOG_END))
