"""What becomes of a daemon after something was broken: one status after another, told as the changes between them.

Not here: who asks for the statuses (`fault`, `demo`), and when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.errors import escape
from netmap_actors.wire.vocabulary import ActorName, Trust

if TYPE_CHECKING:
    from netmap_supervisor.admin.status import StatusReport

__all__ = ["Story"]


class Story:
    """Pure: begins with a status, and is told the next ones."""

    def __init__(self, report: StatusReport) -> None:
        self._last = report
        self._restarts = {actor.name: actor.restarts for actor in report.actors}

    def next(self, report: StatusReport) -> list[str]:
        """What has changed since the status before, one line each; empty when nothing has."""
        last, self._last = self._last, report
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
        if report.netmap.state == Trust.FRESH and last.netmap.state != Trust.FRESH:
            connection = report.connection
            lines.append(
                f"fresh       {report.netmap.peers} peers; connection {connection.generation} (pid {connection.pid}) "
                f"from {escape(connection.local_address or '?', 60)}"
            )
        return lines

    @property
    def well(self) -> bool:
        """The netmap is fresh and every actor at work."""
        return self._last.netmap.state == Trust.FRESH and all(
            actor.state == "active" for actor in self._last.actors
        )

    def replaced(self, name: str) -> bool:
        """Whether this actor has got another process since the beginning."""
        now = {actor.name: actor.restarts for actor in self._last.actors}
        return now.get(name, 0) > self._restarts.get(name, 0)


def _last_heard(report: StatusReport) -> str:
    age = report.netmap.age_s
    return "no MapResponse yet" if age is None else f"last MapResponse {age:.1f} s ago"


def _end(report: StatusReport, name: str) -> str:
    if name == ActorName.CONNECTION and report.connection.last_end is not None:
        end = report.connection.last_end
        return escape(f"{end.reason}: {end.detail}" if end.detail else end.reason, 1000)
    actor = next(actor for actor in report.actors if actor.name == name)
    return escape(actor.last_exit or "?", 80)
