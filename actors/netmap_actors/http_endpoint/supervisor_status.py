"""The Supervisor's status, asked for once for all who wait for it: /metrics and /status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors import shown_json
from netmap_actors.http_endpoint.pages import JSON, TEXT, Page
from netmap_actors.wire import internal_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop

__all__ = ["Report", "SupervisorStatus", "status_page"]

STATUS_LIMIT = 2.0
"""Seconds the Supervisor has for its answer."""
LATE = b"cannot show the status: the daemon did not answer in time\n"

Report = dict[str, Any]
"""`status` and `counters`; empty: it has not answered in time."""


class SupervisorStatus:
    """`ask(request)` sends one message to the Supervisor."""

    def __init__(self, loop: Loop, ask: Callable[[internal_pb2.StatusRequest], object]) -> None:
        self._loop = loop
        self._ask = ask
        self._token = 0
        self._waiting: list[Callable[[Report], object]] = []
        self._limit = loop.deadline(lambda: self._tell({}))

    def ask(self, tell: Callable[[Report], object]) -> None:
        """`tell` is called once, with an answer to a question asked now or a moment ago."""
        self._waiting.append(tell)
        if self._limit.when is None:
            self._token += 1
            self._limit.set(self._loop.now() + STATUS_LIMIT)
            self._ask(internal_pb2.StatusRequest(token=self._token))

    def answered(self, reply: internal_pb2.StatusReply) -> None:
        """The Supervisor's answer; one that comes too late is nobody's."""
        if reply.token == self._token and self._limit.when is not None:
            self._tell(msgspec.json.decode(reply.json, type=dict[str, Any]))

    def _tell(self, report: Report) -> None:
        self._limit.set(None)
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell(report)


def status_page(report: Report) -> Page:
    """What `status --json` prints."""
    if "status" not in report:
        return Page(503, TEXT, LATE)
    return Page(200, JSON, shown_json.encode(report["status"]) + b"\n")
