"""The Supervisor's messages for the events of a session that the connection itself does nothing about. Pure.

Not here: stages, and what goes to liveness and the publisher (`reports`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.control_connection.client import events
from netmap_actors.wire import internal_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["message_for"]


def message_for(
    event: events.LoginNeeded
    | events.Registered
    | events.ProbeEnded
    | events.TruthLearned
    | events.SessionFailed,
    generation: int,
) -> Message:
    """The message for one event of the connection with this generation."""
    match event:
        case events.LoginNeeded(url):
            return internal_pb2.LoginNeeded(url=url)
        case events.Registered(authorized, user):
            return internal_pb2.Registered(generation=generation, machine_authorized=authorized, user=user)
        case events.ProbeEnded(token, answered, round_trip):
            return internal_pb2.ProbeResult(
                token=token, generation=generation, answered=answered, round_trip=round_trip
            )
        case events.TruthLearned(truth, detail):
            return internal_pb2.TruthProbe(generation=generation, outcome=truth.value, detail=detail)
        case events.SessionFailed():
            return internal_pb2.SessionEnded(
                generation=generation,
                session=event.session,
                reason=event.reason,
                stage=event.stage,
                detail=event.detail,
                retry_after=event.retry_after,
                had_map=event.had_map,
            )
