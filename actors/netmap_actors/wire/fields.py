"""Joins and cuts length-delimited protobuf fields as bytes, without decoding their payloads.

So a message with fifty thousand peers is put together from parts that were encoded once, and a reader decodes a peer
only on demand. The format is a tag, a varint length, the payload (protobuf.dev: encoding).
"""

from __future__ import annotations

import functools

from netmap_actors.errors import RemoteProtocolError

__all__ = ["BadPieces", "cut", "first_text", "prefix", "tag"]

_LENGTH_DELIMITED = 2
_MAX_VARINT = 10


class BadPieces(RemoteProtocolError):
    """The bytes are not a protobuf message."""


@functools.cache
def tag(field: int) -> bytes:
    """The tag of a length-delimited field with this number."""
    return _varint(field << 3 | _LENGTH_DELIMITED)


def prefix(tag_bytes: bytes, length: int) -> bytes:
    """Tag and length, before a payload of this many bytes."""
    return tag_bytes + (_SHORT[length] if length < len(_SHORT) else _varint(length))


def cut(data: bytes, field: int) -> tuple[list[bytes], bytes]:
    """The payloads of every occurrence of one length-delimited field, and the rest of the message.

    Raises BadPieces when the bytes are no message. The payloads are copies: none keeps `data` alive.
    """
    wanted = tag(field)
    payloads: list[bytes] = []
    rest: list[bytes] = []
    position, end = 0, len(data)
    while position < end:
        if data.startswith(wanted, position):
            length, start = _read_length(data, position + len(wanted))
            after = start + length
            if after > end:
                raise BadPieces(f"cannot cut a message: a field of {length} bytes ends behind its end")
            payloads.append(data[start:after])
        else:
            after = _skip(data, position)
            rest.append(data[position:after])
        position = after
    return payloads, b"".join(rest)


def first_text(data: bytes, field: int) -> str | None:
    """The text of the field if the message begins with it, else None (it may stand elsewhere)."""
    wanted = tag(field)
    if not data.startswith(wanted):
        return None
    length, start = _read_length(data, len(wanted))
    if start + length > len(data):
        raise BadPieces(f"cannot read a text: {length} bytes end behind its message")
    try:
        return data[start : start + length].decode()
    except UnicodeDecodeError:
        raise BadPieces("cannot read a text: it is not UTF-8") from None


def _skip(data: bytes, position: int) -> int:
    """The position behind the field that begins here."""
    key, position = _read_varint(data, position)
    match key & 7:
        case 0:
            _, position = _read_varint(data, position)
        case 1:
            position += 8
        case 2:
            length, position = _read_varint(data, position)
            position += length
        case 5:
            position += 4
        case wire_type:
            raise BadPieces(f"cannot cut a message: wire type {wire_type} is unknown")
    if position > len(data):
        raise BadPieces("cannot cut a message: its last field is cut off")
    return position


def _read_length(data: bytes, position: int) -> tuple[int, int]:
    """As `_read_varint`, faster for the two bytes that nearly all lengths have at most."""
    if position + 1 < len(data):
        low, high = data[position], data[position + 1]
        if low < 0x80:
            return low, position + 1
        if high < 0x80:
            return low & 0x7F | high << 7, position + 2
    return _read_varint(data, position)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    for count in range(_MAX_VARINT):
        if position >= len(data):
            raise BadPieces("cannot cut a message: it ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift = 7 * (count + 1)
    raise BadPieces("cannot cut a message: a number has more than ten bytes")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SHORT = [bytes((n,)) for n in range(128)] + [bytes((n & 127 | 128, n >> 7)) for n in range(128, 4096)]
