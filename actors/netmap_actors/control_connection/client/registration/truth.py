"""The meaning of a register refresh: the server may feed a session whose node it has deleted. Pure.

Not here: when it is asked (the Supervisor) and how (`session`). Only AuthURL and NodeKeyExpired are a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.control_connection.client.events import Truth, TruthLearned
from netmap_actors.control_connection.client.registration.register import parse_register_response
from netmap_actors.errors import RemoteProtocolError, escape

if TYPE_CHECKING:
    from netmap_actors.control_connection.client.exchange import Exchange

__all__ = ["truth_in"]


def truth_in(exchange: Exchange) -> TruthLearned:
    """The answer to a refresh: current NodeKey, no Auth, zero Expiry (headscale: hscontrol/auth.go)."""
    if exchange.status != 200:
        return TruthLearned(Truth.UNANSWERED, exchange.refusal("ask whether the node is known"))
    try:
        answer = parse_register_response(exchange.body)
    except RemoteProtocolError as error:
        return TruthLearned(Truth.UNANSWERED, str(error))
    if answer.error:
        return TruthLearned(Truth.UNANSWERED, f"the control server says: {escape(answer.error)}")
    if answer.node_key_expired:
        return TruthLearned(Truth.EXPIRED, "the control server says that the node key has expired")
    if answer.auth_url:
        return TruthLearned(
            Truth.REMOVED, "the control server does not know this node any more: it asks for a login"
        )
    if answer.user is None and answer.login is None:
        return TruthLearned(Truth.UNANSWERED, "the answer is empty")
    return TruthLearned(Truth.ALIVE, "")
