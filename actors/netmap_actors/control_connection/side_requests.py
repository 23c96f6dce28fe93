"""Requests beside the session, each over a short connection of its own: the control key, its proof, HEAD for a ping.

Not here: what follows from the answers.
"""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING

from netmap_actors.control_connection.client.capability import CAPABILITY_VERSION
from netmap_actors.control_connection.client.exchange import wait_asked_for
from netmap_actors.control_connection.client.head_request import HeadRequest
from netmap_actors.control_connection.client.server.key_proof import KeyProof
from netmap_actors.protocol.key_endpoint import ControlKeys, KeyClient
from netmap_actors.transport.short_exchange import ShortExchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.control_connection.client.server.control_url import ControlUrl
    from netmap_actors.protocol.http1_exchange import UnexpectedStatus
    from netmap_actors.protocol.keys import MachineKey
    from netmap_actors.transport.address import Address
    from netmap_actors.transport.dialer import Dialer

__all__ = ["KEY_LIMIT", "MAX_PINGS", "PING_LIMIT", "SideRequests"]

KEY_LIMIT = 10.0
"""Seconds for the answer of /key, and for a handshake that is to prove it."""
PING_LIMIT = 15.0
"""Seconds for a HEAD to the control server (tailscale: control/controlclient/direct.go)."""
MAX_PINGS = 4
"""HEADs at a time; more are not answered."""


class SideRequests:
    """The requests under way, to the address the session is connected to."""

    def __init__(self, dialer: Dialer[ControlUrl]) -> None:
        self._dialer = dialer
        self._url = dialer.url
        self._key: ShortExchange[ControlKeys] | ShortExchange[bool] | None = None
        self._pings: list[ShortExchange[int]] = []

    def fetch_key(
        self,
        address: Address,
        on_key: Callable[[MachineKey], None],
        on_failed: Callable[[str, float], None],
        *,
        limit: float = KEY_LIMIT,
    ) -> None:
        """Ask `/key`; one of the two is called, once, within `limit` seconds.

        `on_failed` gets the seconds to stay away, or 0.
        """

        def failed(why: str, refused: UnexpectedStatus | None) -> None:
            wait = 0.0
            if refused is not None:
                wait = wait_asked_for(refused.status, refused.retry_after, random.SystemRandom().uniform)
            on_failed(why, wait)

        self._key = ShortExchange(
            self._dialer,
            [address],
            KeyClient(self._url.host_header, CAPABILITY_VERSION),
            limit=limit,
            on_answer=lambda keys: on_key(keys.public_key),
            on_failed=failed,
        )

    def prove_key(
        self,
        address: Address,
        server_key: MachineKey,
        on_proved: Callable[[], None],
        on_failed: Callable[[str], None],
    ) -> None:
        """Check by a handshake whether the server owns this key; one of the two is called, once."""
        proof = KeyProof(self._url, server_key, secrets.token_bytes(32), secrets.token_bytes(32))
        self._key = ShortExchange(
            self._dialer,
            [address],
            proof,
            limit=KEY_LIMIT,
            on_answer=lambda _proved: on_proved(),
            on_failed=lambda why, _refused: on_failed(why),
        )

    def head(self, address: Address, target: str) -> bool:
        """HEAD a URL below the control URL; False if too many are under way. The outcome does not matter."""
        self._pings = [ping for ping in self._pings if not ping.done]
        if len(self._pings) >= MAX_PINGS:
            return False
        self._pings.append(
            ShortExchange(
                self._dialer,
                [address],
                HeadRequest(self._url, target),
                limit=PING_LIMIT,
                on_answer=_ignore,
                on_failed=_ignore,
            )
        )
        return True

    def cancel(self) -> None:
        """Close everything, without a callback."""
        if self._key is not None:
            self._key.cancel()
        for ping in self._pings:
            ping.cancel()
        self._pings.clear()


def _ignore(*_outcome: object) -> None:
    """Nothing depends on the outcome of a HEAD."""
