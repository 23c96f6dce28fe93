"""What the Supervisor is told of a session's events that the connection itself does nothing about. Pure.

Not here: stages, ends and whatever goes to liveness and the publisher (`actor`, `reports`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.control_connection.client import events as said
from netmap_actors.wire import internal_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["word_for"]


def word_for(
    event: said.LoginNeeded | said.Registered | said.ProbeEnded | said.TruthLearned, generation: int
) -> Message:
    """The message for one event of the connection with this generation."""
    match event:
        case said.LoginNeeded(url):
            return internal_pb2.LoginNeeded(url=url)
        case said.Registered(authorized, user):
            return internal_pb2.Registered(generation=generation, machine_authorized=authorized, user=user)
        case said.ProbeEnded(token, answered, round_trip):
            return internal_pb2.ProbeResult(
                token=token, generation=generation, answered=answered, round_trip=round_trip
            )
        case said.TruthLearned(truth, detail):
            return internal_pb2.TruthProbe(generation=generation, outcome=truth.value, detail=detail)
