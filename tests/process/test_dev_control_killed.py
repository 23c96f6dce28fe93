"""A `netmap-supervisor dev-control` that is killed while nodes register: what it has answered stays so."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from tests.support.clients.control_client import Closed, ControlClient, Node
from tests.support.processes.dev_server import DevServer, running_dev_server
from tests.support.waiting import wait_for


class Crowd:
    """Nodes that register one after the other, in several threads, until the server is gone."""

    def __init__(self, server: DevServer, threads: int) -> None:
        self._server = server
        self.answered: list[Node] = []
        self.logins: list[tuple[Node, str]] = []
        self._threads = [threading.Thread(target=self._register, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20.0)
            assert not thread.is_alive()

    def _register(self) -> None:
        try:
            while True:
                node = Node()
                with ControlClient(self._server.url, node) as client:
                    if client.register(self._server.auth_key)["MachineAuthorized"]:
                        self.answered.append(node)
                waiting = Node()
                with ControlClient(self._server.url, waiting) as client:
                    self.logins.append((waiting, client.register()["AuthURL"]))
        except (OSError, Closed):
            return


def test_no_answered_registration_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    options = ("--nodes=0", "--churn=0", f"--state-dir={tmp_path}/state")
    with running_dev_server(*options) as server:
        crowd = Crowd(server, 4)
        wait_for(lambda: len(crowd.answered) > 20, 20.0, "registrations have been answered")
        server.process.send_signal(signal.SIGKILL)
        crowd.join()
    with running_dev_server(*options) as server:
        for node in crowd.answered:
            with ControlClient(server.url, node) as client:
                assert client.register()["MachineAuthorized"], "it is known without a key"
        node, url = crowd.logins[-1]
        with ControlClient(server.url, node) as client:
            path = url.partition("/auth/")[2]
            waits = client.request(
                "/machine/register", client.register_body(Followup=f"{server.url}/auth/{path}")
            )
            client.http2.ping(b"12345678")
            client.wait(lambda: client.pings_acked == 1)
            assert waits.status is None, "the login still waits for somebody"
