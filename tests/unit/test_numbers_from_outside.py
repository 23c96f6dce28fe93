"""A number from outside is one: not "nan", nor infinite, nor true, nor text, and within its bounds."""

from __future__ import annotations

import math

import pytest

from netmap_supervisor.admin import AdminError
from netmap_supervisor.operator_requests import OperatorRequests

NO_SECONDS = ["nan", math.nan, math.inf, True, "5", -1, 3600.1, 1e300]


class Daemon:
    """Takes whatever is ordered."""

    def __init__(self) -> None:
        self.did: list[object] = []
        self.settings = None

    def process(self, actor):
        return self

    def report(self):
        return self

    @property
    def control(self):
        return self

    embedded, url, pid = True, "", 7

    def tell(self, actor, body) -> bool:
        self.did.append(body)
        return True

    def send(self, number) -> None:
        self.did.append(number)

    def event(self, *told) -> None:
        self.did.append(told)


class Request:
    command = "fault"

    def __init__(self, **arguments) -> None:
        self.arguments = arguments
        self.answers: list[object] = []

    def answer(self, value) -> None:
        self.answers.append(value)


@pytest.mark.xfail(strict=True, reason="seconds of a fault may be no number, which ends the Supervisor later")
@pytest.mark.parametrize("what", ["stop", "freeze", "black-hole"])
@pytest.mark.parametrize("seconds", NO_SECONDS, ids=repr)
def test_a_fault_for_no_time_at_all_is_refused_and_nothing_is_done(what, seconds) -> None:
    daemon = Daemon()
    requests = OperatorRequests(daemon, None, lambda: None)
    with pytest.raises(
        AdminError, match=f"^cannot {what} control_connection: seconds is .*a number from 0 to 3600"
    ):
        requests.on_request(Request(what=what, actor="control_connection", seconds=seconds))
    assert daemon.did == []


@pytest.mark.parametrize(
    ("seconds", "done"),
    [({}, 30.0), ({"seconds": 0}, 30.0), ({"seconds": 2.5}, 2.5), ({"seconds": 3600}, 3600.0)],
)
def test_a_fault_for_some_time_is_done(seconds, done) -> None:
    daemon = Daemon()
    request = Request(what="freeze", actor="publisher", **seconds)
    OperatorRequests(daemon, None, lambda: None).on_request(request)
    assert daemon.did[0].seconds == done
    assert request.answers == [{}]
