"""Splits the body of a map response into MapResponse documents, and frames them for the server.

The body repeats: u32 little-endian length, then so many bytes, which are one JSON document, compressed by itself if
the request asked for it. Not here: compression (`zstd_frame`) and what a document means.
"""

from __future__ import annotations

import io
import struct

from netmap_actors.boot import MAX_MAP_RESPONSE
from netmap_actors.errors import BadMapResponse, LocalProtocolError
from netmap_actors.protocol.zstd_frame import ZstdFrameDecoder, encode_zstd_frame

__all__ = ["LENGTH_SIZE", "MapFrameReader", "encode_frame"]

LENGTH_SIZE = 4
_MAX_U32 = 0xFFFF_FFFF


class _PlainBody:
    """An uncompressed body. It grows with what arrives, not with the announced length."""

    def __init__(self) -> None:
        self._content = io.BytesIO()

    @property
    def decoded(self) -> int:
        return self._content.tell()

    def receive(self, data: memoryview) -> None:
        self._content.write(data)

    def text_from(self, start: int) -> bytes:
        self._content.seek(start)
        return self._content.read()

    def finish(self) -> bytes:
        return self._content.getvalue()


class MapFrameReader:
    """The frames of one map stream. After one error it is dead: the session must end."""

    def __init__(self, max_decoded: int = MAX_MAP_RESPONSE, *, compressed: bool = True) -> None:
        self._max_decoded = max_decoded
        self._compressed = compressed
        self._length = b""
        self._body: _PlainBody | ZstdFrameDecoder | None = None
        self._missing = 0
        self._failure: str | None = None

    @property
    def partial(self) -> bool:
        """Whether the bytes so far end inside a frame."""
        return self._body is not None or bool(self._length)

    @property
    def decoded(self) -> int:
        """Bytes that are there of the document which the bytes so far end inside."""
        return self._body.decoded if self._body is not None else 0

    def text_from(self, start: int) -> bytes:
        """Those bytes, from this one on: nothing about them is checked yet."""
        return self._body.text_from(start) if self._body is not None else b""

    def receive(self, data: bytes | memoryview) -> list[bytes]:
        """Every document completed by `data`, decompressed, in order.

        Raises BadMapResponse for a length of zero or above the limit (before anything is allocated) and for anything
        but exactly one complete Zstandard frame; documents of the same call are lost.
        """
        if self._failure is not None:
            raise BadMapResponse(self._failure)
        try:
            return self._receive(memoryview(data))
        except BadMapResponse as error:
            self._failure = str(error)
            self._body = None
            raise

    def eof(self) -> None:
        """The body has ended. Raises BadMapResponse when it ended inside a frame."""
        if self.partial:
            raise BadMapResponse("cannot read a map frame: the body ends inside it")

    def _receive(self, view: memoryview) -> list[bytes]:
        documents: list[bytes] = []
        while view:
            if self._body is None:
                missing = LENGTH_SIZE - len(self._length)
                self._length += view[:missing]
                view = view[missing:]
                if len(self._length) < LENGTH_SIZE:
                    break
                self._body = self._open(int.from_bytes(self._length, "little"))
                self._length = b""
            piece = view[: self._missing]
            view = view[self._missing :]
            self._body.receive(piece)
            self._missing -= len(piece)
            if not self._missing:
                body, self._body = self._body, None
                documents.append(body.finish())
        return documents

    def _open(self, length: int) -> _PlainBody | ZstdFrameDecoder:
        if length == 0:
            raise BadMapResponse("cannot read a map frame: its length is zero")
        if length > self._max_decoded:
            raise BadMapResponse(
                f"cannot read a map frame: {length} bytes announced, limit is {self._max_decoded}; raise "
                "limits.max_map_response"
            )
        self._missing = length
        return ZstdFrameDecoder(length, self._max_decoded) if self._compressed else _PlainBody()


def encode_frame(json: bytes, *, compress: bool) -> bytes:
    """One document framed for the body of a map response. Raises LocalProtocolError when it is empty or too long."""
    body = encode_zstd_frame(json) if compress else json
    if not json or len(body) > _MAX_U32:
        raise LocalProtocolError(f"cannot frame a MapResponse of {len(json)} bytes: 1 to {_MAX_U32} allowed")
    return struct.pack("<I", len(body)) + body
