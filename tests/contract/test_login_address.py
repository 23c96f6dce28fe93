"""Who opens the address of a login decides whose node this is: who is told it, and who hears only that it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.http_endpoint.pages import PATHS
from netmap_actors.http_endpoint.supervisor_status import status_page
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import ActorName
from netmap_supervisor.admin.socket import Request
from netmap_supervisor.config.settings import RunSettings
from netmap_supervisor.daemon.operator_requests import OperatorRequests
from netmap_supervisor.daemon.output.history_feed import HistoryFeed
from netmap_supervisor.daemon.status_report import SupervisorFacts, make_report
from netmap_supervisor.supervision.child_spec import ChildSpec
from tests.support.machines.simulated_shell import SimulatedShell

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from netmap_actors.wire.status import StatusReport

ADDRESS = "https://login.example.com/register/nodekey-of-ours"
CONNECTION = ActorName.CONNECTION
TOLD = {
    ActorName.CONNECTION: False,  # from whom it is
    ActorName.LIVENESS: False,
    ActorName.PUBLISHER: False,  # all subscribers, also from other machines
    ActorName.DEV_CONTROL: False,
    ActorName.HTTP_ENDPOINT: False,  # every user of the machine, and tokens of the scope `read`
    ActorName.HISTORY: False,  # members of `socket_group`, and all that reads the history
    ActorName.WEBHOOKS: True,  # whose owner has named the event: tests/unit/webhooks/test_bodies.py
}
"""What is said to a process can be heard by whoever may read from it. A new process has to decide."""


class Told:
    """A Supervisor's words while a login is needed, by who hears them."""

    def __init__(self) -> None:
        self.heard: dict[str, list[bytes]] = {}
        self.shell = SimulatedShell(
            specs=[ChildSpec(name=name, shutdown=0.5) for name in ActorName]
        ).started()
        self.settings = RunSettings(state_dir="/s", runtime_dir="/r")
        later: list[Callable[[], object]] = []
        remembered = HistoryFeed(self.tell, later.append)
        remembered.on_message(_from(ActorName.HISTORY, occurrences_kept={"opened": 1}))
        self.shell.word(CONNECTION, internal_pb2.StageEntered(generation=1, stage="login", since=1.0))
        self.shell.word(CONNECTION, internal_pb2.LoginNeeded(url=ADDRESS))
        for event, fields in self.shell.logs:
            remembered.event(event, fields, 1.0)
        remembered.event("actor_ready", {"actor": ActorName.WEBHOOKS}, 1.0)
        self.requests = OperatorRequests(self, self, lambda: None)  # type: ignore[arg-type]
        self.call_soon = later.append
        for actor in ActorName:
            self.requests.on_message(_from(actor, status_request={"token": 1}))
        for call in later:
            call()
        for actor, _, body in self.shell.sent:
            self.tell(actor, body)  # type: ignore[arg-type]

    def tell(self, actor: str, body: Message) -> bool:
        self.heard.setdefault(actor, []).append(body.SerializeToString())
        return True

    def report(self) -> StatusReport:
        return make_report(self.shell.core, self.settings, SupervisorFacts("1", 1, 0.0), self.shell.now)

    def counters(self) -> dict[str, dict[str, int]]:
        return {}


def _from(actor: str, **body: dict[str, Any]) -> internal_pb2.Envelope:
    return internal_pb2.Envelope(actor=actor, incarnation=1, **body)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


def test_every_process_has_decided() -> None:
    assert set(TOLD) == set(ActorName)


@pytest.mark.parametrize("actor", list(ActorName))
def test_who_is_told_where_to_log_in(told: Told, actor: ActorName) -> None:
    heard = told.heard.get(actor, [])
    assert any(ADDRESS.encode() in one for one in heard) is TOLD[actor]
    asks = actor in {ActorName.HTTP_ENDPOINT, ActorName.HISTORY}
    assert any(b"login_needed" in one for one in heard) is asks, "who asks hears that it is needed"


def test_who_may_give_orders_is_shown_it(told: Told) -> None:
    replies: list[internal_pb2.AdminReply] = []
    told.requests.on_request(Request("status", {}, replies.append))
    assert msgspec.json.decode(replies[0].json)["connection"]["auth_url"] == ADDRESS


def test_no_page_has_it(told: Told) -> None:
    """All pages are made of what the endpoint was told: see above; this is the one that has the connection."""
    assert "/status" in PATHS
    replies = [
        reply
        for one in told.heard[ActorName.HTTP_ENDPOINT]
        if (reply := internal_pb2.StatusReply.FromString(one)).json
    ]
    page = status_page(msgspec.json.decode(replies[-1].json))
    shown = msgspec.json.decode(page.body)["connection"]
    assert (shown["state"], shown["auth_url"]) == ("login_needed", None)
