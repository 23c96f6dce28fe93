"""The embedded control server with the times of a test, and its pages."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

from netmap_actors.dev_control.standalone import make_options

__all__ = ["QUICK", "get"]

QUICK = make_options(
    keep_alive=0.2, keep_alive_jitter=0.0, batch_delay=0.005, offline_grace=0.2, ephemeral_grace=0.3
)


def get(url: str, **fields: Any) -> tuple[int, bytes]:
    """Status and body of a page."""
    request = urllib.request.Request(url, **fields)
    try:
        # An opener of its own: that of urlopen keeps the roots that were trusted when the first page was read.
        with urllib.request.build_opener().open(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
