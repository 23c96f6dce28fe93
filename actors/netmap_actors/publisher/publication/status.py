"""The publication as status shows it: figures, conditions, and when they are reported before a regular heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.publisher.publication.freshness import name_of

if TYPE_CHECKING:
    from netmap_actors.publisher.publication.core import Publication
    from netmap_actors.publisher.publication.tailnet_netmap import TailnetNetmap
    from netmap_actors.wire.internal_pb2 import Heartbeat

__all__ = ["AGE_INTERVAL", "COUNT_INTERVAL", "SKEW_STEP", "PublicationStatus"]

AGE_INTERVAL = 1.0
"""Seconds between two heartbeats that only say when the last MapResponse came."""
COUNT_INTERVAL = 0.1
"""Seconds after which a new number of subscribers is reported: not for each of a thousand connections a second."""
SKEW_STEP = 10
"""Seconds by which the difference of two clocks has to change to be reported again."""


class PublicationStatus:
    """Compares the publication with what was reported of it. Times are seconds of CLOCK_BOOTTIME."""

    def __init__(self, publication: Publication, netmap: TailnetNetmap) -> None:
        self._publication = publication
        self._netmap = netmap
        self._figures: tuple[object, ...] = ()
        self._conditions: dict[str, str] = {}
        self._skew = 0
        self._reported_at = 0.0
        self._received_at: float | None = None
        self.deadline: float | None = None
        """When to send a heartbeat; None: with the next regular one."""

    def subscribers_changed(self, now: float) -> None:
        """Their number is another."""
        self._report_by(now + COUNT_INTERVAL)

    def look(self, now: float) -> list[tuple[str, str]]:
        """To be called after each input: conditions to report, as code and text, without text when healed.

        All that hold are reported again with each change of a figure: a message that got lost is made good.
        """
        publication = self._publication
        peers, quarantined, hidden, left_out, exact = self._netmap.figures
        if exact or self._skew:
            skew = round(exact)
            # Each message gives another number, by the time it took.
            if bool(skew) != bool(self._skew) or abs(skew - self._skew) >= SKEW_STEP:
                self._skew = skew
        numbers = (quarantined, hidden, left_out, self._skew)
        figures = (publication.state(now), publication.mapped_session, peers, numbers)
        if figures == self._figures:
            if publication.last_received_at != self._received_at:
                self._report_by(max(now, self._reported_at + AGE_INTERVAL))
            return []
        self._figures = figures
        self._report_by(now)
        before, self._conditions = self._conditions, _conditions(*numbers)
        return [(code, text) for code, text in self._conditions.items() if text or before.get(code)]

    def fill(self, heartbeat: Heartbeat, now: float) -> None:
        """Write the figures into a heartbeat that is about to be sent."""
        publication, statistics = self._publication, self._netmap.statistics
        self._reported_at, self._received_at, self.deadline = now, publication.last_received_at, None
        heartbeat.publisher.CopyFrom(self._netmap.facts())
        figures = heartbeat.publisher
        figures.state = name_of(publication.state(now))
        figures.state_since = publication.state_since(now)
        figures.last_received_at = publication.last_received_at or 0.0
        figures.epoch, figures.seq = publication.epoch, publication.seq
        figures.generation, figures.session = publication.mapped_session
        heartbeat.counters.update(
            {
                "dropped": publication.intake.dropped,
                "gaps": publication.intake.gaps,
                "bad_map_responses": publication.bad,
                "suppressed": statistics.suppressed,
                "hidden_peers": statistics.hidden,
                "left_out": statistics.left_out,
                "unknown_ids": statistics.ignored_unknown_ids,
            }
        )

    def _report_by(self, when: float) -> None:
        self.deadline = when if self.deadline is None else min(self.deadline, when)


def _conditions(quarantined: int, hidden: int, left_out: int, skew: int) -> dict[str, str]:
    """By code; the text is empty where there is nothing to show."""
    way = "behind" if skew > 0 else "ahead of"
    conditions = {
        "peer_quarantined": quarantined
        and f"{quarantined} peers could not be read, or say that they are this node",
        "peer_hidden": hidden
        and f"{hidden} peers are not shown: the control server names others with the same id, and only one can have "
        "it; tell who runs it",
        "messages_left_out": left_out
        and f"{left_out} messages of the control server are not shown: they are too many or too long",
        "clock_skew": skew
        and f"this machine's clock is {abs(skew)} s {way} the control server's; set it: other programs on this "
        "machine may take keys for valid that have expired, or the other way round",
    }
    return {code: text or "" for code, text in conditions.items()}
