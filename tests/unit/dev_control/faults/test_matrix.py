"""Every fault at every moment, its parameters at their bounds, amid orders, and healed: the server lives on."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.faults.catalogue import FAULTS, BadFault, Moment, make_fault
from netmap_actors.dev_control.faults.parameters import BadParameter, NumberParameter, TextParameter
from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.errors import NetmapError
from tests.support.clients.control_client import Closed, ControlClient, Node, fetch_key, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = [(name, moment) for name, kind in FAULTS.items() for moment in sorted(kind.moments, key=str)]
DISTURBANCES: tuple[dict[str, Any], ...] = (
    {"name": "map/foreign-ping"},
    {"name": "input/bad-json", "json": "{}"},
    {"name": "liveness/clock-wrong", "seconds": 5.0},
    {"name": "input/flood", "frame": "empty_data", "count": 3},
)
WHAT_A_CLIENT_MAY_MEET = (NetmapError, OSError, Closed, ValueError, TimeoutError, AssertionError)


class Failures:
    """What the server logs about itself."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, **fields: object) -> None:
        if event == "connection_failed":
            self.seen.append((event, fields))


@pytest.fixture(scope="module")
def failures() -> Failures:
    return Failures()


@pytest.fixture(scope="module")
def server(failures: Failures) -> Iterator[RunningServer]:
    with running_server(
        nodes=3, keep_alive=0.05, keep_alive_jitter=0.0, batch_delay=0.001, log=failures
    ) as running:
        yield running


def bounds(name: str) -> Iterator[dict[str, Any]]:
    """The parameters of a fault: as they are, all at the lowest, all at the highest."""
    parameters = FAULTS[name].parameters
    yield {}
    if parameters:
        yield {key: _least(parameter) for key, parameter in parameters.items()}
        yield {key: _most(parameter) for key, parameter in parameters.items()}


def _least(parameter: NumberParameter | TextParameter) -> float | str:
    if isinstance(parameter, NumberParameter):
        return parameter.least
    return min(parameter.words, default="x" * parameter.shortest)


def _most(parameter: NumberParameter | TextParameter) -> float | str:
    if isinstance(parameter, NumberParameter):
        return min(parameter.most, 1 << 30)
    return max(parameter.words, default="x" * parameter.longest)


def live(server: RunningServer, name: str) -> None:
    """What a client does in its life, as far as it gets, and a little of everything while it does."""
    key = server.server_key
    with (
        contextlib.suppress(*WHAT_A_CLIENT_MAY_MEET),
        ControlClient(server.url, Node(name), key, patience=0.1) as client,
    ):
        client.request("/machine/register", client.register_body(server.auth_key))
        with contextlib.suppress(TimeoutError):
            client.wait(lambda: False, 0.03)
        stream = client.map()
        client.request("/machine/map", client.map_body(Stream=False, OmitPeers=True))
        with contextlib.suppress(TimeoutError):
            client.wait(lambda: len(stream.messages) > 1, 0.06)
        assert server.raw('{"KeepAlive":true}') >= 0
        server.call(lambda it: it.ping())
        for given in DISTURBANCES:
            server.fault(scope="all", **given)
        with contextlib.suppress(TimeoutError):
            client.wait(lambda: False, 0.02)
        server.heal()
        with contextlib.suppress(TimeoutError):
            client.wait(lambda: False, 0.05)


def knock(server: RunningServer) -> None:
    """A question to the front door, which a fault may answer."""
    with (
        contextlib.suppress(*WHAT_A_CLIENT_MAY_MEET),
        socket.create_connection(("127.0.0.1", server.port), 0.05) as sock,
    ):
        sock.sendall(b"GET /key?v=130 HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(4096)


@pytest.mark.parametrize(("name", "moment"), CASES, ids=lambda one: getattr(one, "value", one))
def test_no_fault_harms_the_server_itself(
    server: RunningServer, failures: Failures, name: str, moment: Moment
) -> None:
    for scope, given in [("later", {}), *(("all", given) for given in bounds(name))]:
        with joined(server, "witness")[0] as witness:
            server.fault(name, moment=moment.value, scope=scope, **given)
            knock(server)
            live(server, "victim")
            server.heal()
            with contextlib.suppress(*WHAT_A_CLIENT_MAY_MEET):
                witness.wait(lambda: False, 0.01)
    assert failures.seen == []
    assert fetch_key(server.url) == server.server_key
    client, stream = joined(server, "afterwards")
    assert "Node" in stream.messages[0]
    client.close()


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_out_of_bounds_is_refused(name: str) -> None:
    for key, parameter in FAULTS[name].parameters.items():
        if isinstance(parameter, NumberParameter):
            wrong: list[Any] = [parameter.least - 1, parameter.most * 2 + 1, float("nan"), "1", None]
        else:
            wrong = ["x" * (parameter.longest + 1), "\ud800", 7, None, *([""] if parameter.shortest else [])]
            wrong += ["a\r\nb: c", "\u20ac"] if parameter.printable else []
            wrong += ["something else"] if parameter.words else []
        for value in wrong:
            with pytest.raises(BadParameter):
                parameter.check(value)
            with pytest.raises(BadFault, match=f"cannot commit {name}: {key} (is|has|holds) "):
                make_fault(name, **{key: value})
