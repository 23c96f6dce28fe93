"""Requests over the session's connection, each with its bounded answer, collected until it is complete. Pure.

Not here: their content, and the body of the long poll, which is never complete.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError, escape
from netmap_actors.protocol.headers import first_header
from netmap_actors.protocol.retry_after import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netmap_actors.protocol.headers import Headers
    from netmap_actors.protocol.http2 import Http2Client
    from netmap_actors.protocol.keys import NodeKey

__all__ = ["MAX_RETRY_AFTER", "Exchange", "Exchanges", "Purpose", "wait_asked_for"]

MAX_RETRY_AFTER = 3600.0
"""Seconds; more is taken for a mistake (tailscale: control/controlclient/direct.go)."""
_RANDOM_WAIT = (5.0, 10.0)
"""Seconds to stay away after a 429 without a usable Retry-After."""


class Purpose(enum.Enum):
    """What an exchange is for."""

    REGISTER = "register"
    MAP = "map"
    TRUTH = "truth"
    ANSWER = "answer"
    """Our answer to a ping: its response does not matter."""


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
        """As `wait_asked_for`."""
        seconds = retry_after_seconds(
            first_header(self.headers, "retry-after"), first_header(self.headers, "date")
        )
        return wait_asked_for(self.status, seconds, uniform)

    def refusal(self, what: str) -> str:
        """Error text for an answer other than 200, with the beginning of its body."""
        return f"cannot {what}: the control server {self.answered}"

    @property
    def answered(self) -> str:
        """Its status, with the beginning of its body, escaped."""
        excerpt = escape(self.body.strip())
        return f"answered {self.status}: {excerpt}" if excerpt else f"answered {self.status}"


def wait_asked_for(status: int, seconds: float | None, uniform: Callable[[float, float], float]) -> float:
    """Seconds the server asks us to stay away, 0 when it does not. `uniform(low, high)` gives a random number.

    `seconds`: its Retry-After, None without a valid one. A 429 without one, or an absurd one, means five to ten
    seconds, as in the reference.
    """
    if seconds is not None and 0 < seconds <= MAX_RETRY_AFTER:
        return seconds
    return uniform(*_RANDOM_WAIT) if status == 429 or seconds is not None else 0.0


class Exchanges:
    """The exchanges under way on one connection, by stream."""

    def __init__(self, http2: Http2Client) -> None:
        self._http2 = http2
        self._by_stream: dict[int, Exchange] = {}

    def begin(
        self,
        purpose: Purpose,
        method: str,
        path: str,
        body: bytes,
        now: float,
        *,
        keys: Iterable[NodeKey] = (),
        stream: bool = False,
    ) -> int:
        """Make a request; its stream id. `keys`: the node keys it is about, as a hint for load balancers.

        Raises RemoteProtocolError when the server admits no more requests at a time.
        """
        # They must match the body (tailscale: control/controlclient/direct.go, addLBHeader).
        headers = [("ts-lb", str(key)) for key in keys]
        try:
            stream_id = self._http2.request(method, path, headers, body, stream=stream)
        except LocalProtocolError as error:
            raise RemoteProtocolError(str(error)) from error
        self._by_stream[stream_id] = Exchange(purpose, now)
        return stream_id

    def get(self, stream_id: int) -> Exchange | None:
        """The exchange on this stream, None when it was cancelled."""
        return self._by_stream.get(stream_id)

    def pop(self, stream_id: int) -> Exchange | None:
        """The same, which is then over."""
        return self._by_stream.pop(stream_id, None)

    def cancel(self, purpose: Purpose) -> None:
        """Cancel every exchange with this purpose: its answers are ignored."""
        for stream_id in [i for i, exchange in self._by_stream.items() if exchange.purpose is purpose]:
            del self._by_stream[stream_id]
            self._http2.cancel(stream_id)
