"""A daemon whose page a browser opens, joined to a control server in the test's own hands."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

from tests.support.host.free_ports import free_address
from tests.support.processes.daemon import Daemon, children_of, role_of
from tests.support.servers.scripted import joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.support.servers.scripted import Control

LIMIT = 20.0


class PageDaemon(Daemon):
    """With a history and the HTTP endpoint on a free port of loopback."""

    def __init__(self, *options: str, control: Control | None = None, **settings: Any) -> None:
        self.control = control
        self.http = free_address()
        self.origin = f"http://{self.http}"
        super().__init__(
            f"--http-listen={self.http}",
            *(joined(control) if control else ()),
            *options,
            **({"history": True} | settings),
        )

    def get(self, path: str) -> tuple[int, bytes]:
        """Status code and body; 0 while nothing answers."""
        client = http.client.HTTPConnection(self.http, timeout=LIMIT)
        try:
            client.request("GET", path)
            response = client.getresponse()
            return response.status, response.read()
        except OSError:
            return 0, b""
        finally:
            client.close()

    def answers(self, path: str = "/healthz") -> int:
        """The status code alone."""
        return self.get(path)[0]

    def wait_served(self) -> None:
        """Until the endpoint has a fresh netmap."""
        wait_for(lambda: self.answers() == 200, 30.0, "a fresh netmap behind HTTP", every=0.1)

    def pid_of(self, role: str) -> int:
        """The process that is this now, the nursery, too."""
        return wait_for(
            lambda: next((pid for pid in children_of(self.pid) if role_of(pid) == role), None),
            LIMIT,
            f"a process {role}",
        )


class Guarded(PageDaemon):
    """Where other machines can ask, too, a token is needed. Tests ask on loopback."""

    def __init__(self) -> None:
        super().__init__("--http-plaintext")
        port = self.http.rpartition(":")[2]
        self._options = (f"--http-listen=0.0.0.0:{port}", *self._options[1:])

    def wait_served(self) -> None:
        self.wait_fresh()
        wait_for(lambda: self.answers("/") == 200, 30.0, "the page", every=0.1)

    def token(self, name: str, scope: str = "read") -> str:
        done = self.command("tokens", "create", name, f"--scope={scope}", f"--state-dir={self.state_dir}")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def revoke(self, name: str) -> None:
        done = self.command("tokens", "revoke", name, f"--state-dir={self.state_dir}")
        assert done.returncode == 0, done.stderr
