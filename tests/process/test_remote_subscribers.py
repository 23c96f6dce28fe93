"""Subscribers over TCP: who holds an allowed CURVE key comes in, everybody else is refused and logged."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

import pytest
import zmq

from netmap_actors.curve_keys import AllowList, CurvePair, generate, load_server_pair, write_secret
from netmap_actors.runtime_paths import remote_endpoints
from netmap_actors.subscriber import PeerUpserted, Snapshot, Subscriber
from tests.support.host.free_ports import free_port
from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, running_publisher
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSED_WITHIN = 1.0
"""Seconds a refused client is watched; an admitted one has its netmap in a tenth of that."""


class Remote:
    """A publisher that listens on TCP, its keys, and clients of it."""

    def __init__(self, publisher: PublisherProcess, directory: Path, listen: str) -> None:
        self.publisher = publisher
        self.directory = directory
        self.listen = listen
        self.allowed = AllowList(directory)
        self._made: list[Subscriber] = []

    @property
    def server_key(self) -> str:
        return load_server_pair(self.directory).public

    def subscriber(self, pair: CurvePair | None, server_key: str = "") -> Subscriber:
        curve = None if pair is None else (pair, server_key or self.server_key)
        made = Subscriber(endpoint=remote_endpoints(self.listen), curve=curve)
        self._made.append(made)
        return made

    def admitted(self, name: str = "laptop") -> Subscriber:
        pair = generate()
        self.allowed.allow(name, pair.public)
        return self.subscriber(pair)

    def refused(self, subscriber: Subscriber, why: str) -> None:
        """It gets nothing, and the log says that somebody was turned away, and why."""
        before = len(self.events("subscriber_refused", why))
        assert not subscriber.wait_for_answer(REFUSED_WITHIN)
        assert subscriber.store.state == "none"
        # Only one line a second is written, so the reason may come with a later attempt of libzmq's.
        wait_for(
            lambda: (
                subscriber.wait_for(lambda _: False, 0.05)
                or len(self.events("subscriber_refused", why)) > before
            ),
            LIMIT,
            f"a log line that says {why!r}",
        )

    def events(self, name: str, detail: str = "") -> list[dict[str, object]]:
        return [e for e in self.publisher.log() if e["event"] == name and detail in str(e.get("detail", ""))]

    def close(self) -> None:
        for made in self._made:
            made.close()


@contextlib.contextmanager
def remote_publisher(directory: Path, *, curve: bool = True, **settings: int) -> Iterator[Remote]:
    listen = f"tcp://127.0.0.1:{free_port(2)}"
    with running_publisher(listen=listen, curve_dir=str(directory) if curve else "", **settings) as publisher:
        publisher.new_session(full(node(2), node(3)))
        remote = Remote(publisher, directory, listen)
        yield remote
        remote.close()


@pytest.fixture
def remote(tmp_path) -> Iterator[Remote]:
    with remote_publisher(tmp_path) as remote:
        yield remote


def test_an_allowed_client_follows_the_netmap(remote) -> None:
    subscriber = remote.admitted()
    event = subscriber.next_event(LIMIT)
    assert isinstance(event, Snapshot)
    assert sorted(subscriber.store.netmap.peers) == ["n2", "n3"]
    assert subscriber.store.state == "fresh"
    remote.publisher.map_response({"PeersChangedPatch": [{"NodeID": 2, "Online": False}]})
    event = subscriber.next_event(LIMIT)
    assert isinstance(event, PeerUpserted)
    assert event.previous == {"online": True}
    assert remote.publisher.statistics(subscribers=1)


def test_three_lines_are_enough(remote, tmp_path) -> None:
    pair = generate()
    write_secret(tmp_path / "mine.key_secret", pair)
    remote.allowed.allow("mine", pair.public)
    with Subscriber.remote(
        remote.listen, key_file=tmp_path / "mine.key_secret", server_key=remote.server_key
    ) as netmap:
        assert netmap.wait_for(lambda view: view.state == "fresh", LIMIT)


def test_an_unknown_key_is_refused_and_logged(remote) -> None:
    remote.refused(remote.subscriber(generate()), "unknown key")


def test_a_client_without_curve_is_refused_and_logged(remote) -> None:
    remote.refused(remote.subscriber(None), "does not speak CURVE")
    remote.publisher.counters(connections_refused=1)


def test_a_wrong_server_key_reaches_nobody(remote) -> None:
    pair = generate()
    remote.allowed.allow("laptop", pair.public)
    remote.refused(remote.subscriber(pair, generate().public), "does not speak CURVE")


def test_a_key_that_is_allowed_later_comes_in_without_a_restart(remote) -> None:
    pair = generate()
    subscriber = remote.subscriber(pair)
    remote.refused(subscriber, "unknown key")
    remote.allowed.allow("late", pair.public)
    assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)


def test_a_revoked_client_is_cut_off_and_the_others_miss_nothing(remote) -> None:
    kept, revoked = remote.admitted("kept"), remote.admitted("revoked")
    for subscriber in (kept, revoked):
        assert isinstance(subscriber.next_event(LIMIT), Snapshot)
    remote.allowed.revoke("revoked")
    wait_for(lambda: remote.events("subscriber_key_revoked"), LIMIT, "the keys to be looked at")
    for number in range(5):
        remote.publisher.map_response({"PeersChangedPatch": [{"NodeID": 2, "Cap": 10 + number}]})
    assert kept.wait_for(lambda view: view.netmap.peers["n2"].cap == 14, LIMIT)
    caps = [
        event.peer.cap
        for event in iter(lambda: kept.next_event(0.1), None)
        if isinstance(event, PeerUpserted)
    ]
    assert caps == sorted(set(caps))
    assert not revoked.wait_for(lambda view: view.netmap.peers["n2"].cap == 14, REFUSED_WITHIN)
    assert remote.events("subscriber_refused", "unknown key")
    remote.publisher.statistics(subscribers=1)


def test_a_file_that_is_no_key_admits_nobody_and_holds_up_nothing(remote) -> None:
    kept, revoked = remote.admitted("kept"), remote.admitted("revoked")
    for subscriber in (kept, revoked):
        assert isinstance(subscriber.next_event(LIMIT), Snapshot)
    allowed = remote.directory / "allowed"
    (allowed / "broken.key").write_text("no key")
    (allowed / ".#kept.key").symlink_to("somebody@somewhere")
    (allowed / "gone.key").symlink_to("nowhere")
    (allowed / "folder.key").mkdir()
    os.mkfifo(allowed / "pipe.key")
    (allowed / "\udcff\udce9.key").write_text("no key")
    condition = remote.publisher.next("degraded", code="remote_subscribers", active=True)
    assert "broken.key" in condition.text
    remote.allowed.revoke("revoked")
    wait_for(lambda: remote.events("subscriber_key_revoked"), LIMIT, "the keys to be looked at")
    remote.publisher.map_response({"PeersRemoved": [3]})
    assert kept.wait_for(lambda view: list(view.netmap.peers) == ["n2"], LIMIT)
    assert not revoked.wait_for(lambda view: list(view.netmap.peers) == ["n2"], REFUSED_WITHIN)
    assert remote.admitted("new").wait_for(lambda view: view.state == "fresh", LIMIT)
    for name in ("broken.key", "pipe.key"):
        (allowed / name).unlink()
    (allowed / "folder.key").rmdir()
    remote.publisher.next("degraded", code="remote_subscribers", active=False)
    assert remote.publisher.process.poll() is None


def test_a_key_replaced_in_place_is_seen_whatever_its_time_says(remote) -> None:
    old = remote.admitted("laptop")
    assert isinstance(old.next_event(LIMIT), Snapshot)
    path = remote.directory / "allowed" / "laptop.key"
    before = path.stat()
    path.write_text(f"# of the new laptop\n{generate().public}\r\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    wait_for(lambda: remote.events("subscriber_key_revoked"), LIMIT, "the keys to be looked at")


def test_connections_without_end_cost_nobody_else_anything(tmp_path) -> None:
    with remote_publisher(tmp_path, max_remote=40) as remote, contextlib.ExitStack() as knocks:
        port = int(remote.listen.rpartition(":")[2])
        here = remote.admitted()
        assert here.wait_for(lambda view: view.state == "fresh", LIMIT)
        with Subscriber(remote.publisher.runtime_dir) as local:
            assert local.wait_for(lambda view: view.state == "fresh", LIMIT)
            for _ in range(120):
                knock = knocks.enter_context(socket.socket())
                knock.setblocking(False)
                knock.connect_ex(("127.0.0.1", port))
            wait_for(lambda: remote.events("connections_cut"), LIMIT, "the flood to be noticed")
            remote.publisher.map_response({"PeersRemoved": [3]})
            for view in (local, here):
                assert view.wait_for(lambda view: list(view.netmap.peers) == ["n2"], LIMIT)
            assert here._replica.gaps == 0
        assert not remote.events("too_many_subscribers")
        knocks.close()
        assert remote.admitted("another").wait_for(lambda view: view.state == "fresh", LIMIT)


def test_a_port_that_is_taken_is_told_and_taken_when_it_is_free(tmp_path) -> None:
    listen = f"tcp://127.0.0.1:{free_port(2)}"
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(listen.rpartition(":")[2])))
        holder.listen()
        with running_publisher(listen=listen, curve_dir=str(tmp_path)) as publisher:
            publisher.new_session(full(node(2)))
            condition = publisher.next("degraded", code="remote_subscribers", active=True)
            assert "Address already in use" in condition.text
            with Subscriber(publisher.runtime_dir) as local:
                assert local.wait_for(lambda view: view.state == "fresh", LIMIT)
            holder.close()
            publisher.next("degraded", code="remote_subscribers", active=False)
            remote = Remote(publisher, tmp_path, listen)
            assert remote.admitted().wait_for(lambda view: view.state == "fresh", LIMIT)
            remote.close()


def test_plain_tcp_needs_no_key(tmp_path) -> None:
    with remote_publisher(tmp_path, curve=False) as remote:
        assert remote.subscriber(None).wait_for(lambda view: view.state == "fresh", LIMIT)
        with Subscriber.remote(remote.listen) as subscriber:
            assert subscriber.wait_for_answer(LIMIT)


def test_thousands_of_knocks_do_not_fill_the_log(remote) -> None:
    began = time.monotonic()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    pair = generate()
    for _ in range(300):
        knocker = context.socket(zmq.SUB)
        knocker.linger = 0
        knocker.curve_publickey, knocker.curve_secretkey = pair.public.encode(), pair.secret.encode()
        knocker.curve_serverkey = remote.server_key.encode()
        knocker.connect(remote.listen)
        knocker.close()
    context.destroy(0)
    guest = remote.admitted()
    assert guest.wait_for(lambda view: view.state == "fresh", LIMIT)
    assert len(remote.events("subscriber_refused")) <= time.monotonic() - began + 2
