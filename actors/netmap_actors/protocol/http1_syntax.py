"""Refuses what h11 accepts and RFC 9112 does not, in the bytes of a message's head.

h11 accepts a lone LF as a line end, unfolds lines and merges equal lengths, which a proxy in front may read differently
(request smuggling).
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
"""Start line and fields hold no other control characters (RFC 9112, 2.2; RFC 9110, 5.5)."""
_LENGTH: Final = re.compile(rb"\ncontent-length:([^\r\n]*)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=-]*)(?::[0-9]*)?")
"""uri-host [ ":" port ] (RFC 9110, 7.2), without escapes, which host names do not need and Go refuses."""
_DIGITS: Final = 18
"""Of a Content-Length in 64 bits (RFC 9110, 8.6)."""
_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
"""RFC 3986, 2.1."""
_ABSOLUTE: Final = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)


class BadSyntax(RemoteProtocolError):
    """Invalid HTTP/1.1. `status`: of a server's response."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


def check_head(waiting: bytes, *, request: bool) -> None:
    """Check the part of a head that has come; bytes after the head are ignored. Raises BadSyntax.

    Folded lines are accepted in responses, refused in requests (RFC 9112, 5.2).
    """
    end = _END.search(waiting)
    # The LF of a final CR may follow.
    head = waiting[: end.end()] if end is not None else waiting.removesuffix(b"\r")
    ends = head.count(b"\r\n")
    if ends != head.count(b"\n") or ends != head.count(b"\r") or head.translate(None, _ALLOWED):
        raise BadSyntax("a line of the head does not end with CR LF, or holds a control character")
    if request and (b"\n " in head or b"\n\t" in head):
        raise BadSyntax("a line of the head begins with a space")
    if end is None:
        return
    lengths = _LENGTH.findall(head)
    # A response may repeat an equal one, each in a line of its own, as with Go.
    if (request and len(lengths) > 1) or any(b"," in one for one in lengths):
        raise BadSyntax("there is more than one Content-Length")
    if any(len(one.strip()) > _DIGITS for one in lengths):
        raise BadSyntax("Content-Length is beyond all numbers")


def check_framing(version: bytes, names: Iterable[bytes]) -> None:
    """Check that version and fields of a complete head give the message one end. Raises BadSyntax."""
    if version not in (b"1.0", b"1.1"):
        raise BadSyntax("the version is neither HTTP/1.0 nor HTTP/1.1", 505)
    present = set(names)
    if b"transfer-encoding" in present and (b"content-length" in present or version == b"1.0"):
        raise BadSyntax("Transfer-Encoding stands beside Content-Length, or in HTTP/1.0")


def effective_target(method: str, target: str, host: str | None) -> tuple[str, str | None]:
    """(path and query, or `*`; host). An absolute form replaces Host (RFC 9112, 3.2.2). Raises BadSyntax."""
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
