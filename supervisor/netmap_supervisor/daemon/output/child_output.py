"""What one child writes on its standard error, line by line: events of ours, and whatever else a process may print.

The child may be compromised: the pipe identifies it, never the line. Bytes go in, lines come out. Not here: the pipe
(`children`), and how many lines of a kind are written (`log_limiter`).
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from netmap_actors.errors import escape
from netmap_supervisor.system.log import LOG_LEVELS, STAMPS

__all__ = ["CHILD_EVENTS", "ChildLine", "ChildOutput"]

CHILD_EVENTS: Final = frozenset(
    {
        "actor_failed",
        "actor_finished",
        "bad_map_response",
        "black_hole_on_request",
        "connections_cut",
        "directory_not_locked",
        "few_files_allowed",
        "few_files_for_subscribers",
        "foreign_envelope",
        "frozen_on_request",
        "history_broken",
        "history_not_written",
        "http_certificate_renewed",
        "http_endpoint_open",
        "http_endpoint_plaintext",
        "http_login",
        "http_request_failed",
        "http_tls_refused",
        "http_token_refused",
        "refused_system_calls_not_counted",
        "remote_subscribers_welcome",
        "server_wish",
        "subscriber_admitted",
        "subscriber_key_revoked",
        "subscriber_refused",
        "system_calls_not_filtered",
        "teardown_failed",
        "too_many_subscribers",
        "unexpected_message",
        "words_without_end",
        "verdict",
        "webhook_delivers",
        "webhook_failed",
        "webhook_forgotten",
        "webhook_gave_up",
        "webhook_standing_broken",
    }
)
"""Events of children. Every other event is the Supervisor's, and no child may use its name."""
OTHER: Final = "child_output"
"""The event of a line that is none of those."""
MAX_LINE: Final = 8192
"""Bytes of a line; ours have less than half of it (`process.child_log`). What is longer is cut, and said to be."""
MAX_LINES: Final = 400
"""Lines of one read that are looked at. The others are counted: taking them apart costs more than reading them."""
LAST_LINES: Final = 50
"""Of these, so many at the end, where a process that dies says why."""
MAX_DETAIL: Final = 500
"""Characters of why it failed."""
_MAX_TEXT: Final = 400
_MAX_FIELDS: Final = 40
_FAILED: Final = "actor_failed"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_STAMP: Final = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,9})?Z")

_Scalar: TypeAlias = str | int | float | bool | None
# What is nested deeper than this is not looked into, however deep it goes.
_LINE: Final = msgspec.json.Decoder(dict[str, _Scalar | list[_Scalar]])
_REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)


class ChildLine(NamedTuple):
    """One event to be logged."""

    level: str
    event: str
    fields: dict[str, Any]
    timestamp: str = ""
    """When it was written, RFC 3339; empty where the child does not say it so."""
    unread: int = 0
    """Lines before this one that were not looked at."""


class ChildOutput:
    """The lines of one process. `actor`, `pid` and `generation` are those of the process the pipe was made for."""

    def __init__(self, actor: str, pid: int, generation: int) -> None:
        self.who = {"actor": actor, "pid": pid, "generation": generation}
        self._partial = b""
        self._cut = False
        """The line that goes on was reported already, and is too long."""
        self.failure = ""
        """Why it failed, as last reported."""
        self.last_text = ""
        """The last line that was no event, as of an interpreter that dies."""

    def feed(self, data: bytes) -> list[ChildLine]:
        """Bytes as they came through the pipe."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if self._cut and lines:
            del lines[0]
            self._cut = False
        unread = 0
        if len(lines) > MAX_LINES:
            unread = len(lines) - MAX_LINES
            del lines[MAX_LINES - LAST_LINES : -LAST_LINES]
        if self._cut:
            self._partial = b""
        elif len(self._partial) > MAX_LINE:
            lines.append(self._partial)
            self._partial, self._cut = b"", True
        found = [self._line(line) for line in lines if line.strip()]
        if unread and found:
            found[-1] = found[-1]._replace(unread=unread)
        return found

    def end(self) -> list[ChildLine]:
        """Nothing more comes: a line without its end is one, too."""
        return [] if self._cut else self.feed(b"\n")

    def _line(self, line: bytes) -> ChildLine:
        try:
            if len(line) > MAX_LINE:
                return self._text(line)
            record = _LINE.decode(line)
        except _REFUSALS:
            # An interpreter that dies, say. Untrusted, and better seen than lost.
            return self._text(line)
        event = record.get("event")
        if not isinstance(event, str):
            return self._text(line)
        fields = self._fields(record)
        if event not in CHILD_EVENTS:
            fields = {**fields, "said": escape(event, 40)}
        level, stamp = record.get("level"), record.get("timestamp")
        if event == _FAILED:
            self.failure = str(fields.get("detail") or "")[:MAX_DETAIL]
        return ChildLine(
            level if isinstance(level, str) and level in LOG_LEVELS else "info",
            event if event in CHILD_EVENTS else OTHER,
            fields,
            stamp if isinstance(stamp, str) and _STAMP.fullmatch(stamp) else "",
        )

    def _fields(self, record: dict[str, Any]) -> dict[str, Any]:
        """Its other fields, under valid names, and its identity."""
        given = [
            (name, value) for name, value in record.items() if _NAME.fullmatch(name) and name not in STAMPS
        ]
        return {name: _written(value) for name, value in given[:_MAX_FIELDS]} | self.who

    def _text(self, line: bytes) -> ChildLine:
        self.last_text = escape(line, _MAX_TEXT)
        return ChildLine("warning", OTHER, {"text": self.last_text, **self.who})


def _written(value: Any) -> Any:
    """The value as every version of every reader takes it: no number is longer than 64 bits."""
    if isinstance(value, int) and value.bit_length() > 63:
        return str(value)
    return [_written(item) for item in value] if isinstance(value, list) else value
