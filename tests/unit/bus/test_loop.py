from __future__ import annotations

import os
import signal
import threading
import weakref

import pytest
import zmq
from pykka._envelope import Envelope

from netmap_actors.bus.loop import STOPPED_FOR, Loop
from netmap_actors.bus.mailbox import Mailbox, MailboxFull, Turn
from netmap_actors.clock import SystemClock
from tests.support.waiting import wait_for


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def run_for(loop: Loop, limit: float, until) -> None:
    """Run until the fact holds; fail after `limit` seconds."""
    end = loop.now() + limit
    loop.at(end, lambda: None)
    loop.run(lambda: until() or loop.now() >= end)
    assert until()


def test_timers_fire_in_order_and_never_early(loop) -> None:
    fired: list[tuple[str, float]] = []
    start = loop.now()
    loop.at(start + 0.04, lambda: fired.append(("late", loop.now())))
    loop.at(start + 0.02, lambda: fired.append(("early", loop.now())))
    run_for(loop, 20.0, lambda: len(fired) == 2)
    assert [name for name, _ in fired] == ["early", "late"]
    assert fired[0][1] >= start + 0.02
    assert fired[1][1] >= start + 0.04


def test_a_cancelled_timer_stays_quiet(loop) -> None:
    fired: list[str] = []
    loop.at(loop.now(), lambda: fired.append("cancelled")).cancel()
    loop.at(loop.now() + 0.02, lambda: fired.append("kept"))
    run_for(loop, 20.0, lambda: bool(fired))
    assert fired == ["kept"]


def test_a_cancelled_timer_holds_nothing_until_it_would_have_been_due(loop) -> None:
    """A server sets a limit for each connection and takes it back when it ends, a thousand times a second."""

    class Connection:
        def limit(self) -> None: ...

    now, kept = loop.now(), []
    for number in range(10_000):
        connection = Connection()
        kept.append(weakref.ref(connection))
        timer = loop.at(now + 3600.0, connection.limit)
        if number % 100:
            timer.cancel()
    del connection, timer
    assert sum(one() is not None for one in kept) == 100
    assert len(loop._timers) < 300


def test_a_timer_cancelled_by_an_earlier_call_of_the_same_turn_stays_quiet(loop) -> None:
    fired: list[str] = []
    now = loop.now()
    loop.at(now - 2, lambda: later.cancel())  # noqa: PLW0108  # it is made below
    later = loop.at(now - 1, lambda: fired.append("cancelled"))
    for call in loop.wait():
        call()
    assert fired == []


def test_a_deadline_fires_at_the_moment_it_was_set_to_last(loop) -> None:
    fired: list[float] = []
    now = loop.now()
    deadline = loop.deadline(lambda: fired.append(loop.now()))
    assert deadline.when is None
    for when in (now + 3600.0, None, now, now + 0.02, now + 0.02):
        deadline.set(when)
        assert deadline.when == when
    run_for(loop, 20.0, lambda: bool(fired))
    assert len(fired) == 1
    assert fired[0] >= now + 0.02
    assert deadline.when is None


def test_a_deadline_that_is_put_off_costs_no_new_timer(loop, monkeypatch) -> None:
    made: list[float] = []
    monkeypatch.setattr(loop, "at", lambda when, call, at=loop.at: (made.append(when), at(when, call))[1])
    fired: list[float] = []
    now = loop.now()
    deadline = loop.deadline(lambda: fired.append(loop.now()))
    moments = [now + 0.001 * number for number in range(1, 31)]
    for when in moments:
        deadline.set(when)
    assert made == moments[:1]
    run_for(loop, 20.0, lambda: bool(fired))
    assert fired[0] >= moments[-1]
    assert [when for when in made if when in moments] == [moments[0], moments[-1]]


def test_a_deadline_moved_by_an_earlier_call_of_the_same_turn_does_not_fire(loop) -> None:
    fired: list[str] = []
    now = loop.now()
    loop.at(now - 2, lambda: deadline.set(now + 3600.0))
    deadline = loop.deadline(lambda: fired.append("too early"))
    deadline.set(now - 1)
    for call in loop.wait():
        call()
    assert fired == []


class _Leaping(SystemClock):
    leapt = 0.0

    def boottime(self) -> float:
        return super().boottime() + self.leapt


def test_a_loop_knows_when_nobody_looked() -> None:
    clock = _Leaping()
    loop = Loop(clock)
    try:
        loop.every(0.001, lambda: None)
        wait_for(lambda: bool(loop.wait(block=False)), 5.0, "an ordinary turn")
        assert loop.last_stop is None
        looked = loop.now()
        clock.leapt = STOPPED_FOR - 1.0
        assert loop.wait(block=False)
        assert loop.last_stop is None, "it was slow"
        clock.leapt += STOPPED_FOR + 30.0
        assert loop.wait(block=False)
        assert loop.last_stop is not None
        since, until = loop.last_stop
        assert looked + STOPPED_FOR - 1.0 <= since <= until - STOPPED_FOR - 29.0
        assert until <= loop.now()
        loop.wait(block=False)
        assert loop.last_stop == (since, until), "until the next one"
    finally:
        loop.close()


def test_periodic_timers_of_two_loops_agree_on_their_phase(loop) -> None:
    other = Loop()
    try:
        assert loop.every(5.0, lambda: None).when == pytest.approx(other.every(5.0, lambda: None).when)
    finally:
        other.close()


def test_a_source_that_stays_ready_is_reported_again(loop) -> None:
    read_fd, write_fd = os.pipe()
    os.write(write_fd, b"xy")
    seen: list[bytes] = []
    loop.watch(read_fd, lambda: seen.append(os.read(read_fd, 1)))
    run_for(loop, 20.0, lambda: len(seen) == 2)
    loop.unwatch(read_fd)
    os.close(read_fd)
    os.close(write_fd)
    assert seen == [b"x", b"y"]


def test_a_handler_taken_away_in_the_same_turn_is_not_called(loop) -> None:
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def first(which: int) -> None:
        called.append(which)
        for read_fd, _ in pipes:
            loop.unwatch(read_fd)

    for which, (read_fd, write_fd) in enumerate(pipes):
        os.write(write_fd, b"x")
        loop.watch(read_fd, lambda which=which: first(which))
    for call in loop.wait():
        call()
    for pair in pipes:
        for fd in pair:
            os.close(fd)
    assert len(called) == 1


def test_sockets_and_descriptors_wait_together(loop) -> None:
    context = zmq.Context()
    left, right = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    left.bind("inproc://pair")
    right.connect("inproc://pair")
    read_fd, write_fd = os.pipe()
    seen: list[object] = []
    loop.watch(left, lambda: seen.append(left.recv(zmq.DONTWAIT)))
    loop.watch(read_fd, lambda: seen.append(os.read(read_fd, 10)))
    right.send(b"from the socket")
    os.write(write_fd, b"pipe")
    run_for(loop, 20.0, lambda: len(seen) == 2)
    loop.unwatch(left)
    loop.unwatch(read_fd)
    assert set(seen) == {b"from the socket", b"pipe"}
    for fd in (read_fd, write_fd):
        os.close(fd)
    left.close()
    right.close()
    context.term()


def test_another_thread_can_ask_for_a_call(loop) -> None:
    seen: list[str] = []
    thread = threading.Thread(
        target=lambda: loop.call_soon(lambda: seen.append(threading.current_thread().name))
    )
    thread.start()
    run_for(loop, 20.0, lambda: bool(seen))
    thread.join()
    assert seen == [threading.current_thread().name]


@pytest.mark.timeout(20)
def test_a_signal_handler_can_ask_for_a_call_at_any_moment(loop) -> None:
    heard: list[int] = []
    # Of the process's own time, so that the limit above, which is kept by SIGALRM, still holds.
    before = signal.signal(signal.SIGVTALRM, lambda *_: loop.call_soon(lambda: heard.append(1)))
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005, 0.0005)
    try:
        while len(heard) < 50:
            # Most of the time is spent inside `call_soon`, and there the signals arrive.
            for _ in range(10_000):
                loop.call_soon(int)
            for call in loop.wait():
                call()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def test_messages_and_turns_alternate_so_that_neither_starves(loop) -> None:
    mailbox = Mailbox(loop)
    read_fd, write_fd = os.pipe()
    os.write(write_fd, b"x")
    loop.watch(read_fd, lambda: None)
    for number in range(3):
        mailbox.put(Envelope(number))
    kinds = [type(mailbox.get().message) for _ in range(6)]
    loop.unwatch(read_fd)
    os.close(read_fd)
    os.close(write_fd)
    assert kinds == [Turn, int, Turn, int, Turn, int]


def test_a_full_mailbox_refuses_and_says_so(loop) -> None:
    mailbox = Mailbox(loop, limit=2)
    mailbox.put(Envelope(1))
    mailbox.put(Envelope(2))
    with pytest.raises(MailboxFull, match="cannot add a message: 2 are waiting"):
        mailbox.put(Envelope(3))
