"""Recordings on disk: plain, gzip or zstd by the file's suffix.

What was written is on its way to the disk line by line, so that a file that is cut is readable up to there.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

from netmap_actors.errors import ConfigurationError
from netmap_actors.protocol.zstd_frame import ZstdError, ZstdFileWriter, zstd_file_reader
from netmap_actors.recording.format import read_recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.recording.format import Recording

__all__ = ["MAX_LINE", "MAX_RECORDING", "RecordingFile", "create", "read"]

MAX_LINE: Final = 512 << 20
"""Bytes: a MapResponse of the largest size, and as much again for longer pseudonyms."""
MAX_RECORDING: Final = 2 << 30
"""Bytes of a whole recording, decompressed: it is played from memory."""
GZIP, ZSTD = ".gz", ".zst"


class _Compressed(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class RecordingFile:
    """A file that is being written."""

    def __init__(self, raw: IO[bytes], suffix: str) -> None:
        self._raw = raw
        self._suffix = suffix
        self._out: _Compressed = raw
        if suffix == GZIP:
            self._out = gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0)
        elif suffix == ZSTD:
            self._out = ZstdFileWriter(raw)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._raw.tell()

    def write(self, line: bytes) -> None:
        """A whole line, as far as the kernel when this returns. Raises OSError."""
        self._out.write(line)
        self._out.flush()
        self._raw.flush()

    def close(self) -> None:
        """Raises OSError. Closing twice is allowed."""
        try:
            if self._out is not self._raw and not self._raw.closed:
                self._out.close()
        finally:
            self._raw.close()


def create(path: Path) -> RecordingFile:
    """A new file (0600). Raises OSError, for one that is there FileExistsError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    return RecordingFile(os.fdopen(descriptor, "wb"), path.suffix)


def read(path: str | Path) -> Recording:
    """The recording in this file. Raises ConfigurationError, which names it and the line."""
    path = Path(path)
    try:
        with path.open("rb") as raw:
            return read_recording(_lines(raw, path), str(path))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from None


def _lines(raw: IO[bytes], path: Path) -> Iterator[bytes]:
    """The last one without an end of line where the file is cut."""
    file: IO[bytes] = raw
    if path.suffix == GZIP:
        file = gzip.GzipFile(fileobj=raw)  # type: ignore[assignment]  # it reads lines
    elif path.suffix == ZSTD:
        file = zstd_file_reader(raw)
    total = 0
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(MAX_LINE + 1)
        except EOFError:
            yield b""
            return
        except (gzip.BadGzipFile, zlib.error, ZstdError) as error:
            raise ConfigurationError(f"cannot play {path}: line {number}: {error}") from None
        if not line:
            return
        total += len(line)
        if len(line) > MAX_LINE or total > MAX_RECORDING:
            raise ConfigurationError(
                f"cannot play {path}: line {number}: more than {MAX_LINE} bytes in it, or {MAX_RECORDING} so far"
            )
        yield line
