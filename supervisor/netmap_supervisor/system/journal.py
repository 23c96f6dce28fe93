"""What a line on standard error begins with for systemd's journal: its priority (sd-daemon(3)), which it takes off."""

from __future__ import annotations

import os

__all__ = ["marked", "priority"]

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}


def priority(level: str, fd: int = 2) -> str:
    """`<N>` when this descriptor leads to the journal, for a level that nobody knows as for info; else nothing."""
    try:
        found = os.fstat(fd)
    except OSError:
        return ""
    here = f"{found.st_dev}:{found.st_ino}"
    leads_there = os.environ.get("JOURNAL_STREAM") == here
    return f"<{_PRIORITIES.get(level, _PRIORITIES['info'])}>" if leads_there else ""


def marked(level: str, text: str) -> str:
    """Text of several lines for standard error, each with its priority."""
    return "\n".join(priority(level) + line for line in text.split("\n"))
