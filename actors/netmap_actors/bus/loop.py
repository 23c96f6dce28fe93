"""The event loop of a process: sockets, descriptors, timers and calls from other threads.

Deadlines are CLOCK_BOOTTIME seconds.
"""

from __future__ import annotations

import collections
import heapq
import itertools
import math
import os
import select
import threading
from typing import TYPE_CHECKING

import zmq

from netmap_actors.bus.timerfd import BoottimeTimer
from netmap_actors.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STOPPED_FOR", "Deadline", "Loop", "Timer"]

_MAX_READY = 64
"""Descriptors reported by one wait; the rest come with the next one, so that timers are never far behind."""

_CROWDED = 64
STOPPED_FOR = 5.0
"""Seconds after which a timer was not just behind: the process was stopped, or the machine slept."""


def _nothing() -> None:
    """What a cancelled timer would call."""


class Timer:
    """One call in the future, or one every `period`."""

    __slots__ = ("_callback", "_order", "cancelled", "period", "when")

    def __init__(self, when: float, order: int, callback: Callable[[], object], period: float | None) -> None:
        self.when = when
        """When it fires next, seconds of CLOCK_BOOTTIME."""
        self.period = period
        self.cancelled = False
        self._order = order
        self._callback = callback

    def cancel(self) -> None:
        """It will not fire (again), and holds on to nothing. Cancelling twice is allowed."""
        self.cancelled = True
        self._callback = _nothing

    def fire(self) -> None:
        """Make the call, unless it was cancelled since it became due."""
        if not self.cancelled:
            self._callback()

    def __lt__(self, other: Timer) -> bool:
        return (self.when, self._order) < (other.when, other._order)


class Deadline:
    """One call at a moment that can be set anew; made by `Loop.deadline`."""

    __slots__ = ("_callback", "_loop", "_timer", "when")

    def __init__(self, loop: Loop, callback: Callable[[], object]) -> None:
        self._loop = loop
        self._callback = callback
        self._timer: Timer | None = None
        self.when: float | None = None
        """When the call is due, seconds of CLOCK_BOOTTIME; None: it is not."""

    def set(self, when: float | None) -> None:
        """Call once at `when` (seconds of CLOCK_BOOTTIME), and at no moment set before; None: not at all."""
        if when == self.when:
            return
        self.when = when
        timer = self._timer
        if timer is not None:
            if when is not None and when >= timer.when:
                return  # most deadlines are put off again and again: the timer is, once it is due
            timer.cancel()
        self._timer = None if when is None else self._loop.at(when, self._fire)

    def _fire(self) -> None:
        timer, when = self._timer, self.when
        if timer is not None and when is not None and when > timer.when:
            self._timer = self._loop.at(when, self._fire)
            return
        self._timer = self.when = None
        self._callback()


class _Watch:
    """One watched source with its handler; `current` goes false when it is replaced or taken away."""

    __slots__ = ("current", "handler", "mask")

    def __init__(self, handler: Callable[[], object], mask: int) -> None:
        self.handler = handler
        self.mask = mask
        self.current = True

    def __call__(self) -> None:
        if self.current:
            self.handler()


class Loop:
    """Level-triggered: a source that stays ready is reported again by the next wait."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.now: Callable[[], float] = self.clock.boottime
        """Seconds of CLOCK_BOOTTIME."""
        self._poller = zmq.Poller()
        self._epoll = select.epoll()
        self._sockets: dict[zmq.Socket[bytes], _Watch] = {}
        self._descriptors: dict[int, _Watch] = {}
        self._timers: list[Timer] = []
        self._crowded = _CROWDED
        """Timers in the heap above which cancelled ones are removed."""
        self._order = itertools.count()
        self._soon: collections.deque[Callable[[], object]] = collections.deque()
        # Reentrant: a signal handler that calls `call_soon` may cut into one that holds it, in the same thread.
        self._closing = threading.RLock()
        self._closed = False
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._timer = BoottimeTimer()
        # Descriptors wait in an epoll of their own, so that a thousand of them cost no more than one.
        self._poller.register(self._epoll.fileno(), zmq.POLLIN)
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._epoll.register(self._timer.fd, select.EPOLLIN)
        self.looked_at = self.clock.boottime()
        """When this turn began, seconds of CLOCK_BOOTTIME."""
        self.last_stop: tuple[float, float] | None = None
        """The last time this process was stopped or the machine slept: when the loop looked last before and first after
        it, seconds of CLOCK_BOOTTIME. What was ready then may have come at any time between."""
        self.waits = 0
        """How often `wait` returned: the wake-ups of this process's loop."""

    def watch(
        self,
        source: int | zmq.Socket[bytes],
        handler: Callable[[], object],
        *,
        read: bool = True,
        write: bool = False,
    ) -> None:
        """Call `handler` while the source is readable (or writable). Watching again replaces."""
        if isinstance(source, int):
            mask = (select.EPOLLIN if read else 0) | (select.EPOLLOUT if write else 0)
            old = self._descriptors.get(source)
            self._descriptors[source] = _Watch(handler, mask)
            if old is None:
                self._epoll.register(source, mask)
            else:
                old.current = False
                if old.mask != mask:
                    self._epoll.modify(source, mask)
        else:
            mask = (zmq.POLLIN if read else 0) | (zmq.POLLOUT if write else 0)
            before = self._sockets.get(source)
            if before is not None:
                before.current = False
            self._sockets[source] = _Watch(handler, mask)
            self._poller.register(source, mask)

    def unwatch(self, source: int | zmq.Socket[bytes]) -> None:
        """Stop watching; to be called before the source is closed. Unknown sources are ignored."""
        if isinstance(source, int):
            watch = self._descriptors.pop(source, None)
            if watch is not None:
                watch.current = False
                self._epoll.unregister(source)
        else:
            watch = self._sockets.pop(source, None)
            if watch is not None:
                watch.current = False
                self._poller.unregister(source)

    def at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call once at `when` (seconds of CLOCK_BOOTTIME); at once if that is past."""
        timer = Timer(when, next(self._order), callback, None)
        self._push(timer)
        return timer

    def deadline(self, callback: Callable[[], object]) -> Deadline:
        """A call whose moment is set, moved and taken back; not set yet."""
        return Deadline(self, callback)

    def every(self, period: float, callback: Callable[[], object]) -> Timer:
        """Call at each multiple of `period` on the clock.

        The phases of all processes thus agree, and their messages arrive in one wake-up of the
        receiver. After a suspend it fires once, not once for every period that was slept through.
        """
        timer = Timer(self._next_multiple(period), next(self._order), callback, period)
        self._push(timer)
        return timer

    def _push(self, timer: Timer) -> None:
        """Into the heap; cancelled ones are removed now and then, long before they are due."""
        if len(self._timers) >= self._crowded:
            self._timers = [one for one in self._timers if not one.cancelled]
            heapq.heapify(self._timers)
            self._crowded = max(_CROWDED, 2 * len(self._timers))
        heapq.heappush(self._timers, timer)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call in the loop's thread with the next turn. The only method other threads and signal handlers may use.

        Nothing happens once the loop is closed.
        """
        with self._closing:
            # A thread may outlive the loop it works for; the descriptor's number may be another's by then.
            if not self._closed:
                self._soon.append(callback)
                os.eventfd_write(self._wake_fd, 1)

    def wait(self, *, block: bool = True) -> list[Callable[[], object]]:
        """What is to be called now: due timers first, then calls from threads, then ready sources.

        Blocks until there is something, unless `block` is false. The caller makes the calls, in order.
        """
        while True:
            calls = self._due()
            while self._soon:
                calls.append(self._soon.popleft())
            self._timer.set(self._timers[0].when if self._timers else None)
            ready = self._poller.poll(0 if calls or not block else -1)
            self._look_for_stop()
            for source, mask in ready:
                if isinstance(source, int):
                    calls.extend(self._ready_descriptors())
                elif mask:
                    watch = self._sockets.get(source)
                    if watch is not None:
                        calls.append(watch)
            if calls or not block:
                self.waits += 1
                return calls

    def run(self, until: Callable[[], bool]) -> None:
        """Wait and call until `until()` holds: the loop without an actor."""
        while not until():
            for call in self.wait():
                call()

    def close(self) -> None:
        """Release the loop's own descriptors; watched sources stay open."""
        for watch in (*self._descriptors.values(), *self._sockets.values()):
            watch.current = False
        with self._closing:
            self._closed = True
        self._timer.close()
        self._epoll.close()
        os.close(self._wake_fd)

    def _look_for_stop(self) -> float:
        """What time it is. To be called before a timer that is due leaves the heap, and as soon as a wait is over."""
        now, before = self.now(), self.looked_at
        if now - before > STOPPED_FOR and self._timers and now - self._timers[0].when > STOPPED_FOR:
            self.last_stop = (before, now)
        self.looked_at = now
        return now

    def _due(self) -> list[Callable[[], object]]:
        now = self._look_for_stop()
        due: list[Callable[[], object]] = []
        while self._timers and (self._timers[0].when <= now or self._timers[0].cancelled):
            timer = heapq.heappop(self._timers)
            if timer.cancelled:
                continue
            due.append(timer.fire)
            if timer.period is not None:
                timer.when = self._next_multiple(timer.period)
                heapq.heappush(self._timers, timer)
        return due

    def _next_multiple(self, period: float) -> float:
        return (math.floor(self.now() / period) + 1) * period

    def _ready_descriptors(self) -> list[Callable[[], object]]:
        calls: list[Callable[[], object]] = []
        for descriptor, _mask in self._epoll.poll(0, _MAX_READY):
            if descriptor == self._wake_fd:
                os.eventfd_read(self._wake_fd)
            elif descriptor == self._timer.fd:
                self._timer.consume()
            else:
                watch = self._descriptors.get(descriptor)
                if watch is not None:
                    calls.append(watch)
        return calls
