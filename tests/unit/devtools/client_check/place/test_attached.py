"""A client that is started elsewhere, played by connections of the test."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.http.tls_files import TlsSetup
from netmap_actors.dev_control.standalone import running_server
from netmap_supervisor.devtools.client_check.place.attached import AttachedClients, how_to_attach, unsuited
from netmap_supervisor.devtools.client_check.place.place import CannotStart, CheckInterrupted, Place, Settings
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, CheckScenario, Limits
from netmap_supervisor.devtools.client_check.scenarios.steps import RestartClient
from netmap_supervisor.devtools.listening import reached_lines
from tests.support.clients.control_client import Closed, ControlClient, Node, joined
from tests.support.servers.quick_server import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.dev_control.standalone import RunningServer

JOIN, CUT = SCENARIOS["join/first-map"], SCENARIOS["session/cut"]


class Told(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


def attached(limit: float, told: Told) -> AttachedClients:
    return AttachedClients({"nodes": 2, "options": QUICK}, limit, told)


def opened(
    clients: AttachedClients, scenario: CheckScenario, stop: threading.Event
) -> contextlib.AbstractContextManager[Place]:
    return clients.place(scenario, Settings((), Limits(), Path("unused")), Path("unused"), stop)


@contextlib.contextmanager
def coming_back(client: ControlClient, server: RunningServer) -> Iterator[None]:
    """Asks for a map on a new connection as soon as this one is closed."""
    again: list[ControlClient] = []

    def come_back() -> None:
        with contextlib.suppress(Closed):
            client.wait(lambda: False)
        again.append(ControlClient(server.url, client.node, server.server_key))
        again[0].map()

    thread = threading.Thread(target=come_back)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        again[0].close()


def test_it_is_the_same_server_and_each_time_another_connection() -> None:
    told, stop = Told(), threading.Event()
    clients = attached(10.0, told)
    with clients as server:
        first, _ = joined(server, node=Node("desk"))
        with opened(clients, CUT, stop) as place:
            place.start()
            assert place.server is server
            assert place.values["hostname"] == "desk"
            assert place.client.ended() == place.client.last_words() == ""
            assert place.events()[0].kind == "accept"
            assert {"accept", "upgrade", "register", "map"} <= {event.kind for event in place.events()}
            server.tailnet.add_node("left-over")
            server.fault("liveness/silence")
        assert told[0] == "waiting for the client, 10 s at most"
        assert told[-1].startswith("the client is there: 127.0.0.1:")
        assert not [node for node in server.nodes() if node.name.startswith("left-over")]
        with coming_back(first, server), opened(clients, JOIN, stop) as place:
            before = server.seen()[-1].at
            place.start()
            assert place.client.started_at > before
            assert "register" not in {event.kind for event in place.events()}, "it was another scenario's"
    assert len(told) == 2 + len([line for line in told if line.startswith("  ")]), (
        "who is back at once is not told"
    )


def test_a_server_that_was_away_is_the_same_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    clients = AttachedClients({"nodes": 2, "options": QUICK, "tls": TlsSetup()}, 10.0, Told())
    with clients as server:
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
        url, plain, key = server.url, server.plain_url, server.server_key
        first, _ = joined(server, node=Node("desk"))
        with opened(clients, CUT, stop) as place:
            place.start()
            place.end_server()
            place.reopen_server()
            again = place.server
            assert (again.url, again.plain_url, again.server_key) == (url, plain, key)
            ControlClient(url, first.node, key).map()
            assert next(event.kind for event in place.events()) == "accept"
            place.end_server()
        first.close()
        ControlClient(url, first.node, key).close()  # it is there again


def test_who_does_not_come_ends_it_with_the_reason() -> None:
    clients = attached(0.2, Told())
    away = pytest.raises(CannotStart, match=r"the client did not come within 0\.2 s; nothing connected")
    with clients, away, opened(clients, CUT, threading.Event()) as place:
        place.start()


def test_what_came_is_named_once() -> None:
    told = Told()
    clients = attached(0.5, told)
    with clients as server:
        peers = [ControlClient(server.url, Node()) for _ in range(3)]
        away = pytest.raises(CannotStart, match=r"last seen of it: 127\.0\.0\.1 the Noise handshake is done")
        with away, opened(clients, CUT, threading.Event()) as place:
            place.start()
        for peer in peers:
            peer.close()
    assert told.count("  127.0.0.1 the Noise handshake is done") == 1


def test_an_interruption_ends_the_waiting() -> None:
    stop = threading.Event()
    stop.set()
    clients = attached(100.0, Told())
    with clients, pytest.raises(CheckInterrupted), opened(clients, JOIN, stop) as place:
        place.start()


def test_what_needs_a_fresh_client_is_skipped_with_its_reason() -> None:
    reasons = {name: unsuited(one, local=True) for name, one in SCENARIOS.items()}
    assert "joins for the first time" in reasons["register/null"]
    for name, one in SCENARIOS.items():
        actions = [action for step in one.steps for action in step.actions]
        restarts = any(isinstance(action, RestartClient) for action in actions)
        fresh = one.before or one.one_shot_key or one.nodes is not None
        assert bool(reasons[name]) == (fresh or restarts), name
    assert unsuited(SCENARIOS["map/foreign-ping"], local=False)


def test_the_words_for_a_device_name_everything_it_has_to_be_told() -> None:
    with running_server() as server:
        lines = "\n".join([*reached_lines(server), *how_to_attach(server)])
    assert f"--login-server={server.url} --auth-key={server.auth_key}" in lines
    assert f"url       {server.url}\nauth key  {server.auth_key}\nstart the client" in lines
    assert "CA" not in lines
