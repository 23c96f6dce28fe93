"""One POST request of a webhook as a machine, and the words for what went wrong with it. Pure.

Neither its URL nor what the receiver writes may be shown: of both there are classes only, and the texts of errno(3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.headers import first_header
from netmap_actors.protocol.http1_exchange import HttpExchange
from netmap_actors.protocol.retry_after import retry_after_seconds
from netmap_actors.webhooks.delivery import Outcome
from netmap_actors.webhooks.signature import HEADER, signature

if TYPE_CHECKING:
    from collections.abc import Collection

    from netmap_actors.web_url import WebUrl
    from netmap_actors.webhooks.bodies import Body

__all__ = ["PostRequest", "failure"]

_CLASSES: Final = (
    ("cannot resolve", "its host cannot be resolved"),
    ("cannot connect", "cannot connect"),
    ("cannot trust", "its certificate is not trusted"),
    ("cannot speak TLS", "cannot speak TLS"),
    ("cannot reach", "the proxy opens no tunnel"),
    ("cannot use the tunnel", "the proxy opens no tunnel"),
    ("no answer within", "timeout"),
    ("cannot get an answer", "the connection broke"),
)
_CERTIFICATES: Final = (
    ("expired", "its certificate has expired"),
    ("not valid", "its certificate is not valid yet"),
    ("self-signed", "its certificate is self-signed"),
    ("the issuer", "its certificate is of an issuer that nobody here knows"),
    ("certificate is for", "its certificate is for another name"),
)


class PostRequest:
    """A request and the status of its answer, whose body nobody waits for."""

    def __init__(self, url: WebUrl, body: Body, *, secret: bytes | None, agent: str, wall: float) -> None:
        """`secret`: signs it; `agent`: User-Agent; `wall`: UNIX seconds."""
        headers = [
            ("Host", url.authority),
            ("User-Agent", agent),
            ("Content-Type", body.content_type),
            ("Content-Length", str(len(body.data))),
            ("Connection", "close"),
        ]
        if secret is not None:
            headers.append((HEADER, signature(secret, body.data, wall)))
        self._exchange = HttpExchange(
            "post", "POST", url.target, headers, expected=200, max_body=0, content=body.data
        )

    def data_to_send(self) -> bytes:
        """The request, once."""
        return self._exchange.data_to_send()

    def receive(self, data: bytes) -> Outcome | None:
        """None while there is no status. Raises RemoteProtocolError."""
        try:
            self._exchange.receive(data)
        except RemoteProtocolError:
            # Nothing is read of what follows the status; it may have come with the same bytes.
            if self._exchange.status is None:
                raise
        return self._outcome()

    def eof(self) -> Outcome:
        """The receiver closed. Raises RemoteProtocolError where it has not answered."""
        found = self._outcome()
        if found is None:
            self._exchange.eof()
        return found or Outcome(failure=failure("", ()))

    def _outcome(self) -> Outcome | None:
        exchange = self._exchange
        if exchange.status is None:
            return None
        headers = exchange.headers
        wait = retry_after_seconds(first_header(headers, "retry-after"), first_header(headers, "date"))
        return Outcome(status=exchange.status, retry_after=wait or 0.0)


def failure(why: str, known: Collection[str]) -> str:
    """Words for a failure of the transport, from its text. `known`: texts of the system that may be shown."""
    said = next((words for prefix, words in _CLASSES if why.startswith(prefix)), "no answer of HTTP")
    if why.startswith("cannot trust"):
        said = next((words for mark, words in _CERTIFICATES if mark in why), said)
    reasons = dict.fromkeys(
        text
        for part in why.partition(" (through")[0].split("; ")
        if (text := part.rpartition(": ")[2]) in known
    )
    return f"{said}: {', '.join(reasons)}" if reasons else said
