"""The netmap in the background, for programs that only want to look: a thread of its own follows the daemon."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from typing import TYPE_CHECKING, Self

import zmq

from netmap_actors.clock import SystemClock
from netmap_actors.subscriber.client import Subscriber, SubscriberClosed
from netmap_actors.subscriber.readiness import NotReady
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.subscriber.events import Snapshot
    from netmap_actors.subscriber.netmap_view import Netmap

__all__ = ["Mirror"]


class Mirror:
    """A copy of the netmap that keeps itself current; every method may be called from any thread.

        with Mirror() as mirror:
            mirror.wait_ready(timeout=10)
            print(mirror.state, len(mirror.netmap.peers))

    The daemon may start later, and may come and go; `state` says at each moment whether the netmap is to be trusted.
    """

    def __init__(
        self, runtime_dir: str | os.PathLike[str] | None = None, *, subscriber: Subscriber | None = None
    ) -> None:
        """Begins to follow, and does not wait.

        `runtime_dir`: the daemon's; by default where a daemon of this user keeps it. `subscriber`: one that nobody
        has waited with; it is the Mirror's from now on, and closed with it.
        """
        self._subscriber = Subscriber(runtime_dir) if subscriber is None else subscriber
        self.store = self._subscriber.store
        self._turns = 0
        self._turned = threading.Condition()
        self._listeners: set[Callable[[], object]] = set()
        self._ends = self._over = False
        self._failure: Exception | None = None
        self._wake: int | None = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._follow, name="netmap mirror", daemon=True)
        self._thread.start()

    @classmethod
    def remote(
        cls, listen: str, *, key_file: str | os.PathLike[str] | None = None, server_key: str = ""
    ) -> Self:
        """Follow a daemon on another machine. Takes and raises what `Subscriber.remote` does."""
        return cls(subscriber=Subscriber.remote(listen, key_file=key_file, server_key=server_key))

    # What is there now

    def snapshot(self) -> Snapshot:
        """The netmap, its epoch and commit, and its state and age: all of one moment."""
        return self.store.snapshot()

    @property
    def netmap(self) -> Netmap:
        """The netmap; an empty one before the first."""
        return self.store.netmap

    @property
    def state(self) -> Trust:
        """none, fresh or stale, now."""
        return self.store.state

    @property
    def age_s(self) -> float | None:
        """Seconds since the control server's last MapResponse; None when none was ever heard of."""
        return self.store.age_s

    # Waiting

    def wait_ready(self, timeout: float | None = None) -> Snapshot:
        """The netmap as soon as there is one that is fresh.

        Raises NotReady after `timeout` seconds, whose text says why nothing answers, or why it cannot be trusted, and
        SubscriberClosed when it is closed meanwhile.
        """
        if self.wait_for(lambda now: now.state == Trust.FRESH, timeout):
            return self.snapshot()
        raise NotReady(self._subscriber.why_not_ready())

    def wait_for(self, predicate: Callable[[Snapshot], object], timeout: float | None = None) -> bool:
        """Wait until `predicate(snapshot())` holds; False after `timeout` seconds.

        What held for less than the time between two looks may be missed. Raises SubscriberClosed.
        """
        end = None if timeout is None else self._now() + timeout
        while True:
            over, seen = self._over, self._turns
            if predicate(self.snapshot()):
                return True
            if over:
                raise SubscriberClosed("Mirror") from self._failure
            left = None if end is None else end - self._now()
            if left is not None and left <= 0:
                return False
            with self._turned:
                self._turned.wait_for(functools.partial(self._has_turned, seen), left)

    async def wait_ready_async(self, timeout: float | None = None) -> Snapshot:  # noqa: ASYNC109
        """`wait_ready` without blocking the event loop."""
        if await self.wait_for_async(lambda now: now.state == Trust.FRESH, timeout):
            return self.snapshot()
        raise NotReady(self._subscriber.why_not_ready())

    async def wait_for_async(
        self,
        predicate: Callable[[Snapshot], object],
        timeout: float | None = None,  # noqa: ASYNC109  # the same call as `wait_for`
    ) -> bool:
        """`wait_for` without blocking the event loop."""
        import asyncio  # noqa: PLC0415  # only when asyncio is used

        loop, turned = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(turned.set)

        with self._turned:
            self._listeners.add(tell)
        try:
            async with asyncio.timeout(timeout) as limit:
                while True:
                    turned.clear()
                    over = self._over
                    if predicate(self.snapshot()):
                        return True
                    if over:
                        raise SubscriberClosed("Mirror") from self._failure
                    await turned.wait()
        except TimeoutError:
            if limit.expired():
                return False
            raise
        finally:
            with self._turned:
                self._listeners.discard(tell)

    # Life

    def close(self) -> None:
        """Follow no longer. The last netmap can still be read; it becomes stale by itself."""
        with self._turned:
            if self._wake is not None:
                self._ends = True
                os.eventfd_write(self._wake, 1)
        self._thread.join()
        with self._turned:
            if self._wake is not None:
                os.close(self._wake)
                self._wake = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        import asyncio  # noqa: PLC0415

        await asyncio.to_thread(self.close)

    # The thread

    def _follow(self) -> None:
        poller = zmq.Poller()
        for one in (*self._subscriber.sockets, self._wake):
            poller.register(one, zmq.POLLIN)
        try:
            while not self._ends:
                self._subscriber.wait_for_answer(0)
                self._tell()
                # Rounded up: a deadline is not met a moment too early again and again.
                poller.poll(int(self._subscriber.due_in() * 1000) + 1)
        except Exception as error:  # told to whoever waits; what is read becomes stale
            self._failure = error
            raise
        finally:
            self._subscriber.close()
            self._over = True
            self._tell()

    def _has_turned(self, seen: int) -> bool:
        return self._turns != seen

    def _tell(self) -> None:
        with self._turned:
            self._turns += 1
            self._turned.notify_all()
            listeners = tuple(self._listeners)
        for tell in listeners:
            tell()

    @staticmethod
    def _now() -> float:
        return SystemClock.monotonic()
