"""The lines of a recording: a header, then for each session its beginning, its MapResponses and its end. Pure.

JSON Lines. A file that was cut anywhere is readable up to there. Not here: files (`files`), pseudonyms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors import shown_json
from netmap_actors.errors import ConfigurationError
from netmap_actors.wire.vocabulary import TAILNET

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Header",
    "RecordedDocument",
    "RecordedEnd",
    "RecordedSession",
    "Recording",
    "began_line",
    "closing_line",
    "document_line",
    "end_line",
    "header_line",
    "missed_line",
    "note_line",
    "read_recording",
]

FORMAT: Final = "netmap-supervisor recording"
FORMAT_VERSION: Final = 1
MAX_TIME: Final = 366 * 86400.0
"""Seconds that a session may last."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line."""

    format: str
    version: int
    """Of the format: a reader takes its own and older ones."""
    product: str = ""
    """Program and version of the daemon that was recorded."""
    capability_version: int = 0
    map_request: dict[str, Any] = {}
    """What the session asked for, under Tailscale's names; nothing that tells who asked."""
    tailnet: str = TAILNET
    recorded: str = ""
    """When the recording began, RFC 3339."""


class RecordedDocument(msgspec.Struct, frozen=True):
    """One MapResponse."""

    at: float
    """Seconds since the session's first one."""
    json: msgspec.Raw
    keep_alive: bool = False


class RecordedEnd(msgspec.Struct, frozen=True):
    """The end of a session, as its client saw it."""

    reason: str = ""
    """As `status` names it: closed, error, silence, …; `new_session` where the client asked anew."""
    stage: str = ""
    detail: str = ""


class RecordedSession(msgspec.Struct):
    """One map session. Its first MapResponse that is no keep-alive is the whole netmap."""

    documents: list[RecordedDocument] = []
    end: RecordedEnd | None = None
    """None: it went on when the recording ended."""
    ended_at: float = 0.0
    """As `RecordedDocument.at`."""


class Recording(msgspec.Struct):
    """A whole file; of every session at least the whole netmap."""

    header: Header
    sessions: list[RecordedSession] = []
    cut: str = ""
    """Where and why the file ends early; empty: it ends as it should, or its recorder was killed between two lines."""

    missed: int = 0
    """Sessions between these that its recorder came too late for."""

    @property
    def lacks(self) -> list[str]:
        """What happened and is not in it, a sentence each."""
        missed = f"its recorder missed {self.missed} session{'s' * (self.missed != 1)}"
        return [self.cut] * bool(self.cut) + [missed] * bool(self.missed)

    @property
    def documents(self) -> int:
        return sum(len(session.documents) for session in self.sessions)


def header_line(product: str, capability_version: int, map_request: dict[str, Any], recorded: str) -> bytes:
    """The first line."""
    header = Header(
        format=FORMAT,
        version=FORMAT_VERSION,
        product=product,
        capability_version=capability_version,
        map_request=map_request,
        recorded=recorded,
    )
    return _line(header)


def began_line(number: int, generation: int, began: str) -> bytes:
    """A session begins: the `number`-th of this recording, of this connection of the daemon."""
    return _line({"session": number, "generation": generation, "began": began})


def document_line(at: float, document: object, size: int) -> bytes:
    """One MapResponse; `size`: bytes it had as it came, decompressed."""
    return _line({"t": round(at, 6), "size": size, "map_response": document})


def end_line(at: float, end: RecordedEnd) -> bytes:
    """The session's end."""
    return _line({"t": round(at, 6), "end": end})


def note_line(at: float, note: str) -> bytes:
    """Something for people; players pass it over."""
    return _line({"t": round(at, 6), "note": note})


def missed_line(map_responses: int) -> bytes:
    """A session that is not recorded, for so many MapResponses of it had passed when its recorder came."""
    return _line({"missed": map_responses})


def closing_line(reason: str, sessions: int, map_responses: int) -> bytes:
    """The last line of a recording that was not cut."""
    return _line({"recording_ended": reason, "sessions": sessions, "map_responses": map_responses})


class _Line(msgspec.Struct, frozen=True):
    """Any line but the first; other keys are of no importance."""

    t: float = 0.0
    session: int | None = None
    map_response: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    end: RecordedEnd | None = None
    missed: int = 0


class _Shape(msgspec.Struct, frozen=True):
    """What a player has to know of a MapResponse."""

    keep_alive: bool = msgspec.field(default=False, name="KeepAlive")
    node: dict[str, msgspec.Raw] | None = msgspec.field(default=None, name="Node")


_lines = msgspec.json.Decoder(_Line)
_shapes = msgspec.json.Decoder(_Shape)
_whole = msgspec.json.Decoder(dict[str, Any])


def read_recording(lines: Iterable[bytes], name: str) -> Recording:
    """A recording of its lines, each with its end of line; `name`: of the file, for errors.

    Raises ConfigurationError, which names the line.
    """
    numbered = enumerate(lines, 1)
    recording = Recording(_header(next(numbered, (1, b""))[1], name))
    for number, line in numbered:
        if not line.endswith(b"\n"):
            recording.cut = f"line {number} is cut off"
            break
        try:
            _take(recording, _lines.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise ConfigurationError(f"cannot play {name}: line {number}: {_why(error)}") from None
    # One that began when the recording ended has no netmap to begin with.
    recording.sessions = [
        one for one in recording.sessions if not all(document.keep_alive for document in one.documents)
    ]
    if not recording.sessions:
        raise ConfigurationError(
            f"cannot play {name}: it has no session: a recording begins with the next one; record with --reconnect"
        )
    return recording


def _header(line: bytes, name: str) -> Header:
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        header = None
    if header is None or header.format != FORMAT:
        raise ConfigurationError(
            f"cannot play {name}: line 1 is no header of a recording, as `netmap-supervisor record` writes it"
        )
    if header.version > FORMAT_VERSION:
        raise ConfigurationError(
            f"cannot play {name}: line 1: format version {header.version} is newer than this program, which knows "
            f"{FORMAT_VERSION}"
        )
    return header


def _take(recording: Recording, line: _Line) -> None:
    """Raises ValueError, msgspec.MsgspecError."""
    if line.session is not None:
        if recording.sessions and recording.sessions[-1].end is None:
            # Its recorder was stopped for a moment, or it fell back and was cut off.
            _end(recording.sessions[-1], RecordedEnd("unknown"))
        recording.sessions.append(RecordedSession())
        return
    if isinstance(line.map_response, msgspec.UnsetType) and line.end is None:
        recording.missed += line.missed > 0
        return  # a note, or what a later version adds
    if not recording.sessions or recording.sessions[-1].end is not None:
        raise ValueError("it belongs to no session")
    session = recording.sessions[-1]
    last = session.documents[-1].at if session.documents else 0.0
    if not (math.isfinite(line.t) and last <= line.t <= MAX_TIME):
        raise ValueError(f"its time {line.t} is not between that of the line before and {MAX_TIME:.0f}")
    if line.end is not None:
        session.end, session.ended_at = line.end, line.t
        return
    assert not isinstance(line.map_response, msgspec.UnsetType), "it is one of the two"
    shape = _shapes.decode(line.map_response)
    # Decoded once and thrown away: what cannot be read is reported now, with its line, and not while it is played.
    _whole.decode(line.map_response)
    if (
        not shape.keep_alive
        and shape.node is None
        and not any(not one.keep_alive for one in session.documents)
    ):
        raise ValueError("a session has to begin with the whole netmap: there is no Node")
    session.documents.append(RecordedDocument(line.t, line.map_response, shape.keep_alive))


def _end(session: RecordedSession, end: RecordedEnd) -> None:
    session.end = end
    session.ended_at = session.documents[-1].at if session.documents else 0.0


def _why(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _line(value: object) -> bytes:
    return shown_json.encode(value) + b"\n"
