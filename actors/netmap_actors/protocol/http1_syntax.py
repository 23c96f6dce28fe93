"""What h11 lets pass of HTTP/1.1 and RFC 9112 does not, looked for in the bytes of a message's head before it reads it.

h11 takes a lone LF for the end of a line, unfolds lines, and makes one of several equal lengths: harmless by itself,
and what request smuggling is made of where a proxy in front reads the same bytes in another way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netmap_actors.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BadSyntax", "check_framing", "check_head", "effective_target"]

_END: Final = re.compile(rb"\n\r?\n")
_ALLOWED: Final = b"\t\r\n" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
"""No start line and no field may hold other control characters (RFC 9112, 2.2; RFC 9110, 5.5)."""
_LENGTH: Final = re.compile(rb"\ncontent-length:([^\r\n]*)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=-]*)(?::[0-9]*)?")
"""uri-host [ ":" port ] (RFC 9110, 7.2), without the escapes that no name of a host needs and Go does not take."""
_DIGITS: Final = 18
"""Of a length: those of 64 bits (RFC 9110, 8.6)."""
_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
"""RFC 3986, 2.1."""
_ABSOLUTE: Final = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)


class BadSyntax(RemoteProtocolError):
    """What came breaks HTTP/1.1. `status`: what a server answers."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


def check_head(waiting: bytes, *, request: bool) -> None:
    """Look at what has come of a start line and its fields; what follows them is left alone. Raises BadSyntax.

    A user agent takes folded lines of a response, a server refuses those of a request (RFC 9112, 5.2).
    """
    end = _END.search(waiting)
    # The LF of a last CR may be on its way.
    head = waiting[: end.end()] if end is not None else waiting.removesuffix(b"\r")
    ends = head.count(b"\r\n")
    if ends != head.count(b"\n") or ends != head.count(b"\r") or head.translate(None, _ALLOWED):
        raise BadSyntax("a line of the head does not end with CR LF, or holds a control character")
    if request and (b"\n " in head or b"\n\t" in head):
        raise BadSyntax("a line of the head begins with a space")
    if end is None:
        return
    lengths = _LENGTH.findall(head)
    # Of a response equal ones are taken, each in a line of its own, as Go does.
    if (request and len(lengths) > 1) or any(b"," in one for one in lengths):
        raise BadSyntax("there is more than one Content-Length")
    if any(len(one.strip()) > _DIGITS for one in lengths):
        raise BadSyntax("Content-Length is beyond all numbers")


def check_framing(version: bytes, names: Iterable[bytes]) -> None:
    """Whether version and fields of a complete head leave no doubt about where its message ends. Raises BadSyntax."""
    if version not in (b"1.0", b"1.1"):
        raise BadSyntax("the version is neither HTTP/1.0 nor HTTP/1.1", 505)
    present = set(names)
    if b"transfer-encoding" in present and (b"content-length" in present or version == b"1.0"):
        raise BadSyntax("Transfer-Encoding stands beside Content-Length, or in HTTP/1.0")


def effective_target(method: str, target: str, host: str | None) -> tuple[str, str | None]:
    """(path and query, or `*`; who is asked). Raises BadSyntax.

    A server takes the absolute form and ignores Host beside it (RFC 9112, 3.2.2).
    """
    if host is not None and not _HOST.fullmatch(host):
        raise BadSyntax("Host is no host with or without a port")
    if "#" in target:
        raise BadSyntax("the target has a fragment")
    if _NO_ESCAPE.search(target):
        raise BadSyntax("the target has a % that escapes nothing")
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target, host
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or not absolute[1] or not _HOST.fullmatch(absolute[1]):
        raise BadSyntax("the target is neither a path nor http://host/path")
    rest = absolute[2]
    return (rest if rest.startswith("/") else f"/{rest}"), absolute[1]
