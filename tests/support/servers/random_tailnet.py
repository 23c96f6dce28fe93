"""A scripted control server whose tailnet changes at random, and everything that was ever true of it, with moments."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

from netmap_actors.history.occurrences import WARNED_BEFORE
from netmap_actors.rfc3339 import unix_seconds
from tests.support.histories.tailnet_truth import KEY_EXPIRY, TailnetTruth

if TYPE_CHECKING:
    import random

    from netmap_actors.dev_control.operator.commands import Commands
    from netmap_actors.dev_control.tailnet.json_types import JsonNode
    from tests.support.servers.scripted import Control

__all__ = ["RandomTailnet"]

EDITS = (
    ("online", 30), ("tags", 15), ("routes", 10), ("rename", 10), ("home", 8), ("key", 8), ("add", 8), ("remove", 8),
    ("own", 4), ("expire", 3), ("expiring", 6),
)  # fmt: skip
"""What is done, and how often."""
FEWEST = 6


class RandomTailnet:
    """Begin when its client has joined."""

    def __init__(self, control: Control, rng: random.Random) -> None:
        self._server = control.server
        self._rng = rng
        self.truth = TailnetTruth()
        self._edits = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(control,))
        self._rate = 0.0
        self._server.call(self._begin)

    def live(self, rate: float) -> Self:
        """So many edits a second from now on, at random moments, until it is closed."""
        self._rate = rate
        self._thread.start()
        return self

    def close(self) -> None:
        """No more edits. What the server does is remembered as long as it is there."""
        self._over.set()
        self._thread.join(20.0)

    def _live(self, control: Control) -> None:
        while not self._over.wait(self._rng.expovariate(self._rate)):
            control.server.call(self._edit)

    def _begin(self, it: Commands) -> None:
        self._look(it, 0.0)  # as it was before
        it._control.on_message = lambda *_: self._sent(it)

    def _sent(self, it: Commands) -> None:
        now = time.time()
        self.truth.heard.append(now)
        # What the server does by itself, as a node comes back.
        self._look(it, now)

    def _look(self, it: Commands, at: float) -> None:
        tailnet = it._tailnet
        nodes = {
            entry.node.stable_id: _facts(tailnet.self_node(node_id) if entry.real else entry.node)
            for node_id, entry in tailnet.entries.items()
        }
        self.truth.is_now(at, nodes)

    def _edit(self, it: Commands) -> None:
        tailnet, rng = it._tailnet, self._rng
        peers = [node_id for node_id, entry in tailnet.entries.items() if not entry.real]
        own = [node_id for node_id, entry in tailnet.entries.items() if entry.real]
        chosen = rng.choice(peers)
        self._edits += 1
        at = time.time()
        (kind,) = rng.choices([kind for kind, _ in EDITS], [weight for _, weight in EDITS])
        match kind:
            case "online":
                it.set_online(chosen, not tailnet.entries[chosen].node.online)
            case "tags":
                it.set_tags(chosen, rng.sample(("tag:web", "tag:db", "tag:ci"), rng.randint(0, 2)))
            case "routes":
                # Sometimes another's, of which only one node can be the router.
                it.set_routes(chosen, rng.choice(([], ["10.9.0.0/16"], [f"10.{self._edits % 250}.7.0/24"])))
            case "rename":
                it.rename(chosen, f"renamed-{self._edits}")
            case "home":
                tailnet.set_home_derp(chosen, rng.choice(tailnet.regions))
                it._server.changed()
            case "key":
                tailnet.rotate_key(chosen, f"nodekey:{rng.randbytes(32).hex()}")
                it._server.changed()
            case "add":
                it.add_node(f"added-{self._edits}", online=rng.random() < 0.7)
            case "remove" if len(peers) > FEWEST:
                it.remove_node(chosen)
            case "own":
                it.rename(own[0], f"observer-{self._edits}")
            case "expire" if not tailnet.entries[chosen].node.expired:
                it.expire(chosen)
                self.truth.expiries.append((at, tailnet.entries[chosen].node.stable_id))
            case "expiring":
                # Some are due now, the others in a moment.
                it.expire(chosen, rng.choice(WARNED_BEFORE) + rng.uniform(-3.0, 3.0))
        self._look(it, at)


def _facts(node: JsonNode) -> dict[str, Any]:
    return {
        "name": node.name.rstrip("."),
        "online": node.online,
        "tags": tuple(node.tags),
        "routes": tuple(node.primary_routes),
        "addresses": tuple(address.partition("/")[0] for address in node.addresses),
        "home_derp": node.home_derp,
        "key": node.key,
        KEY_EXPIRY: None if node.key_expiry is None else unix_seconds(node.key_expiry),
    }
