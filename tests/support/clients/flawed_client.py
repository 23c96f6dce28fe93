"""A control client that is sound but for the flaws it is started with, as the client of `check-client`. Not a test.

    python -m tests.support.clients.flawed_client LIMIT [FLAW …]

LIMIT is its watchdog in seconds; the flaws are those of FLAWS and of `flaws`. What it believes about its peers stands
in `{dir}/peers.json`.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.support.clients.control_client import ControlClient, Node, fetch_key
from tests.support.clients.flaws import MAP_FLAWS, Beliefs

if TYPE_CHECKING:
    from collections.abc import Container

    from netmap_actors.protocol.keys import MachineKey

FLAWS = frozenset({"no-watchdog", "replays-key", "forgets-key", "no-pause", "gives-up", *MAP_FLAWS})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 4.0


class FlawedClient:
    """One node, from its registration on."""

    def __init__(self, url: str, auth_key: str, name: str, limit: float, flaws: Container[str]) -> None:
        self._url = url
        self._auth_key = auth_key
        self._node = Node(name)
        self._limit = limit
        self._flaws = flaws
        self._registered = False
        self._key: MachineKey | None = None
        self._pause = _FIRST_PAUSE
        self._beliefs = Beliefs(flaws)

    def run(self) -> None:
        """Session after session, for ever."""
        while True:
            try:
                self._session()
            except Exception as error:  # whatever the server did: it goes on
                print(f"session ended: {type(error).__name__}: {error}", flush=True)
                if "gives-up" in self._flaws and self._registered:
                    threading.Event().wait()
            if "forgets-key" in self._flaws:
                self._node, self._registered = Node(self._node.name), False
            if "no-pause" in self._flaws:
                continue
            threading.Event().wait(self._pause * random.uniform(0.8, 1.0))
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _session(self) -> None:
        self._key = self._key or fetch_key(self._url)
        with ControlClient(self._url, self._node, self._key) as client:
            if not self._registered or "replays-key" in self._flaws:
                answer = client.register(self._auth_key)
                if not answer or answer.get("Error"):
                    raise ValueError(f"not registered: {answer}")
                self._registered = True
            stream = client.map()
            self._beliefs.begin_session()
            while True:
                known = len(stream.messages)
                limit = threading.TIMEOUT_MAX if "no-watchdog" in self._flaws else self._limit
                client.wait(
                    lambda known=known: (
                        len(stream.messages) > known or stream.ended or stream.reset or client.goaway
                    ),
                    min(limit, 1e6),
                )
                if len(stream.messages) == known:
                    raise ValueError(f"status {stream.status}, reset {stream.reset}, {client.goaway}")
                for message in stream.messages[known:]:
                    self._believe(message)
                self._pause = _FIRST_PAUSE

    def _believe(self, message: dict[str, Any]) -> None:
        self._beliefs.apply(message)
        peers = self._beliefs.peers()
        path = Path(os.environ["NETMAP_CHECK_DIR"], "peers.json")
        path.with_suffix(".new").write_text(json.dumps(peers))
        path.with_suffix(".new").rename(path)


def main() -> None:
    given = SimpleNamespace(limit=float(sys.argv[1]), flaws=frozenset(sys.argv[2:]))
    assert given.flaws <= FLAWS, f"the flaws are {', '.join(sorted(FLAWS))}"
    environment = os.environ
    FlawedClient(
        environment["NETMAP_CHECK_URL"],
        environment["NETMAP_CHECK_AUTH_KEY"],
        environment["NETMAP_CHECK_HOSTNAME"],
        given.limit,
        given.flaws,
    ).run()


if __name__ == "__main__":
    main()
