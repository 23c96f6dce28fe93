from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import zmq

from bench.peers.bare_subscribers import COMMIT, HEARTBEAT
from bench.programs import fan_out

if TYPE_CHECKING:
    from collections.abc import Iterator

UPDATE = b"netmap/1/peer_upserted"


@contextlib.contextmanager
def pair() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind("inproc://updates")
        there.connect("inproc://updates")
        yield here, there


def test_a_transaction_ends_with_its_commit_and_has_no_heartbeat() -> None:
    with pair() as (publisher, updates):
        for topic in (HEARTBEAT, UPDATE, HEARTBEAT, UPDATE, COMMIT, UPDATE, COMMIT):
            publisher.send_multipart([topic, b"body"])
        assert [topic for topic, _ in fan_out.next_transaction(updates)] == [UPDATE, UPDATE, COMMIT]
        assert [topic for topic, _ in fan_out.next_transaction(updates)] == [UPDATE, COMMIT]


def test_a_transaction_without_a_commit_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "LIMIT_MS", 1)
    with pair() as (publisher, updates):
        publisher.send_multipart([UPDATE, b"body"])
        with pytest.raises(TimeoutError, match="no commit"):
            fan_out.next_transaction(updates)
