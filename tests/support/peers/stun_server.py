"""Answers STUN, so that a client finds a home relay at once instead of giving up after seconds.

Not here: the rest of a relay, which no control server needs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = 0x2112A442
_BINDING_REQUEST, _BINDING_SUCCESS = 0x0001, 0x0101
_XOR_MAPPED_ADDRESS, _IPV4 = 0x0020, 1
_HEADER = struct.Struct(">HHI12s")


def _answer(request: bytes, host: str, port: int) -> bytes | None:
    """RFC 5389, sections 6 and 15.2; None for what is no request."""
    if len(request) < _HEADER.size:
        return None
    kind, _, magic, transaction = _HEADER.unpack_from(request)
    if (kind, magic) != (_BINDING_REQUEST, _MAGIC):
        return None
    address = int(ipaddress.IPv4Address(host)) ^ _MAGIC
    attribute = struct.pack(">HHxBHI", _XOR_MAPPED_ADDRESS, 8, _IPV4, port ^ _MAGIC >> 16, address)
    return _HEADER.pack(_BINDING_SUCCESS, len(attribute), _MAGIC, transaction) + attribute


def _serve(sock: socket.socket) -> None:
    while True:
        request, (host, port) = sock.recvfrom(2048)
        if not request:
            return
        if (answer := _answer(request, host, port)) is not None:
            sock.sendto(answer, (host, port))


@contextlib.contextmanager
def running_stun() -> Iterator[dict[str, Any]]:
    """A DERPMap of two regions whose STUN is answered here; their relays themselves answer nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(sock,), name="stun", daemon=True)
        thread.start()
        try:
            yield {"Regions": {str(region): _region(region, sock.getsockname()[1]) for region in (901, 902)}}
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"", sock.getsockname())
            thread.join(5.0)


def _region(number: int, port: int) -> dict[str, Any]:
    relay = {
        "Name": f"{number}a",
        "RegionID": number,
        "HostName": "127.0.0.1",
        "IPv4": "127.0.0.1",
        "IPv6": "none",
        "STUNPort": port,
    }
    code = f"here{number}"
    return {"RegionID": number, "RegionCode": code, "RegionName": code, "Nodes": [relay]}
