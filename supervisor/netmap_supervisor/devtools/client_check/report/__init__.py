"""Reports of a check, as pure functions of its outcomes: a table, JSON, JUnit's XML and a page.

Not here: where they are written (`report_files`).
"""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.report.check_run import CheckRun, summary
from netmap_supervisor.devtools.client_check.report.document import report_json
from netmap_supervisor.devtools.client_check.report.junit import junit_xml
from netmap_supervisor.devtools.client_check.report.page import report_page
from netmap_supervisor.devtools.client_check.report.table import report_details, report_table

__all__ = [
    "CheckRun",
    "junit_xml",
    "report_details",
    "report_json",
    "report_page",
    "report_table",
    "summary",
]
