"""The page at `/` and its files: read once, when they are first asked for, and said to be what a browser has already.

They hold no secret, so nobody needs a token for them. Not here: what the page shows, which it asks for itself.
"""

from __future__ import annotations

import functools
import hashlib
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netmap_actors.http_endpoint.guard import PAGE_FILES
from netmap_actors.http_endpoint.pages import Page, not_found

if TYPE_CHECKING:
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = ["FOLDER", "HTML", "page_file", "refused_login"]

FOLDER: Final = Path(__file__).parent / "page"
HTML: Final = "text/html; charset=utf-8"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": HTML,
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_NAME: Final = re.compile(r"(?:[a-z][a-z0-9_-]{0,30}/)?[a-z][a-z0-9_-]{0,30}\.(?:css|js|svg)")
"""A file of the folder or of a folder in it; nothing that leads elsewhere."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS: Final = (
    # A browser asks each time whether it has the newest: after an upgrade no file is of another version than the rest.
    ("Cache-Control", "no-cache"),
    ("Content-Security-Policy", _POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    # With `no-referrer` a browser sends a form with `Origin: null` (Fetch, 3.2), and the login is nobody's.
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)


def page_file(request: HttpRequest, path: str) -> Page:
    """The page or a file of it; `path` is one that `is_of_page`."""
    name = path.removeprefix(PAGE_FILES)
    if path == "/":
        name = "index.html"
    elif not _NAME.fullmatch(name):
        return not_found()
    try:
        body, tag = _read(name)
    except FileNotFoundError:
        return not_found()
    headers = (*HEADERS, ("ETag", tag))
    if _has_already(request, tag):
        return Page(304, "", headers=headers)
    return Page(200, _TYPES[Path(name).suffix], body, headers=headers)


def refused_login(status: int, why: str, headers: tuple[tuple[str, str], ...] = ()) -> Page:
    """The page, which says why a login was refused: the content of its <meta name="login-refused">."""
    body, _ = _read("index.html")
    told = f'<meta name="login-refused" content="{html.escape(why)}">\n</head>'.encode()
    shown = tuple(one for one in HEADERS if one[0] != "Cache-Control")
    return Page(status, HTML, body.replace(b"</head>", told, 1), headers=(*shown, *headers))


@functools.cache
def _read(name: str) -> tuple[bytes, str]:
    """(content, entity tag). Raises FileNotFoundError."""
    body = (FOLDER / name).read_bytes()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _has_already(request: HttpRequest, tag: str) -> bool:
    """If-None-Match, compared weakly (RFC 9110, 13.1.2): a proxy that compresses makes the tag a weak one."""
    given = [value for name, value in request.headers if name == "if-none-match"]
    tags = [one.strip().removeprefix("W/") for value in given for one in value.split(",")]
    return tag in tags or tags == ["*"]
