"""What healing gives back, and what faults and orders do to a request that has no answer yet."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import RunningServer, ServerFailed, running_server
from netmap_actors.errors import RemoteProtocolError
from tests.support.clients.control_client import Closed, ControlClient, Node, Response, joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.dev_control.operator.commands import Commands


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=3, keep_alive=0.2, keep_alive_jitter=0.0, batch_delay=0.005) as running:
        yield running


def asking(server: RunningServer, name: str = "client") -> tuple[ControlClient, Response]:
    """A client that has registered and asked for its map."""
    client = ControlClient(server.url, Node(name))
    client.register(server.auth_key)
    return client, client.map()


@pytest.mark.parametrize(
    "name", ["liveness/silence", "liveness/pings-only", "liveness/empty-records", "liveness/black-hole"]
)
def test_a_stream_that_was_held_behind_its_headers_goes_on(server: RunningServer, name: str) -> None:
    server.fault(name, moment="first", scope="later")
    client, stream = asking(server)
    wait_for(lambda: name in [fault for one in server.clients() for fault in one.faults], 5.0, "the fault")
    assert server.heal() >= 1
    assert "Node" in client.message(stream, 0)
    client.close()


def test_end_stream_at_the_first_map_ends_it_in_good_order(server: RunningServer) -> None:
    server.fault("session/end-stream", moment="first", scope="later", times=1)
    client, stream = asking(server)
    client.wait(lambda: stream.ended)
    assert (stream.status, stream.body) == (200, b"")
    assert "Node" in client.message(client.map(), 0), "the connection is well"
    client.close()


@pytest.mark.parametrize(
    "name",
    [
        "session/rst-stream",
        "session/goaway",
        "session/cut",
        "session/eof",
        "session/cut-mid-record",
        "input/corrupt-record",
    ],
)
def test_what_ends_a_map_request_leaves_no_stream_behind(server: RunningServer, name: str) -> None:
    server.fault(name, moment="map", scope="later", times=1)
    client, stream = asking(server)
    with contextlib.suppress(Closed, RemoteProtocolError):
        client.wait(lambda: stream.reset is not None or client.goaway is not None)
    assert [one.map_streams for one in server.clients() if one.map_streams] == []
    assert server.call(lambda it: it.node("client")).online is False
    server.heal()
    assert [one.map_streams for one in server.clients() if one.map_streams] == []
    client.close()


def test_of_two_faults_at_one_moment_the_graver_one_counts(server: RunningServer) -> None:
    for name in ("session/rst-stream", "liveness/headers-never"):
        server.fault(name, moment="map", scope="later", times=1)
    client, stream = asking(server)
    client.wait(lambda: stream.reset is not None)
    assert [one.map_streams for one in server.clients() if one.map_streams] == []
    client.close()


def test_a_node_removed_with_its_stream_while_that_is_held(server: RunningServer) -> None:
    server.fault("liveness/headers-never")
    client, stream = asking(server)
    wait_for(lambda: [one for one in server.clients() if one.map_streams], 5.0, "the stream")
    server.tailnet.remove_node("client", end_stream=True)
    client.wait(lambda: stream.ended)
    client.close()


def test_a_drip_may_begin_with_the_first_map(server: RunningServer) -> None:
    server.fault("liveness/slow-drip", moment="first", scope="later", period=0.02)
    client, stream = asking(server)
    client.wait(lambda: stream.frames is not None and bool(stream.frames.partial))
    assert stream.messages == []
    client.close()


def test_orders_pass_by_who_has_no_headers_yet(server: RunningServer) -> None:
    server.fault("liveness/headers-never", client="held")
    held, silent = asking(server, "held")
    other, stream = joined(server, "other")
    wait_for(lambda: len([one for one in server.clients() if one.map_streams]) == 2, 5.0, "both")
    assert server.raw('{"Debug":{"Exit":1}}') == 1
    other.wait(lambda: {"Debug": {"Exit": 1}} in stream.messages)
    for name in (
        "map/foreign-ping",
        "input/bad-json",
        "input/oversized-frame",
        "liveness/slow-drip",
        "liveness/half-frame",
    ):
        assert server.fault(name, client="held") == 0, "there is nothing it could strike"
    assert server.call(lambda it: it.ping("held"))
    assert silent.status is None
    server.heal()
    assert "Node" in held.message(silent, 0)
    held.close()
    other.close()


def test_what_was_asked_while_all_was_held_is_answered_then(server: RunningServer) -> None:
    client, _ = joined(server)
    server.fault("liveness/pings-only", period=0.02)
    register = client.request("/machine/register", client.register_body(server.auth_key))
    lite = client.request("/machine/map", client.map_body(Stream=False, OmitPeers=True))
    wait_for(lambda: len(server.seen("lite")) == 1, 5.0, "the request")
    with pytest.raises(TimeoutError):
        client.wait(lambda: register.status is not None or lite.status is not None, 0.3)
    server.heal()
    client.wait(lambda: register.ended and lite.ended)
    assert (register.status, lite.status) == (200, 200)
    client.close()


def test_one_fault_ends_and_the_other_stays(server: RunningServer) -> None:
    open_before, stream = joined(server, "before")
    server.fault("register/null")
    server.fault("liveness/no-keep-alives", scope="all")
    assert server.heal(fault="liveness/no-keep-alives") == 2, (
        "the one that waits, and the connection that suffers"
    )
    told = len(stream.messages)
    open_before.message(stream, told)
    newcomer = ControlClient(server.url, Node("newcomer"))
    assert newcomer.answer("/machine/register", newcomer.register_body(server.auth_key)).body == b"null"
    newcomer.close()
    open_before.close()


def test_a_defect_costs_one_connection_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with running_server(keep_alive=0.1, keep_alive_jitter=0.0) as server:
        victim, _ = joined(server, "victim")
        other, stream = joined(server, "other")
        chosen = server.call(lambda it: next(iter(it._server.connections.values())))

        def broken(_now: float) -> bool:
            raise ZeroDivisionError("planted")

        monkeypatch.setattr(chosen.api, "expire", broken)
        with pytest.raises(Closed, match="reset"):
            victim.wait(lambda: False)
        told = len(stream.messages)
        other.message(stream, told + 1)
        assert "a defect of this server: ZeroDivisionError" in [one.detail for one in server.seen("end")]
        assert "connection_failed" in caplog.text
        assert "planted" in caplog.text
        victim.close()
        other.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_whose_thread_has_ended_says_so_at_once() -> None:
    with running_server() as server:

        def die(commands: Commands) -> None:
            commands._server._loop.call_soon(fail)

        def fail() -> None:
            raise ZeroDivisionError("planted")

        server.call(die)
        with pytest.raises(ServerFailed, match="its thread has ended with ZeroDivisionError: planted"):
            wait_for(lambda: server.call(lambda _: False), 5.0, "its end")
        with pytest.raises(ServerFailed):
            server.clients()


def test_half_a_surrogate_pair_is_refused_before_it_can_be_sent(server: RunningServer) -> None:
    server.tailnet.add_node("web")
    for edit in (
        lambda: server.tailnet.set_tags("web", ["tag:\ud800"]),
        lambda: server.tailnet.rename("web", "\ud800"),
        lambda: server.tailnet.add_node("\ud800"),
        lambda: server.tailnet.set_endpoints("web", ["\ud800"]),
    ):
        with pytest.raises(Exception, match="no Unicode text"):
            edit()
    client, _ = joined(server)
    client.close()


def test_an_ephemeral_node_that_never_asks_for_a_map_is_deleted() -> None:
    with running_server(ephemeral_grace=0.3) as server:
        key = server.call(lambda it: it.add_auth_key(ephemeral=True))
        client = ControlClient(server.url, Node("job"))
        client.register(key)
        assert [node.ephemeral for node in server.nodes()] == [True]
        wait_for(lambda: server.nodes() == [], 5.0, "its end")
        client.close()
