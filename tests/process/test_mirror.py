"""A Mirror beside a publisher's process: looked at from many threads, over restarts, in asyncio, and after the end."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from netmap_supervisor import Mirror, NotReady, Snapshot, Subscriber, SubscriberClosed, WrongThread
from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import running_publisher

LIMIT = 30.0


@pytest.fixture
def publisher():
    with running_publisher() as publisher:
        yield publisher


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_any_thread_looks_and_waits_while_it_keeps_itself_current(publisher) -> None:
    with Mirror(publisher.runtime_dir) as mirror, ThreadPoolExecutor(8) as pool:
        assert (mirror.state, len(mirror.netmap.peers), mirror.age_s) == ("none", 0, None)
        waiting = [
            pool.submit(mirror.wait_for, lambda now: len(now.netmap.peers) == 3, LIMIT) for _ in range(7)
        ]
        ready = pool.submit(mirror.wait_ready, LIMIT)
        publisher.new_session(full(node(2)))
        assert list(ready.result(LIMIT).netmap.peers) == ["n2"]
        assert not mirror.wait_for(lambda now: len(now.netmap.peers) > 1, 0.01)
        publisher.map_response({"PeersChanged": [node(3), node(4)]})
        assert all(one.result(LIMIT) for one in waiting)
        publisher.kill()
        assert mirror.wait_for(lambda now: now.state == "stale", LIMIT)
        assert len(mirror.netmap.peers) == 3
        with pytest.raises(NotReady, match=r"cannot trust the netmap: .*last MapResponse"):
            mirror.wait_ready(0)
    assert len(mirror.netmap.peers) == 3


def test_in_asyncio_it_blocks_nobody_and_can_be_given_up(publisher) -> None:
    async def look() -> list[str]:
        async with Mirror(publisher.runtime_dir) as mirror:
            assert not await mirror.wait_for_async(lambda now: now.netmap.peers, 0.01)
            with pytest.raises(NotReady, match="has none yet"):
                await mirror.wait_ready_async(0.5)
            given_up = asyncio.create_task(mirror.wait_ready_async())
            ready = asyncio.create_task(mirror.wait_ready_async(LIMIT))
            await asyncio.sleep(0)
            given_up.cancel()
            publisher.new_session(full(node(2)))
            now = await ready
            assert given_up.cancelled()
        with pytest.raises(SubscriberClosed):
            await mirror.wait_for_async(lambda now: False)
        return list(now.netmap.peers)

    assert asyncio.run(asyncio.wait_for(look(), LIMIT)) == ["n2"]


def test_who_waits_when_it_is_closed_is_told(publisher) -> None:
    before, threads = descriptors(), threading.active_count()
    mirror = Mirror(publisher.runtime_dir)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(mirror.wait_for, lambda now: False)
        mirror.close()
        with pytest.raises(SubscriberClosed, match="the Mirror is closed"):
            waits.result(LIMIT)
    mirror.close()
    assert (descriptors(), threading.active_count()) == (before, threads)


def test_a_thread_that_breaks_is_told_to_whoever_waits(publisher, monkeypatch) -> None:
    subscriber = Subscriber(publisher.runtime_dir)

    def broken(timeout: float | None = None) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(subscriber, "wait_for_answer", broken)
    monkeypatch.setattr(threading, "excepthook", lambda given: None)
    mirror = Mirror(subscriber=subscriber)
    with pytest.raises(SubscriberClosed) as told:
        mirror.wait_for(lambda now: False)
    assert isinstance(told.value.__cause__, ZeroDivisionError)
    mirror.close()


def test_a_subscriber_belongs_to_the_first_thread_that_waits(publisher) -> None:
    with Subscriber(publisher.runtime_dir) as subscriber, ThreadPoolExecutor(1) as pool:
        assert pool.submit(subscriber.wait_for_answer, LIMIT).result(LIMIT)  # made here, and used there
        for use in (
            subscriber.poll,
            lambda: subscriber.wait_for_answer(0),
            lambda: subscriber.next_event(0),
            lambda: subscriber.on("*", print),
            lambda: next(iter(subscriber)),
            lambda: asyncio.run(subscriber.wait_for_async(lambda now: True)),
        ):
            with pytest.raises(WrongThread, match="it belongs to the thread 'ThreadPool"):
                use()
        assert subscriber.store.state == "none"


def test_it_is_not_closed_under_a_thread_that_waits(publisher) -> None:
    subscriber = Subscriber(publisher.runtime_dir)
    inside, go_on = threading.Event(), threading.Event()

    def predicate(now: Snapshot) -> bool:
        inside.set()
        return go_on.is_set() and bool(now.netmap.peers)

    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(subscriber.wait_for, predicate, LIMIT)
        assert inside.wait(LIMIT)
        with pytest.raises(WrongThread):
            subscriber.close()
        go_on.set()
        publisher.new_session(full(node(2)))
        assert waits.result(LIMIT)
    subscriber.close()
    for use in (subscriber.poll, lambda: subscriber.wait_for_answer(0), lambda: subscriber.next_event(0)):
        with pytest.raises(SubscriberClosed, match="cannot wait for the netmap: the Subscriber is closed"):
            use()
    assert list(subscriber.store.netmap.peers) == ["n2"]
    subscriber.close()


def test_wait_ready_says_what_is_wrong(publisher, tmp_path) -> None:
    with (
        Subscriber(tmp_path) as alone,
        pytest.raises(NotReady, match=re.escape(f"nobody answers at {tmp_path}")),
    ):
        alone.wait_ready(0)
    with Subscriber(publisher.runtime_dir) as early, pytest.raises(NotReady, match="has none yet"):
        early.wait_ready(LIMIT / 30)
    if os.geteuid():
        Path(publisher.runtime_dir).chmod(0)
        with Subscriber(publisher.runtime_dir) as shut, pytest.raises(NotReady, match="not yours to use"):
            shut.wait_ready(0)
