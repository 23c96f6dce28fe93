"""A subscriber as a program: records each event, its view after each step, and its netmap at the end.

    python -m tests.support.clients.recording_subscriber RUNTIME_DIR RECORD

RECORD gets one JSON object per line, each with `at` (CLOCK_BOOTTIME):
    shown   epoch, seq, state and the digest of the whole netmap in the view, then
    event   each event that came with it, as `watch --json` has it;
    ended   on SIGTERM: the whole netmap, the gaps that were seen, and what did not parse.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.subscriber.peer import Peer
from netmap_supervisor import Subscriber
from tests.support.netmaps.netmap_digest import digest, number_of, peer_shown, rest_of_view

if TYPE_CHECKING:
    from netmap_actors.subscriber.events import Event
    from netmap_actors.subscriber.netmap_view import Netmap

PARENT_INTERVAL = 0.2
"""Seconds between two looks at whether the test is still there."""


class Recorder:
    """Follows one daemon. What the view holds is read from the view, never worked out from the events."""

    def __init__(self, subscriber: Subscriber, record: int) -> None:
        self._subscriber = subscriber
        self._record = record
        self._shown: tuple[int, int, str] | None = None
        self._numbers: dict[bytes, int] = {}

    def on_event(self, event: Event) -> None:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        lines = []
        view = self._subscriber.store.snapshot()
        # The state that the step led to: on the way there, in the commits of one answer, it may have been another, and
        # what the view says of itself may have become stale since.
        shown = (view.epoch, view.seq, self._subscriber._replica._shown)
        if shown != self._shown:
            self._shown = shown
            lines.append(
                {
                    "at": now,
                    "shown": {
                        "epoch": shown[0],
                        "seq": shown[1],
                        "state": shown[2],
                        "digest": self._digest(view.netmap),
                    },
                }
            )
        lines.append({"at": now, "event": event.to_json()})
        self._write(lines)

    def end(self) -> None:
        view, replica = self._subscriber.store.snapshot(), self._subscriber._replica
        ended = {
            "epoch": view.epoch,
            "seq": view.seq,
            "state": view.state,
            "digest": self._digest(view.netmap),
            "netmap": view.netmap.to_json(),
            "gaps": replica.gaps,
            "malformed": replica.malformed,
        }
        self._write([{"at": time.clock_gettime(time.CLOCK_BOOTTIME), "ended": ended}])

    def _digest(self, netmap: Netmap) -> str:
        # At each of thousands of commits all of a thousand peers are looked at; those unchanged are the same bytes.
        total = 0
        for piece in netmap._contents.peers.values():
            number = self._numbers.get(piece)
            if number is None:
                number = self._numbers[piece] = number_of(peer_shown(Peer(piece, {}).to_json()))
            total += number
        return digest(total % (1 << 128), rest_of_view(netmap))

    def _write(self, lines: list[dict[str, Any]]) -> None:
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        while data:
            data = data[os.write(self._record, data) :]


def main(runtime_dir: str, path: str) -> None:
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    parent = os.getppid()
    record = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with Subscriber(runtime_dir) as subscriber:
        recorder = Recorder(subscriber, record)
        subscriber.on("*", recorder.on_event)
        while not told and os.getppid() == parent:
            # Everything has been written by the callback; taking the events only lets them go.
            subscriber.next_event(PARENT_INTERVAL)
        recorder.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
