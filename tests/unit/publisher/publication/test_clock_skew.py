"""The server's clock against ours, judged from messages that may have waited: what waited is as old as the wait."""

from __future__ import annotations

import datetime
import json

import pytest

from netmap_actors.publisher.publication.tailnet_netmap import TailnetNetmap
from netmap_actors.slices import complete
from netmap_actors.subscriber.changes import stable_id_of
from netmap_actors.subscriber.peer import Peer
from netmap_actors.web_url import UrlPolicy
from tests.support.netmaps.publishing import Server, full, node

WALL = datetime.datetime(2026, 11, 28, 12, 0, tzinfo=datetime.UTC)
NOW = 500_000.0
"""CLOCK_BOOTTIME when it is WALL."""


def text(seconds: float) -> str:
    """What a right clock shows so many seconds from WALL."""
    return (WALL + datetime.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Watch:
    """A publication that is told what the server's clock showed, and when that came."""

    def __init__(self, *peers: dict) -> None:
        self.server = Server()
        self.number = 0
        self.tell(full(*peers), at=NOW - 600)

    def tell(self, response: dict, *, at: float, read_at: float | None = None) -> float:
        """A MapResponse came at `at` and is read at `read_at`; our clock is right. The skew after it."""
        self.number += 1
        read_at = at if read_at is None else read_at
        self.server.feed_bytes(
            json.dumps(response).encode(),
            read_at,
            number=self.number,
            keep_alive=bool(response.get("KeepAlive")),
            received_at=at,
            wall=WALL.timestamp() + read_at - NOW,
        )
        return self.server.publication._netmap.clock_skew_s

    def peer(self, stable_id: str) -> Peer:
        return Peer(self.server.truth()[stable_id], {})


@pytest.mark.parametrize("waited", [61.0, 154.0, 8 * 3600.0])
@pytest.mark.parametrize("kind", [{"KeepAlive": True}, {"OnlineChange": {"2": False}}])
def test_a_message_that_waited_while_the_machine_slept_says_nothing_false_of_its_clock(waited, kind) -> None:
    watch = Watch(node(2))
    assert watch.tell(kind | {"ControlTime": text(-waited)}, at=NOW - waited, read_at=NOW) == 0.0


def test_a_key_that_expired_during_the_sleep_is_expired_after_it() -> None:
    watch = Watch(node(2, KeyExpiry=text(-100)))
    watch.tell({"KeepAlive": True, "ControlTime": text(-154)}, at=NOW - 154, read_at=NOW)
    watch.tell({"OnlineChange": {"2": False}}, at=NOW)
    assert watch.peer("n2").expired


@pytest.mark.parametrize(
    ("difference", "proved"),
    [
        (600.0, 600.0 - 154.0),
        (-600.0, -600.0 + 154.0),
        (100.0, 0.0),
    ],
)
def test_only_so_much_is_told_as_is_certain_whatever_the_wait_was(difference, proved) -> None:
    """The server's clock is off by `difference`; the message may have come at any moment of the 154 s."""
    for came_at in (0.0, 60.0, 154.0):
        watch = Watch(node(2))
        shows = text(-154 + came_at + difference)
        skew = watch.tell({"KeepAlive": True, "ControlTime": shows}, at=NOW - 154, read_at=NOW)
        assert min(0.0, difference) <= skew <= max(0.0, difference)
        if proved:
            assert skew * proved > 0
            assert abs(skew) >= abs(proved) - 1e-3


def test_what_is_known_for_certain_is_told_and_what_agrees_with_it_changes_nothing() -> None:
    watch = Watch(node(2))
    assert watch.tell({"KeepAlive": True, "ControlTime": text(-300)}, at=NOW) == pytest.approx(-300)
    # It may have waited so long that it says the same again.
    later = watch.tell({"KeepAlive": True, "ControlTime": text(-400)}, at=NOW, read_at=NOW + 200)
    assert later <= -300
    assert watch.tell({"KeepAlive": True, "ControlTime": text(300)}, at=NOW + 300) == 0.0


def test_a_peer_was_seen_when_the_message_came_and_not_when_it_was_read() -> None:
    watch = Watch(node(2))
    watch.tell({"PeerSeenChange": {"2": True}}, at=NOW - 154, read_at=NOW)
    assert watch.peer("n2").last_seen == text(-154)


@pytest.mark.parametrize("wrong_by", [-365 * 86400.0, 86400.0])
def test_a_clock_of_ours_that_is_set_right_changes_no_key(wrong_by) -> None:
    """As on a machine without a battery: it starts in another year, and is set when the network is there."""
    netmap = TailnetNetmap(UrlPolicy())
    peers = [node(2, KeyExpiry=text(86400 / 2)), node(3, KeyExpiry=text(-86400 / 2))]

    def expired(seconds: float, wrong_by: float) -> list[bool]:
        netmap.wall_clock((WALL.timestamp() + seconds) + wrong_by, NOW + seconds)
        complete(netmap.passing_time(WALL.timestamp() + seconds + wrong_by))
        pieces = {stable_id_of(piece): piece for piece in netmap.peer_pieces()}
        return [Peer(pieces[stable_id], {}).expired for stable_id in ("n2", "n3")]

    netmap.wall_clock(WALL.timestamp() + wrong_by, NOW)
    document = json.dumps(full(*peers, ControlTime=text(0))).encode()
    complete(netmap.applying(document, first=True, wall=WALL.timestamp() + wrong_by))
    assert netmap.clock_skew_s == pytest.approx(-wrong_by)
    assert expired(1.0, wrong_by) == [False, True]
    assert expired(60.0, 0.0) == [False, True], "it has been set"
    assert netmap.clock_skew_s == 0.0
    assert netmap.next_expiry() == pytest.approx(WALL.timestamp() + 86400 / 2)
    assert expired(7200.0, wrong_by) == [False, True], "and is wrong again"
    assert netmap.clock_skew_s == pytest.approx(-wrong_by)


def test_a_clock_that_is_set_before_the_server_told_its_own_says_nothing_of_it() -> None:
    netmap = TailnetNetmap(UrlPolicy())
    netmap.wall_clock(0.0, NOW)
    netmap.wall_clock(WALL.timestamp(), NOW + 1)
    assert netmap.clock_skew_s == 0.0


def test_a_bare_keep_alive_finds_that_our_clock_was_set_right() -> None:
    server = Server()

    def tell(response: dict, number: int, shows: float) -> bool:
        server.feed_bytes(
            json.dumps(response, separators=(",", ":")).encode(),
            NOW + number,
            number=number,
            keep_alive="KeepAlive" in response,
            wall=WALL.timestamp() + shows,
        )
        return Peer(server.truth()["n2"], {}).expired

    assert tell(full(node(2, KeyExpiry=text(3600))), 1, 86400.0)
    assert not tell({"KeepAlive": True}, 2, 2.0)
