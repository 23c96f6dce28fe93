"""The priority before a line on standard error, which systemd's journal reads and removes (sd-daemon(3))."""

from __future__ import annotations

import os

__all__ = ["marked", "priority"]

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}


def priority(level: str, fd: int = 2) -> str:
    """`<N>` if this descriptor leads to the journal, else nothing; an unknown level counts as info."""
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
