"""Waiting for a fact by polling, with a limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


def wait_for(fact: Callable[[], _T | None], limit: float, what: str, every: float = 0.02) -> _T:
    """The first true answer of `fact()`. Raises TimeoutError naming `what` after `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        answer = fact()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit:g} s: {what}")
        time.sleep(every)
