"""A number from outside is one: not "nan", nor infinite, nor true, nor text, and within its bounds."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from netmap_actors.bus.loop import Loop
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.dev_control.faults.catalogue import BadFault, make_fault
from netmap_actors.dev_control.faults.parameters import BadParameter, NumberParameter
from netmap_actors.dev_control.operator.arguments import BadArgument, check_arguments
from netmap_actors.dev_control.operator.commands import Commands
from netmap_actors.finite import whole_number
from netmap_actors.transport.proxy import choose_proxy
from netmap_actors.transport.resolve import resolve
from netmap_supervisor.admin.socket import AdminError
from netmap_supervisor.cli.fault.key_values import key_values
from netmap_supervisor.config import kinds
from netmap_supervisor.daemon.operator_requests import OperatorRequests
from netmap_supervisor.devtools import dev_control
from netmap_supervisor.system.sd_notify import Notifier

NO_NUMBERS = [math.nan, math.inf, -math.inf, True, False, "5", "nan", "inf", "", None, [1], {"s": 1}]
NO_SECONDS = [*NO_NUMBERS, -1, -0.001, 3600.1, 1e300, 10**400]


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


@pytest.mark.parametrize(
    ("webhooks", "why"),
    [((), "this daemon has none; .* after a restart"), ((1,), "process is starting.*; try again")],
)
def test_a_webhook_that_nobody_could_send_to_now_is_refused_with_what_to_do(webhooks, why) -> None:
    daemon = Daemon()
    daemon.settings = SimpleNamespace(webhooks=webhooks)
    daemon.process = lambda actor: None
    request = Request(webhook="a")
    request.command = "webhook"
    with pytest.raises(AdminError, match=f"^cannot test a webhook: .*{why}"):
        OperatorRequests(daemon, None, lambda: None).on_request(request)


@pytest.mark.parametrize("what", ["stop", "freeze", "black-hole"])
@pytest.mark.parametrize("seconds", NO_SECONDS, ids=repr)
def test_a_fault_for_no_time_at_all_is_refused_and_nothing_is_done(what, seconds) -> None:
    daemon = Daemon()
    requests = OperatorRequests(daemon, None, lambda: None)
    with pytest.raises(
        AdminError, match=f"^cannot {what} control_connection: seconds is not a number from 0 to 3600"
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


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize("whole", [False, True])
def test_a_parameter_of_a_fault_is_a_number(value, whole) -> None:
    with pytest.raises(BadParameter, match=r"^is not a( whole)? number from 0 to 10$"):
        NumberParameter(1, 0, 10, whole=whole).check(value)


@pytest.mark.parametrize("times", [*NO_NUMBERS[:-3], [1], 0, -1, 1.5, 10**400], ids=repr)
def test_how_often_a_fault_strikes_is_a_number(times) -> None:
    with pytest.raises(BadFault, match=r"^cannot commit session/cut: times is not a positive number"):
        make_fault("session/cut", times=times)
    assert make_fault("session/cut", times=3).times == 3
    assert make_fault("session/cut", times=None).times is None


@pytest.mark.parametrize("word", [False, 0, [], {}, 1, "nowhere", ["live"], math.nan], ids=repr)
@pytest.mark.parametrize("which", ["moment", "scope"])
def test_when_and_whom_a_fault_strikes_is_one_of_the_words(which, word) -> None:
    with pytest.raises(BadFault, match=r"^cannot commit session/cut: .* is not a valid"):
        make_fault("session/cut", **{which: word})
    assert (
        make_fault("session/cut", **{which: ""})
        == make_fault("session/cut", **{which: None})
        == make_fault("session/cut")
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("method", "given"), [(Commands.expire, {"node": "a", "in_seconds": 0}), (Commands.seen, {"after": 0})]
)
def test_an_argument_of_an_order_is_a_number(value, method, given) -> None:
    name = list(given)[-1]
    with pytest.raises(BadArgument, match=f"{name} of {method.__name__}: .*number"):
        check_arguments(method, given | {name: value})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "[" * 100_000])
def test_a_value_that_is_no_json_is_text(text) -> None:
    assert key_values([f"seconds={text}"]) == {"seconds": text}


@pytest.mark.parametrize("churn", ["nan", "inf", "-1", "1e400"])
def test_a_rate_of_changes_is_a_number(churn) -> None:
    outcome = CliRunner().invoke(
        dev_control.command, ["--churn", churn, "--nodes", "0"], standalone_mode=False
    )
    assert isinstance(outcome.exception, click.BadParameter)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_option_that_is_no_number_is_said_to_be_none(value) -> None:
    for kind in (kinds.Duration(1.0, 10.0), kinds.Number(1.0, 10.0)):
        with pytest.raises(kinds.BadValue, match=r"not a (finite )?number"):
            kind.parse(value, Path())


MANY = "9" * 5000
"""Digits of which Python makes no number."""


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.0", "1e3", "²", "１", "0x1", " 1", "1_0", "101", MANY, "0" * 5000 + "101"]
)
def test_digits_that_write_no_number_or_too_large_a_one(text) -> None:
    assert whole_number(text, 100) is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("100", 100), ("007", 7), ("0" * 5000, 0)])
def test_digits_write_a_number(text, number) -> None:
    assert whole_number(text, 100) == number


@pytest.mark.parametrize("microseconds", ["0", "", "nan", "-1", "1e3", "²", MANY, "9" * 400, str(2**64)])
def test_a_watchdog_that_names_no_time_is_none(microseconds) -> None:
    assert Notifier({"WATCHDOG_USEC": microseconds}).watchdog_interval is None


@pytest.mark.parametrize(
    ("microseconds", "interval"), [("1", 0.05), ("3000000", 1.5), (str(2**64 - 1), (2**64 - 1) / 2e6)]
)
def test_a_watchdog_is_fed_twice_as_often_as_it_asks_but_not_all_the_time(microseconds, interval) -> None:
    assert Notifier({"WATCHDOG_USEC": microseconds}).watchdog_interval == interval


@pytest.mark.parametrize(
    "word", [f"h.example:{MANY}", "h.example:65536", "h.example:²", f"[::1]:{MANY}", "10.0.0.0/" + MANY]
)
def test_an_exception_with_a_port_that_is_none_excepts_nobody(word) -> None:
    url = ControlUrl.parse("https://h.example")
    chosen = choose_proxy(url, "environment", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": word})
    assert chosen is not None
    assert (
        choose_proxy(url, "environment", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": f"{word},h.example:443"})
        is None
    )


@pytest.mark.parametrize("zone", ["4294967296", "99999999999999999999", MANY, "nosuchif"])
def test_an_interface_that_is_not_there_is_said_to_be_so(zone) -> None:
    told: list[str] = []
    loop = Loop()
    resolve(loop, f"fe80::1%{zone}", 443, lambda found: told.append(str(found)), told.append)
    loop.run(lambda: bool(told))
    loop.close()
    assert told == [f"cannot resolve fe80::1%{zone}: there is no interface {zone}"]
