"""Captures of Tailscale's service: policies, and what nodes saw under them.

The file that POLICY_CAPTURES names, else the one beside the project, has a JSON object a line: a policy as it was sent,
the `status` of the answer, the nodes of the tailnet, and for each what it `seen`: peers with their AllowedIPs, and the
rules of its packet filter.
"""

from __future__ import annotations

import functools
import json
import lzma
import os
from pathlib import Path
from typing import Any

from tests.support.availability import unavailable

__all__ = ["Capture", "captures"]

_BESIDE = Path(__file__).parents[4] / "shared" / "fixtures" / "policy-captures" / "captures.jsonl.xz"
Capture = dict[str, Any]


@functools.cache
def captures() -> list[Capture]:
    """All of them; skips the test where there are none."""
    path = Path(os.environ.get("POLICY_CAPTURES") or _BESIDE)
    if not path.is_file():
        unavailable(f"no captures: POLICY_CAPTURES names none, and there is no {path}")
    with lzma.open(path, "rt") as file:
        return [json.loads(line) for line in file]
