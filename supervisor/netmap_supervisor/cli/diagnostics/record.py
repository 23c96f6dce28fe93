"""`record`: keeps what the control server sends, with pseudonyms, so that it can be played again."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from netmap_actors import __version__
from netmap_actors.clock import SystemClock
from netmap_actors.errors import NetmapError, escape
from netmap_actors.pseudonyms import Pseudonyms
from netmap_actors.recording import files
from netmap_actors.recording.format import header_line
from netmap_actors.rfc3339 import stamp
from netmap_supervisor.admin.commands import CommandFailed, send_request
from netmap_supervisor.admin.socket import AdminError
from netmap_supervisor.cli.diagnostics.recorder import SessionRecorder
from netmap_supervisor.cli.diagnostics.tap_client import TapClient
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.cli.process.interruption import Interruption
from netmap_supervisor.system.single_instance import is_locked

if TYPE_CHECKING:
    from netmap_actors.recording.files import RecordingFile

__all__ = ["command", "map_request_fields"]

_CLOCK: Final = SystemClock()
_SHOW_EVERY: Final = 1.0
"""Seconds, on a terminal."""
_AGAIN: Final = 0.2


@click.command("record")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--reconnect",
    is_flag=True,
    help="Begin now, and again where a session was missed: have the daemon connect anew.",
)
@click.option(
    "--for",
    "duration",
    type=DurationRange(1.0, 366 * 86400.0),
    help="End so long after the first session has begun.  [default: with Ctrl-C]",
)
@click.option("--sessions", type=click.IntRange(1, 100_000), help="End when so many sessions have ended.")
@runtime_dir_flag
def command(
    file: Path, reconnect: bool, duration: float | None, sessions: int | None, runtime_dir: Path
) -> None:
    """Record what the control server sends to the running daemon into FILE, until Ctrl-C.

    Each MapResponse with its time, keep-alives and the ends of sessions included. Names, keys, addresses and whatever
    else tells whose tailnet it is are replaced before they reach the disk. A session begins with the whole netmap, so
    recording begins with the next one. FILE is new, for its owner alone, one JSON object a line; compressed when it is
    called .gz or .zst. `dev-control --replay FILE` plays it.

    \b
    Examples:
      netmap-supervisor record session.jsonl --reconnect --for 10m
      netmap-supervisor record night.jsonl.zst
    """
    with Interruption() as interruption, TapClient(runtime_dir, interruption) as first:
        out = _create(file)
        try:
            out.write(header_line(f"netmap-supervisor {__version__}", *map_request_fields(), _now()))
            if reconnect:
                _reconnect(runtime_dir, file)
            run = _Run(
                file,
                out,
                runtime_dir,
                interruption,
                reconnect=reconnect,
                sessions=sessions or 0,
                duration=duration or 0.0,
            )
            run.record(first)
        except OSError as error:
            raise CommandFailed(f"cannot write {file}: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):  # what the disk does not take was reported
                out.close()


def _reconnect(runtime_dir: Path, file: Path) -> None:
    try:
        send_request(runtime_dir, "reconnect")
    except NetmapError:
        file.unlink()  # nothing is in it, and it would be in the way of the next attempt
        raise


def _create(path: Path) -> RecordingFile:
    try:
        return files.create(path)
    except FileExistsError:
        raise CommandFailed(f"cannot write {path}: it is there already; name another file") from None
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {error.strerror}") from None


def map_request_fields() -> tuple[int, dict[str, Any]]:
    """The capability version, and what the daemon's map request asks for; nothing that tells who asks."""
    # Imported here: the other commands need nothing of the connection.
    from netmap_actors.control_connection.client.capability import CAPABILITY_VERSION  # noqa: PLC0415
    from netmap_actors.control_connection.client.map_session import map_request  # noqa: PLC0415
    from netmap_actors.protocol.keys import DiscoKey, NodeKey  # noqa: PLC0415
    from netmap_actors.tailcfg import Hostinfo  # noqa: PLC0415

    request = msgspec.json.decode(map_request(NodeKey(bytes(32)), DiscoKey(bytes(32)), Hostinfo()))
    asked = {name: value for name, value in request.items() if not isinstance(value, dict)}
    for key in ("NodeKey", "DiscoKey"):
        asked.pop(key, None)
    return CAPABILITY_VERSION, asked


class _Run:
    """One recording, from its first line to its last."""

    def __init__(
        self,
        path: Path,
        out: RecordingFile,
        runtime_dir: Path,
        interruption: Interruption,
        *,
        reconnect: bool,
        sessions: int,
        duration: float,
    ) -> None:
        """`reconnect`: where a session is missed, too; `sessions`, `duration`: how many, how long; 0: until it is
        interrupted.
        """
        self._path = path
        self._out = out
        self._runtime_dir = runtime_dir
        self._interruption = interruption
        self._recorder = SessionRecorder(Pseudonyms(os.urandom(32)), out.write, sessions)
        self._reconnect = reconnect
        self._duration = duration
        self._until: float | None = None
        self._told = (0, "")
        """Sessions, and what was waited for, when that was told last."""

    def record(self, tap: TapClient) -> None:
        """Raises OSError, CommandFailed."""
        recorder = self._recorder
        why = self._follow(tap)
        while not why:
            recorder.publisher_ended()
            self._show()
            why = self._follow_next()
        recorder.finish(why)
        self._say(f"{self._account()}; over: {escape(recorder.over, 200)}; in {self._path}")
        if recorder.missed:
            self._say(
                f"{recorder.missed} session{'s' * (recorder.missed != 1)} that had begun could not be recorded"
            )
        if recorder.sessions:
            self._say(f"to play it to any client: netmap-supervisor dev-control --replay {self._path}")
        if recorder.cut_off:
            raise CommandFailed(
                f"cannot go on recording: {escape(recorder.over, 200)}; {self._path} ends there"
            )

    def _follow_next(self) -> str:
        while not (why := self._over()):
            if not is_locked(self._runtime_dir):
                return "the daemon has ended"
            try:
                with TapClient(self._runtime_dir, self._interruption) as tap:
                    if self._reconnect and tap.hello.get("missed"):
                        send_request(self._runtime_dir, "reconnect")
                    return self._follow(tap)
            except (CommandFailed, AdminError) as error:
                if not self._interruption.asked:
                    self._recorder.waits = f"waiting for the publisher: {escape(str(error), 200)}"
                    self._show()
                    select.select([self._interruption.fileno()], [], [], _AGAIN)
        return why

    def _follow(self, tap: TapClient) -> str:
        """Why the recording is over; empty: this connection is. Raises OSError."""
        recorder = self._recorder
        recorder.take(tap.hello, b"", _now())
        watched = [tap.fileno(), self._interruption.fileno()]
        ready: list[int] = []
        while not (why := self._over()):
            try:
                if tap.fileno() in ready:
                    tap.receive()
                for header, body in tap.messages():
                    recorder.take(header, body, _now())
            except EOFError:
                return ""
            if self._until is None and self._duration and recorder.sessions:
                self._until = _CLOCK.boottime() + self._duration
            self._show()
            wait = _SHOW_EVERY if self._until is None else min(_SHOW_EVERY, self._until - _CLOCK.boottime())
            ready, _, _ = select.select(watched, [], [], max(wait, 0.0))
        return why

    def _over(self) -> str:
        """Why the recording is over; empty: it is not."""
        if self._interruption.asked:
            return "interrupted"
        if self._until is not None and _CLOCK.boottime() >= self._until:
            return f"after {self._duration:g} s"
        return self._recorder.over

    def _show(self) -> None:
        """On a terminal all the time, else when a session begins or ends, or something else is waited for."""
        recorder = self._recorder
        text = self._account() if recorder.sessions else ""
        if waits := recorder.waiting:
            hint = "" if self._reconnect else " (--reconnect has the daemon begin one)"
            text += f"; {waits}" if text else f"{waits}{hint}"
        if sys.stderr.isatty():
            # One line: a longer one would be written below itself.
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            click.echo(f"\r{text[: width - 1]}\x1b[K", err=True, nl=False)
        elif (now := (recorder.sessions, waits)) != self._told:
            self._told = now
            click.echo(text, err=True)

    def _account(self) -> str:
        recorder = self._recorder
        state = f"session {recorder.sessions}" if recorder.sessions else "no session"
        messages = f"{recorder.map_responses} MapResponse{'s' * (recorder.map_responses != 1)}"
        text = f"{state}: {messages}, {self._out.size / 1024:.1f} KiB"
        if recorder.last_at is not None:
            text += f", the last {_CLOCK.boottime() - recorder.last_at:.0f} s ago"
        return text

    def _say(self, text: str) -> None:
        click.echo(f"\r{text}\x1b[K" if sys.stderr.isatty() else text, err=True)


def _now() -> str:
    return stamp(_CLOCK.wall(), "seconds")
