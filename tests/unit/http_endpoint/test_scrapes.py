"""Who asks for metrics: what the others wait for it, and who shares a page."""

from __future__ import annotations

import collections
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from netmap_actors.http_endpoint.actor import HttpEndpoint
from netmap_actors.slices import LENGTH
from netmap_actors.subscriber import Snapshot
from tests.unit.exports.test_exports import netmap_of

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYBODY: frozenset[str] = frozenset()


class Scene:
    """An endpoint whose turns are made one by one."""

    def __init__(self, peers: int) -> None:
        snapshot = Snapshot(netmap=netmap_of(*[{}] * peers), state="fresh", age_s=1.0, epoch=1, seq=1)
        self.turns: collections.deque[Callable[[], object]] = collections.deque()
        self.asked: list[Callable[[dict[str, Any]], object]] = []
        """Of the Supervisor, whose answer they take."""
        self.answered: list[str] = []
        self.endpoint: Any = HttpEndpoint.__new__(HttpEndpoint)
        self.endpoint.__dict__.update(
            loop=SimpleNamespace(call_soon=self.turns.append), _scrapes={}, _scraping=False,
            _status=SimpleNamespace(ask=self.asked.append),
            _subscriber=SimpleNamespace(store=SimpleNamespace(snapshot=lambda: snapshot)),
        )  # fmt: skip

    def scrape(self, name: str, chosen: frozenset[str] | None = EVERYBODY) -> None:
        client = SimpleNamespace(answer=lambda *_: self.answered.append(name))
        self.endpoint._scrape(client, "", chosen)

    def finish(self) -> int:
        """The number of turns it takes."""
        count = 0
        while self.turns:
            self.turns.popleft()()
            count += 1
        return count


def test_a_page_of_many_peers_leaves_turns_to_others() -> None:
    scene = Scene(2 * LENGTH)
    scene.scrape("first")
    scene.asked.pop()({})
    assert scene.answered == []
    # Two slices to count them, two to tell of them, and the end.
    assert scene.finish() == 5
    assert scene.answered == ["first"]


def test_who_asks_while_a_page_is_made_is_answered_together_after_it() -> None:
    scene = Scene(LENGTH)
    scene.scrape("first")
    scene.asked.pop()({})
    for name in ("second", "third"):
        scene.scrape(name)
    scene.scrape("fourth", None)
    assert scene.asked == []
    scene.finish()
    assert scene.answered == ["first"]
    (answer,) = scene.asked
    answer({})
    scene.finish()
    assert scene.answered == ["first", "second", "third", "fourth"]
    scene.scrape("fifth")
    assert len(scene.asked) == 2
