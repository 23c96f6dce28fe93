"""Admits requests of programs and of our own page, and none of another web page in a browser.

A page may send requests to loopback, and with DNS rebinding even read the answers as its own. Both show in headers that
a page cannot suppress (RFC 6454 and RFC 9110, 7.2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = ["FORMS", "PAGE_FILES", "RequestRefused", "is_of_page", "path_of", "refusal"]

PAGE_FILES: Final = "/page/"
"""Below this the files of the page are."""
FORMS: Final = ("/login", "/logout")
"""What may be posted to."""
_OWN_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_PORT: Final = re.compile(r"(?::[0-9]{1,5})?")


class RequestRefused(NamedTuple):
    """The answer to a request that may not be answered otherwise."""

    status: int
    why: str
    headers: tuple[tuple[str, str], ...] = ()


def refusal(
    request: HttpRequest, listen_host: str | None, schemes: tuple[str, ...] = ("http",)
) -> RequestRefused | None:
    """Why this request is not to be answered; None when it may be.

    `listen_host`: the address the endpoint listens on, "" for a unix socket. None where a token is asked for: then any
    name is ours, for a page that has bound one to our address gets nothing by it. `schemes`: with which a page of our
    own may have been loaded.
    """
    path = path_of(request)
    methods = _methods(path)
    if request.method not in methods:
        return RequestRefused(
            405,
            f"cannot {request.method[:20]}: this endpoint changes nothing; answered here: {', '.join(methods)}",
            (("Allow", ", ".join(methods)),),
        )
    hosts = _values(request, "host")
    # HTTP/1.0 needs none; no browser speaks it.
    if len(hosts) > 1 or (listen_host is not None and not all(_is_own(host, listen_host) for host in hosts)):
        return RequestRefused(
            403,
            "cannot answer: the Host header names somebody else; ask for localhost or the address itself, and have a "
            "proxy in front set it",
        )
    own = {f"{scheme}://{host}" for scheme in schemes for host in hosts}
    origins = _values(request, "origin")
    if any(origin not in own for origin in origins):
        return RequestRefused(403, "cannot answer: the request was made by a web page of another origin")
    good = {"none", "same-origin"}
    if request.method == "POST":
        # A browser names the origin of every form (Fetch, 3.2): what bears none is not from our page.
        good = {"same-origin"}
        if len(origins) != 1:
            return RequestRefused(
                403, "cannot answer: a form has to say by the Origin header that it is of our page"
            )
    sites = _values(request, "sec-fetch-site")
    if any(site not in good for site in sites) and not _is_link(request, path):
        return RequestRefused(403, "cannot answer: the request was made by a web page of another site")
    return None


def path_of(request: HttpRequest) -> str:
    """The target without its query."""
    return request.target.partition("?")[0]


def _methods(path: str) -> tuple[str, ...]:
    if path == "/logout":
        return ("POST",)
    return ("GET", "HEAD", "POST") if path in FORMS else ("GET", "HEAD")


def _is_link(request: HttpRequest, path: str) -> bool:
    """Whether somebody followed a link to the page, which shows the site it stood on nothing (Fetch Metadata, 2)."""
    return (
        request.method == "GET"
        and path == "/"
        and _values(request, "sec-fetch-mode") == ["navigate"]
        and _values(request, "sec-fetch-dest") == ["document"]
    )


def is_of_page(path: str) -> bool:
    """Whether it is the page, or may be a file of it; browsers ask for /favicon.ico whatever the page says."""
    return path in {"/", "/favicon.ico"} or path.startswith(PAGE_FILES)


def _values(request: HttpRequest, name: str) -> list[str]:
    return [value.strip().lower() for key, value in request.headers if key == name]


def _is_own(authority: str, listen_host: str) -> bool:
    """Whether it is one of our names, with or without a port, and nothing else."""
    names = (*_OWN_NAMES, listen_host) if listen_host else _OWN_NAMES
    return any(
        authority.startswith(name) and _PORT.fullmatch(authority.removeprefix(name)) is not None
        for name in names
    )
