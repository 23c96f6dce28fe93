"""A store that is read in some threads while a Subscriber keeps it current in another."""

from __future__ import annotations

import itertools
import sys
import threading
from contextlib import ExitStack

import pytest
import zmq

from netmap_actors.clock import SystemClock
from netmap_actors.subscriber import NetmapStore, Subscriber
from netmap_actors.wire import netmap_pb2
from tests.support.netmaps.publishing import Follower, Server, full, node

LIMIT = 60.0
PEERS, COMMITS_SEEN = 40, 50


class Reader(threading.Thread):
    """Reads until it has seen COMMITS_SEEN commits, each of which gives all peers and the domain one number."""

    def __init__(self, store: NetmapStore) -> None:
        super().__init__(daemon=True)
        self._store = store
        self.wrong: list[object] = []

    def run(self) -> None:
        seen: set[int] = set()
        while len(seen) < COMMITS_SEEN and not self.wrong:
            first, second = self._store.snapshot(), self._store.snapshot()
            for one in (first, second, first):
                peers = one.netmap.peers
                numbers = [peer.cap for peer in peers.values()]
                number = int(one.netmap.domain or "0")
                found = peers.by_tag(str(number)) if number else ()
                if numbers != [number] * (PEERS if number else 0) or len(found) != len(numbers):
                    self.wrong.append((number, numbers, found))
                seen.add(one.seq)


@pytest.fixture
def switching_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching_often")
def test_readers_in_other_threads_see_whole_commits_only(tmp_path) -> None:
    clock, server, ended = SystemClock(), Server(), threading.Event()
    endpoint = (f"ipc://{tmp_path}/updates", f"ipc://{tmp_path}/requests")
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        updates, requests = (context.socket(kind) for kind in (zmq.PUB, zmq.ROUTER))
        for socket, where in zip((updates, requests), endpoint, strict=True):
            stack.enter_context(socket).bind(where)
            socket.linger = 0
        subscriber = stack.enter_context(Subscriber(endpoint=endpoint))
        watcher = threading.Thread(target=subscriber.wait_for, args=(lambda _: ended.is_set(), LIMIT))
        readers = [Reader(subscriber.store) for _ in range(2)]
        for thread in (watcher, *readers):
            thread.start()
        begun = clock.boottime()
        for number in itertools.count(1):
            peers = [node(2 + i, Cap=number, Tags=[f"tag:{number}"]) for i in range(PEERS)]
            response = full(*peers) if number == 1 else {"PeersChanged": peers}
            server.feed(response | {"Domain": str(number)}, clock.boottime(), number=number)
            for message in server.publication.take_outgoing():
                updates.send_multipart((message.topic, message.message))
            while requests.poll(1):
                who, data = requests.recv_multipart()
                asked = netmap_pb2.Request.FromString(data)
                for part in server.publication.answer(asked.token, asked.epoch, asked.seq, clock.boottime):
                    requests.send_multipart((who, part))
            if not any(reader.is_alive() for reader in readers) or clock.boottime() > begun + LIMIT:
                break
        ended.set()
        updates.send_multipart(
            (b"netmap/1/heartbeat", server.publication.heartbeat(clock.boottime()).message)
        )
        watcher.join()
    for reader in readers:
        assert not reader.is_alive(), "saw too few commits"
        assert reader.wrong == []


def test_a_netmap_that_is_held_costs_one_copy_and_one_that_is_not_costs_none() -> None:
    server, follower = Server(), Follower(1.0)
    store = NetmapStore(follower.replica, SystemClock())

    def commit(number: int) -> object:
        response = {"PeersChanged": [node(2, Cap=number)]} if number > 1 else full(node(2, Cap=number))
        server.feed(response, float(number), number=number)
        follower.hear(server.publication.take_outgoing(), float(number))
        follower.ask(server.publication, number + 0.5)
        follower.events.clear()
        return follower.replica._contents

    assert commit(1) is commit(2), "nobody reads"
    held = store.netmap
    assert held is store.snapshot().netmap
    first, second = commit(3), commit(4)
    assert first is second, "what is held is of an earlier commit"
    assert (held.peers["n2"].cap, store.netmap.peers["n2"].cap) == (2, 4)
    peers = store.netmap.peers
    commit(5)
    assert (peers["n2"].cap, store.netmap.peers["n2"].cap) == (4, 5)
