"""One request over the session's connection with its bounded answer, collected until it is complete. Pure.

Not here: the long poll of a map session, whose answer never is.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from netmap_actors.errors import escape
from netmap_actors.protocol.http2.events import header
from netmap_actors.protocol.retry_after import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.protocol.http2 import Headers

__all__ = ["MAX_RETRY_AFTER", "Exchange", "Purpose"]

MAX_RETRY_AFTER = 3600.0
"""Seconds; what asks for more is taken for a mistake (tailscale: control/controlclient/direct.go)."""
_RANDOM_WAIT = (5.0, 10.0)
"""Seconds to stay away when a server limits us and does not say for how long."""


class Purpose(enum.Enum):
    """What an exchange is for."""

    REGISTER = "register"
    MAP = "map"
    TRUTH = "truth"
    ANSWER = "answer"
    """Our answer to a ping: what the server says to it does not matter."""


class Exchange:
    """The answer so far."""

    def __init__(self, purpose: Purpose, began: float) -> None:
        self.purpose = purpose
        self.began = began
        self.status = 0
        self.headers: Headers = ()
        self._body = bytearray()

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    def take(self, data: bytes) -> None:
        """A piece of the body; its size is bounded below, in HTTP/2."""
        self._body += data

    def retry_after(self, uniform: Callable[[float, float], float]) -> float:
        """Seconds the server asks us to stay away, 0 when it does not. `uniform(low, high)` gives a random number.

        A 429 that does not say for how long, or nonsense, means five to ten seconds, as in the reference.
        """
        seconds = retry_after_seconds(header(self.headers, "retry-after"), header(self.headers, "date"))
        if seconds is not None and 0 < seconds <= MAX_RETRY_AFTER:
            return seconds
        return uniform(*_RANDOM_WAIT) if self.status == 429 or seconds is not None else 0.0

    def refusal(self, what: str) -> str:
        """Words for an answer other than 200, with the beginning of its body."""
        excerpt = escape(self.body.strip())
        text = f"cannot {what}: the control server answered {self.status}"
        return f"{text}: {excerpt}" if excerpt else text
