"""From when until when a certificate is valid, read out of its DER (X.690) without a library of eight megabytes."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Validity", "validity"]

_SEQUENCE: Final = 0x30
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_VERSION: Final = 0xA0


class Validity(NamedTuple):
    """Unix times."""

    begins: float
    ends: float


def validity(der: bytes) -> Validity:
    """Of one certificate (RFC 5280, 4.1). Raises ValueError when it is none."""
    certificate = _only(der)
    fields = [one for one in _elements(_only(certificate)) if one[0] != _VERSION]
    # serialNumber, signature, issuer, validity
    if len(fields) < 4 or fields[3][0] != _SEQUENCE:
        raise ValueError("no certificate")
    times = [_unix_time(tag, content) for tag, content in _elements(fields[3][1])]
    if len(times) != 2:
        raise ValueError("no certificate")
    return Validity(*times)


def _only(data: bytes) -> bytes:
    """The content of the sequence at the beginning."""
    tag, content = next(_elements(data), (0, b""))
    if tag != _SEQUENCE:
        raise ValueError("no certificate")
    return content


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags of one byte and contents, one after the other."""
    place = 0
    while place < len(data):
        head = data[place : place + 2]
        if len(head) < 2:
            raise ValueError("cut off")
        length, place = head[1], place + 2
        if length >= 0x80:
            size = length & 0x7F
            length, place = int.from_bytes(data[place : place + size], "big"), place + size
        if place + length > len(data):
            raise ValueError("cut off")
        yield head[0], data[place : place + length]
        place += length


def _unix_time(tag: int, content: bytes) -> float:
    """RFC 5280, 4.1.2.5: years before 2050 have two digits, later ones four; always in UTC and with seconds."""
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC).timestamp()
