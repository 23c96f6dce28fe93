"""Admits requests of programs, and none of a web page in a browser.

A page may send requests to loopback, and with DNS rebinding even read the answers as its own. Both show in headers that
a page cannot suppress (RFC 6454 and RFC 9110, 7.2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = ["PAGE_FILES", "is_of_page", "refusal"]

PAGE_FILES: Final = "/page/"
"""Below this the files of the page are."""
_OWN_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_PORT: Final = re.compile(r"(?::[0-9]{1,5})?")


def refusal(
    request: HttpRequest, listen_host: str | None, schemes: tuple[str, ...] = ("http",)
) -> tuple[int, str] | None:
    """Status and reason when this request is not to be answered; None when it may be.

    `listen_host`: the address the endpoint listens on, "" for a unix socket. None where a token is asked for: then any
    name is ours, for a page that has bound one to our address gets nothing by it. `schemes`: with which a page of our
    own may have been loaded.
    """
    if request.method not in {"GET", "HEAD"}:
        return 405, f"cannot {request.method[:20]}: this endpoint changes nothing; GET and HEAD are answered"
    hosts = _values(request, "host")
    # HTTP/1.0 needs none; no browser speaks it.
    if len(hosts) > 1 or (listen_host is not None and not all(_is_own(host, listen_host) for host in hosts)):
        return 403, (
            "cannot answer: the Host header names somebody else; ask for localhost or the address itself, and have a "
            "proxy in front set it"
        )
    own = {f"{scheme}://{host}" for scheme in schemes for host in hosts}
    if any(origin not in own for origin in _values(request, "origin")):
        return 403, "cannot answer: the request was made by a web page of another origin"
    if any(site not in {"none", "same-origin"} for site in _values(request, "sec-fetch-site")):
        return 403, "cannot answer: the request was made by a web page of another site"
    return None


def is_of_page(path: str) -> bool:
    """Whether it is the page, or may be a file of it."""
    return path == "/" or path.startswith(PAGE_FILES)


def _values(request: HttpRequest, name: str) -> list[str]:
    return [value.strip().lower() for key, value in request.headers if key == name]


def _is_own(authority: str, listen_host: str) -> bool:
    """Whether it is one of our names, with or without a port, and nothing else."""
    names = (*_OWN_NAMES, listen_host) if listen_host else _OWN_NAMES
    return any(
        authority.startswith(name) and _PORT.fullmatch(authority.removeprefix(name)) is not None
        for name in names
    )
