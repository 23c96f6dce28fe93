"""Byte layouts of the ts2021 Noise frames: Initiation, Response, Error and Record.

Not here: any cryptography. Layouts from tailscale: control/controlbase/messages.go; all integers are big-endian.

    Initiation  u16 protocol version, u8 type 1, u16 96      (the only 5-byte header)
                32 client ephemeral public key (clear)
                48 client static public key (32, encrypted) and tag
                16 tag of the empty payload
    Response    u8 type 2, u16 48
                32 server ephemeral public key (clear)
                16 tag of the empty payload
    Error       u8 type 3, u16 n, n bytes of text, unauthenticated
    Record      u8 type 4, u16 ciphertext length (plaintext + 16), ciphertext
"""

from __future__ import annotations

import enum
import struct

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "EPHEMERAL_LENGTH",
    "ERROR_TEXT_LIMIT",
    "HEADER_LENGTH",
    "INITIATION_LENGTH",
    "MAX_CIPHERTEXT",
    "MAX_FRAME",
    "MAX_PLAINTEXT",
    "RESPONSE_LENGTH",
    "TAG_LENGTH",
    "FrameType",
    "encode_error",
    "encode_initiation",
    "encode_response",
    "parse_initiation",
    "parse_response",
]

TAG_LENGTH = 16
EPHEMERAL_LENGTH = 32
HEADER_LENGTH = 3
INITIATION_HEADER_LENGTH = 5
INITIATION_BODY_LENGTH = EPHEMERAL_LENGTH + (32 + TAG_LENGTH) + TAG_LENGTH
INITIATION_LENGTH = INITIATION_HEADER_LENGTH + INITIATION_BODY_LENGTH
RESPONSE_BODY_LENGTH = EPHEMERAL_LENGTH + TAG_LENGTH
RESPONSE_LENGTH = HEADER_LENGTH + RESPONSE_BODY_LENGTH
MAX_FRAME = 4096
"""Bytes of the largest record, header included."""
MAX_CIPHERTEXT = MAX_FRAME - HEADER_LENGTH
MAX_PLAINTEXT = MAX_CIPHERTEXT - TAG_LENGTH
ERROR_TEXT_LIMIT = MAX_FRAME - HEADER_LENGTH
"""Bytes of the longest text of an Error frame; the format would allow 65535."""
MAX_VERSION = 0xFFFF


class FrameType(enum.IntEnum):
    """First byte of a frame (third of the Initiation)."""

    INITIATION = 1
    RESPONSE = 2
    ERROR = 3
    RECORD = 4


_INITIATION_HEADER = struct.Struct(">HBH")
_HEADER = struct.Struct(">BH")


def encode_initiation(version: int, body: bytes) -> bytes:
    """The Initiation around its 96 bytes. Raises LocalProtocolError when the version is not a u16."""
    if not 0 <= version <= MAX_VERSION:
        raise LocalProtocolError(f"cannot start a handshake: version {version} does not fit in 16 bits")
    return _INITIATION_HEADER.pack(version, FrameType.INITIATION, len(body)) + body


def parse_initiation(frame: bytes) -> tuple[int, bytes]:
    """Version and 96-byte body. Raises RemoteProtocolError."""
    if len(frame) != INITIATION_LENGTH:
        raise RemoteProtocolError(
            f"cannot read the handshake initiation: {len(frame)} bytes instead of {INITIATION_LENGTH}"
        )
    version, kind, length = _INITIATION_HEADER.unpack_from(frame)
    if kind != FrameType.INITIATION or length != INITIATION_BODY_LENGTH:
        raise RemoteProtocolError(f"cannot read the handshake initiation: frame type {kind}, length {length}")
    return version, frame[INITIATION_HEADER_LENGTH:]


def encode_response(body: bytes) -> bytes:
    """The Response around its 48 bytes."""
    return _HEADER.pack(FrameType.RESPONSE, len(body)) + body


def parse_response(frame: bytes) -> bytes:
    """The 48-byte body. Raises RemoteProtocolError."""
    if len(frame) != RESPONSE_LENGTH:
        raise RemoteProtocolError(
            f"cannot read the handshake response: {len(frame)} bytes instead of {RESPONSE_LENGTH}"
        )
    kind, length = _HEADER.unpack_from(frame)
    if kind != FrameType.RESPONSE or length != RESPONSE_BODY_LENGTH:
        raise RemoteProtocolError(f"cannot read the handshake response: frame type {kind}, length {length}")
    return frame[HEADER_LENGTH:]


def encode_error(text: str) -> bytes:
    """The Error frame of a server that refuses an initiation; the text is cut to the limit."""
    raw = text.encode()[:ERROR_TEXT_LIMIT]
    return _HEADER.pack(FrameType.ERROR, len(raw)) + raw
