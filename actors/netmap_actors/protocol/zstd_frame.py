"""Decodes exactly one Zstandard frame of known length under a limit, and encodes one; files of such frames.

Not here: the framing of the map stream (`map_framing`). Layouts from RFC 8878, section 3.1.1.
"""

from __future__ import annotations

import io
import sys
from typing import IO, cast

import msgspec

from netmap_actors.errors import BadMapResponse

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "FrameHeader",
    "ZstdError",
    "ZstdFileWriter",
    "ZstdFrameDecoder",
    "encode_zstd_frame",
    "parse_frame_header",
    "zstd_file_reader",
]

ZstdError = zstd.ZstdError

MAX_HEADER = 18
"""Bytes of the longest frame header, magic included."""
WINDOW_LIMIT = 8 << 20
"""Largest window of a frame whose window is not simply its content (RFC 8878 asks decoders for at least this)."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_BLOCK_MAXIMUM = 128 << 10
_SMALLEST_BLOCK = 4
"""Bytes of the densest block: three of header and the one byte that is repeated up to `_BLOCK_MAXIMUM` times."""
_STEP = 1 << 20
"""Bytes decoded between two checks of the size."""
_WINDOW_LOG_MIN, _WINDOW_LOG_MAX = 10, 31
_DICTIONARY_ID_LENGTHS = (0, 1, 2, 4)


class FrameHeader(msgspec.Struct, frozen=True):
    """The header of a frame."""

    content_size: int | None
    """Decoded bytes as declared, None when not declared."""
    window_size: int
    """Bytes of history that a decoder keeps."""
    single_segment: bool
    """Whether the window is the content itself."""


def parse_frame_header(head: bytes) -> FrameHeader:
    """Header of the frame that begins with `head` (at least 18 bytes of it, or all). Raises BadMapResponse."""
    if head[:4] != _MAGIC:
        # Skippable frames (magic 50..5F 2A 4D 18) are valid Zstandard without data, and refused.
        raise BadMapResponse(
            f"cannot decompress: frame begins with {head[:4].hex()}, not with {_MAGIC.hex()}"
        )
    if len(head) < 5:
        raise BadMapResponse("cannot decompress: the frame ends inside its header")
    descriptor = head[4]
    single_segment = bool(descriptor & 0x20)
    offset = 5 if single_segment else 6
    size_length = {0: int(single_segment), 1: 2, 2: 4, 3: 8}[descriptor >> 6]
    dictionary_end = offset + _DICTIONARY_ID_LENGTHS[descriptor & 0x03]
    if len(head) < dictionary_end + size_length:
        raise BadMapResponse("cannot decompress: the frame ends inside its header")
    if descriptor & 0x08:
        raise BadMapResponse("cannot decompress: a reserved bit of the frame header is set")
    if any(head[offset:dictionary_end]):
        raise BadMapResponse("cannot decompress: the frame asks for a dictionary")
    content_size: int | None = None
    if size_length:
        content_size = int.from_bytes(head[dictionary_end : dictionary_end + size_length], "little")
        content_size += 256 if size_length == 2 else 0
    if single_segment:
        assert content_size is not None, "a single segment always declares its size"
        return FrameHeader(content_size, content_size, True)
    base = 1 << (10 + (head[5] >> 3))
    return FrameHeader(content_size, base + (base >> 3) * (head[5] & 0x07), False)


class ZstdFrameDecoder:
    """One frame of `length` bytes, decoded as it arrives into at most `limit` bytes.

    The declared size is checked against the limit, and against what so many bytes can hold, before anything is
    allocated; the output is counted as it comes.
    """

    def __init__(self, length: int, limit: int) -> None:
        self._length = length
        self._limit = limit
        self._head = b""
        self._declared: int | None = None
        self._decompressor: zstd.ZstdDecompressor | None = None
        self._decoded = io.BytesIO()

    def receive(self, data: bytes | memoryview) -> None:
        """The next bytes of the frame. Raises BadMapResponse."""
        if self._decompressor is None:
            wanted = min(MAX_HEADER, self._length)
            missing = wanted - len(self._head)
            self._head += data[:missing]
            if len(self._head) < wanted:
                return
            self._decompressor = self._open(parse_frame_header(self._head))
            self._decode(self._decompressor, self._head)
            data = data[missing:]
        if data:
            self._decode(self._decompressor, data)

    @property
    def decoded(self) -> int:
        """Bytes decoded so far."""
        return self._decoded.tell()

    def text_from(self, start: int) -> bytes:
        """What is decoded so far, from this byte on; not yet proved by the frame's checksum."""
        self._decoded.seek(start)
        return self._decoded.read()

    def finish(self) -> bytes:
        """The decoded content, after the last byte of the frame. Raises BadMapResponse."""
        if self._decompressor is None or not self._decompressor.eof:
            raise BadMapResponse(
                f"cannot decompress: the frame is not finished after its {self._length} bytes"
            )
        size = self._decoded.tell()
        if self._declared is not None and size != self._declared:
            raise BadMapResponse(f"cannot decompress: {size} bytes came out, {self._declared} were declared")
        return self._decoded.getvalue()

    def _open(self, header: FrameHeader) -> zstd.ZstdDecompressor:
        declared = header.content_size
        if declared is not None:
            if declared > self._limit:
                raise BadMapResponse(f"cannot decompress: {declared} bytes declared, limit is {self._limit}")
            if declared > (self._length // _SMALLEST_BLOCK) * _BLOCK_MAXIMUM:
                raise BadMapResponse(
                    f"cannot decompress: {self._length} bytes cannot hold the {declared} declared"
                )
        if not header.single_segment and header.window_size > WINDOW_LIMIT:
            raise BadMapResponse(
                f"cannot decompress: window of {header.window_size} bytes, limit is {WINDOW_LIMIT}"
            )
        self._declared = declared
        log = max(header.window_size - 1, 0).bit_length()
        window_log_max = min(max(log, _WINDOW_LOG_MIN), _WINDOW_LOG_MAX)
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log_max})

    def _decode(self, decompressor: zstd.ZstdDecompressor, data: bytes | memoryview) -> None:
        if decompressor.eof:
            raise BadMapResponse("cannot decompress: bytes behind the end of the frame")
        limit = self._limit if self._declared is None else self._declared
        more = True
        while more:
            room = limit - self._decoded.tell()
            try:
                piece = decompressor.decompress(data, min(_STEP, room + 1))
            except zstd.ZstdError as error:
                raise BadMapResponse(f"cannot decompress: {error}") from error
            if len(piece) > room:
                raise BadMapResponse(f"cannot decompress: more than {limit} bytes come out")
            self._decoded.write(piece)
            data = b""
            more = not (decompressor.eof or decompressor.needs_input)
        if decompressor.unused_data:
            raise BadMapResponse("cannot decompress: bytes behind the end of the frame")


def encode_zstd_frame(content: bytes) -> bytes:
    """One frame as Go servers send it: single segment, content size declared, checksum at the end."""
    log = min(
        max((len(content) - 1).bit_length(), _WINDOW_LOG_MIN),
        zstd.CompressionParameter.window_log.bounds()[1],
    )
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: 1,
        zstd.CompressionParameter.window_log: log,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    return zstd.compress(content, options=options)


class ZstdFileWriter:
    """One frame; what was flushed can be read although the frame is not finished."""

    def __init__(self, file: IO[bytes]) -> None:
        """`file` stays the caller's to close."""
        self._file = file
        self._compressor = zstd.ZstdCompressor()

    def write(self, data: bytes, /) -> int:
        """Raises OSError."""
        self._file.write(self._compressor.compress(data))
        return len(data)

    def flush(self) -> None:
        """Raises OSError."""
        self._file.write(self._compressor.flush(zstd.ZstdCompressor.FLUSH_BLOCK))

    def close(self) -> None:
        """End the frame. Raises OSError."""
        self._file.write(self._compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME))


def zstd_file_reader(file: IO[bytes]) -> IO[bytes]:
    """What it holds, decompressed; reading raises ZstdError, and EOFError where the file is cut."""
    return cast("IO[bytes]", zstd.ZstdFile(file))
