"""What a tree costs that has nothing to do: wake-ups are counted, not timed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.machines.idle_tree import IdleTree, subscribed
from tests.support.machines.simulated_shell import running
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE = 60.0
LEAST, MOST = 5, 5_000
"""Peers; the netmap's own rooms are tested with more."""
HEARTBEAT = b"netmap/1/heartbeat"


def tree_of(peers: int, *, history: bool = False) -> Iterator[IdleTree]:
    # Not pytest's directory: the path of a unix socket is short.
    with tempfile.TemporaryDirectory(prefix="nmi-", dir="/tmp") as directory:
        tree = IdleTree(Path(directory), peers=peers, history=history)
        yield tree
        tree.close()


@pytest.fixture
def tree() -> Iterator[IdleTree]:
    yield from tree_of(LEAST)


@pytest.fixture
def large_tree() -> Iterator[IdleTree]:
    yield from tree_of(MOST)


@pytest.fixture
def remembering_tree() -> Iterator[IdleTree]:
    yield from tree_of(LEAST, history=True)


def supervisors_turns(minute: float) -> int:
    """How often the Supervisor's core wants to look at the clock while nothing but heartbeats comes."""
    shell, turns = running(), 0
    look = shell.core.expire

    def counted(now):
        nonlocal turns
        turns += 1
        return look(now)

    shell.core.expire = counted
    shell.advance(minute)
    return turns


def test_an_idle_minute_has_three_wake_ups_a_second(tree: IdleTree) -> None:
    tree.advance(MINUTE)
    woken = tree.wake_ups() + supervisors_turns(MINUTE)
    assert woken <= 3 * MINUTE, (tree.turns, tree.messages)


def test_a_large_tailnet_at_rest_is_no_busier_than_a_small_one(tree: IdleTree, large_tree: IdleTree) -> None:
    for one in (tree, large_tree):
        one.advance(10 * MINUTE)
    assert large_tree.turns == tree.turns
    assert large_tree.messages == tree.messages


def test_an_actor_wakes_once_for_all_that_is_regular(tree: IdleTree) -> None:
    tree.advance(MINUTE)
    beats = round(MINUTE / tree.publisher.boot.heartbeat_interval)
    assert tree.turns["liveness"] == tree.turns["control_connection"] == beats
    # The publisher reads the wall clock once more: a key is going to expire.
    assert tree.turns["publisher"] <= beats + 1


def test_the_bus_has_heartbeats_only_while_someone_is_there_to_hear_them(tree: IdleTree) -> None:
    tree.advance(MINUTE)
    assert tree.bus[HEARTBEAT] == 0

    # Of its subscription and of its connection libzmq tells in two messages, in no order.
    def wanted() -> bool:
        tree.turn()
        return tree.publisher._local.wants_heartbeats

    socket = subscribed(tree)
    wait_for(wanted, 20.0, "the publisher sees its subscriber")
    tree.advance(2.0)
    tree.forget()
    tree.advance(MINUTE)
    assert tree.bus[HEARTBEAT] == MINUTE / 2
    socket.context.destroy(linger=0)
    wait_for(lambda: not wanted(), 20.0, "the publisher sees that it has left")
    tree.advance(2.0)
    tree.forget()
    tree.advance(MINUTE)
    assert tree.bus[HEARTBEAT] == 0


def test_a_history_costs_its_own_heartbeat_and_one_question_a_minute(remembering_tree: IdleTree) -> None:
    tree, history = remembering_tree, remembering_tree.history
    assert history is not None

    def followed() -> bool:
        tree.turn()
        return history._recorder.trust == "fresh"

    wait_for(followed, 20.0, "the history has the netmap")
    # What the arrival of its subscription and its first words brought about is over.
    tree.advance(5.0)
    tree.forget()
    tree.advance(MINUTE)
    assert tree.bus[HEARTBEAT] == 0
    beats = round(MINUTE / history.boot.heartbeat_interval)
    assert {kind: sent for (actor, kind), sent in tree.messages.items() if actor == "history"} == {
        "Heartbeat": beats
    }
    # Its question may be asked again: no time passes for the answer while the clock is moved.
    assert tree.turns["history"] < 2 * beats
