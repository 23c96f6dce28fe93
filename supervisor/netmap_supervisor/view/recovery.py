"""The recovery of a daemon after a fault: the changes from one status report to the next, as lines.

Not here: polling for the reports (`cli.fault`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.errors import escape
from netmap_actors.wire.vocabulary import ActorName, Trust

if TYPE_CHECKING:
    from netmap_actors.wire.status import StatusReport

__all__ = ["Recovery"]


class Recovery:
    """Pure: compares each report with the one before and with the first."""

    def __init__(self, report: StatusReport | None = None) -> None:
        """`report`: the first one, if it is known already."""
        self._first = self._last = report

    def next(self, report: StatusReport) -> list[str]:
        """What has changed since the report before, one line each; empty if nothing has.

        Of a daemon that was not known before: that it is fresh, if it is when it is looked at first.
        """
        last, self._last = self._last, report
        unknown = last is None
        if last is None:
            self._first = last = report
        before = {actor.name: actor for actor in last.actors}
        lines = []
        if report.netmap.state == Trust.STALE and last.netmap.state == Trust.FRESH:
            lines.append(f"stale       {_last_heard(report)}; {report.netmap.peers} peers as they were then")
        for actor in report.actors:
            known = before.get(actor.name)
            if known is None or known.pid == actor.pid:
                continue
            if known.pid is not None:
                lines.append(f"ended       {actor.name} (pid {known.pid}): {_end(report, actor.name)}")
            if actor.pid is not None:
                lines.append(f"started     {actor.name} (pid {actor.pid})")
        # Between two looks it may have been stale and fresh again.
        if report.netmap.state == Trust.FRESH and (
            unknown or last.netmap.state != Trust.FRESH or _source(report) != _source(last)
        ):
            connection = report.connection
            lines.append(
                f"fresh       {report.netmap.peers} peers; connection {connection.generation} (pid {connection.pid}) "
                f"from {escape(connection.local_address or '?', 60)}"
            )
        return lines

    @property
    def well(self) -> bool:
        """Whether the netmap is fresh and every actor active."""
        last = self._last
        return (
            last is not None
            and last.netmap.state == Trust.FRESH
            and all(actor.state == "active" for actor in last.actors)
        )

    def replaced(self, name: str) -> bool:
        """Whether this actor has another process than in the first report."""
        return _restarts(self._last, name) > _restarts(self._first, name)


def _source(report: StatusReport) -> tuple[int | None, int]:
    """Whose netmap it is: the publisher's process and the connection's."""
    return report.netmap.epoch, report.connection.generation


def _restarts(report: StatusReport | None, name: str) -> int:
    actors = () if report is None else report.actors
    return next((actor.restarts for actor in actors if actor.name == name), 0)


def _last_heard(report: StatusReport) -> str:
    age = report.netmap.age_s
    return "no MapResponse yet" if age is None else f"last MapResponse {age:.1f} s ago"


def _end(report: StatusReport, name: str) -> str:
    if name == ActorName.CONNECTION and report.connection.last_end is not None:
        end = report.connection.last_end
        return escape(f"{end.reason}: {end.detail}" if end.detail else end.reason, 1000)
    actor = next(actor for actor in report.actors if actor.name == name)
    return escape(actor.last_exit or "?", 80)
