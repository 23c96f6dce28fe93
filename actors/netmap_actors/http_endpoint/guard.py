"""Who may ask: programs of this machine, and no web page that a browser on it happens to show.

A page may send requests to loopback, and with DNS rebinding even read the answers as its own. Both are told by the
headers a browser cannot be made to leave out (RFC 6454 and RFC 9110, 7.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = ["refusal"]

_OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def refusal(request: HttpRequest, listen_host: str) -> tuple[int, str] | None:
    """Status and reason when this request is not to be answered; None when it may be.

    `listen_host`: the address the endpoint listens on, "" for a unix socket.
    """
    if request.method not in {"GET", "HEAD"}:
        return 405, f"cannot {request.method[:20]}: this endpoint changes nothing; GET and HEAD are answered"
    own = _OWN_NAMES | ({listen_host} if listen_host else frozenset())
    host = request.header("host")
    # HTTP/1.0 needs none; no browser speaks it.
    if host is not None and _name(host) not in own:
        return 403, (
            "cannot answer: the Host header names somebody else; ask for localhost or the address itself, and have a "
            "proxy in front set it"
        )
    origin = request.header("origin")
    if origin is not None and _name(origin.partition("://")[2]) not in own:
        return 403, "cannot answer: the request was made by a web page of another origin"
    if request.header("sec-fetch-site") in {"cross-site", "same-site"}:
        return 403, "cannot answer: the request was made by a web page of another site"
    return None


def _name(authority: str) -> str:
    """The host of `host[:port]`, in lower case."""
    if authority.startswith("["):
        return (authority.partition("]")[0] + "]").lower()
    return authority.partition(":")[0].lower()
