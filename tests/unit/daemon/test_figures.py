from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.boot import MAX_WEBHOOKS
from netmap_actors.wire import internal_pb2
from netmap_supervisor.admin.socket import AdminError, Request
from netmap_supervisor.daemon.figures import MAX_FIGURES, bounded
from netmap_supervisor.daemon.operator_requests import OperatorRequests
from tests.support.netmaps.shown_netmap import report

if TYPE_CHECKING:
    from netmap_actors.wire.status import StatusReport


@pytest.mark.parametrize(
    ("counters", "shown"),
    [
        ({"http_requests": 3, "foreign_words": 0}, {"http_requests": 3, "foreign_words": 0}),
        ({f"a{number}": number for number in range(MAX_FIGURES + 1)}, {}),
        ({"a" * 41: 1}, {}),
        ({'x"} 1\nup{job="': 1}, {}),
        ({"": 1, "good": 1}, {}),
        ({"Upper": 1}, {}),
    ],
)
def test_figures_are_so_many_and_of_such_names_as_ours(
    counters: dict[str, int], shown: dict[str, int]
) -> None:
    heartbeat = internal_pb2.Heartbeat(number=7, counters=counters, confinement=counters)
    kept = bounded(heartbeat)
    assert dict(kept.counters) == dict(kept.confinement) == shown
    assert kept.number == 7, "it is a heartbeat all the same"


@pytest.mark.parametrize(
    "one",
    [
        {"name": "Up"},
        {"name": 'x"} 1'},
        {"name": ""},
        {"name": "a", "delivered_at": float("nan")},
        {"name": "a", "delivered_at": 1e300},
        {"name": "a", "delivered_at": -1.0},
    ],
)
def test_webhooks_that_could_not_be_shown_are_left_out(one: dict[str, Any]) -> None:
    good = internal_pb2.WebhookStatistics(name="oncall_2-x", delivered=1, delivered_at=1_767_323_045.0)
    assert len(bounded(internal_pb2.Heartbeat(webhooks=[good])).webhooks) == 1
    bad = internal_pb2.WebhookStatistics(**one)
    assert not bounded(internal_pb2.Heartbeat(webhooks=[good, bad])).webhooks
    assert not bounded(internal_pb2.Heartbeat(webhooks=[good] * (MAX_WEBHOOKS + 1))).webhooks


class Daemon:
    """Counts its reports."""

    def __init__(self) -> None:
        self.reports = 0
        self.told: list[int] = []

    def report(self) -> StatusReport:
        self.reports += 1
        return report()

    def counters(self) -> dict[str, dict[str, int]]:
        return {}

    def tell(self, actor: str, body: Any) -> bool:
        assert actor == "http_endpoint"
        self.told.append(body.token)
        return True


class Loop:
    """A loop that turns on demand."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, call: Any) -> None:
        self.soon.append(call)

    def turn(self) -> None:
        calls, self.soon = self.soon, []
        for call in calls:
            call()


def test_whoever_asks_without_end_has_one_report_a_turn() -> None:
    daemon, loop = Daemon(), Loop()
    requests = OperatorRequests(daemon, loop, lambda: None)  # type: ignore[arg-type]
    for first in (1, 1001):
        for token in range(first, first + 500):
            word = internal_pb2.Envelope(actor="http_endpoint", incarnation=1)
            word.status_request.token = token
            assert requests.on_message(word)
        loop.turn()
    loop.turn()
    assert daemon.reports == 2
    assert daemon.told == [500, 1500], "the last question of each turn has its answer"


@pytest.mark.parametrize("starting", [False, True])
def test_who_may_give_orders_gets_a_ticket_that_only_the_publisher_hears_of(starting: bool) -> None:
    told: list[tuple[str, bytes]] = []
    daemon = Daemon()
    daemon.tell = lambda actor, body: not told.append((actor, body.json)) and not starting  # type: ignore[method-assign]
    requests = OperatorRequests(daemon, Loop(), lambda: None)  # type: ignore[arg-type]
    replies: list[internal_pb2.AdminReply] = []
    for _ in range(2):
        request = Request("record", {}, replies.append)
        if starting:
            with pytest.raises(AdminError, match="the publisher is starting; try again"):
                requests.on_request(request)
        else:
            requests.on_request(request)
    answered = [("publisher", msgspec.json.decode(one.json)["ticket"].encode()) for one in replies]
    assert answered == ([] if starting else told)
    assert len({ticket for _, ticket in told}) == 2
