"""The control server's key: fetched, proved by a handshake, pinned, doubted.

A key is pinned when a handshake has proved it, and has changed when a handshake has proved another one. The answer of
`/key` alone never ends a run: one that is forged or wrong once would keep this node out for good.
Not here: the requests (`side_requests`) and the files (`node_state`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.control_connection.client.events import SessionFailed
from netmap_actors.control_connection.client.server.key_policy import demand_trustworthy_key
from netmap_actors.control_connection.side_requests import KEY_LIMIT
from netmap_actors.errors import ConfigurationError
from netmap_actors.exit_reason import ExitReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.boot import ConnectionSettings
    from netmap_actors.control_connection.client.server.control_url import ControlUrl
    from netmap_actors.control_connection.node_state import NodeState
    from netmap_actors.control_connection.side_requests import SideRequests
    from netmap_actors.protocol.keys import MachineKey
    from netmap_actors.transport.address import Address
    from netmap_actors.transport.dialer import Dialer

__all__ = ["EMBEDDED_KEY_LIMIT", "ControlKey"]

EMBEDDED_KEY_LIMIT: Final = 300.0
"""Seconds for the answer of /key from the embedded server: as long as its process may take to start. Whether it takes
too long is for the stage's limit to say, with which the Supervisor bears while that process is not up."""


class ControlKey:
    """The key of this process's control server."""

    def __init__(
        self,
        node: NodeState,
        dialer: Dialer[ControlUrl],
        side_requests: SideRequests,
        settings: ConnectionSettings,
    ) -> None:
        self._node = node
        self._dialer = dialer
        self._side_requests = side_requests
        self._settings = settings

    def obtain(
        self,
        remote: Address,
        on_key: Callable[[MachineKey], None],
        on_failed: Callable[[str, float], None],
    ) -> None:
        """The pinned key, or what `/key` answers; one of the two is called, once.

        Raises ConfigurationError where the answer of `/key` cannot be trusted.
        """
        if self._node.server_key is not None:
            on_key(self._node.server_key)
            return
        self._demand_trustworthy(remote)
        limit = EMBEDDED_KEY_LIMIT if self._settings.embedded else KEY_LIMIT
        self._side_requests.fetch_key(remote, on_key, on_failed, limit=limit)

    def settle(self, failed: SessionFailed, remote: Address, on_end: Callable[[SessionFailed], None]) -> None:
        """A handshake has failed: `on_end` gets the final failure, once; a changed key only where it is proved."""
        pinned = self._node.server_key
        if pinned is None:
            on_end(_with(failed, "the key that /key gave is proved by nothing and will be asked for again"))
            return
        try:
            self._demand_trustworthy(remote)
        except ConfigurationError as error:
            on_end(_with(failed, str(error)))
            return

        def offered(server_key: MachineKey) -> None:
            if server_key == pinned:
                on_end(_with(failed, "/key says that the key is the same"))
                return
            self._side_requests.prove_key(
                remote,
                server_key,
                lambda: on_end(self._changed(failed, pinned, server_key)),
                lambda why: on_end(
                    _with(failed, f"/key gives another key, {server_key.short()}, which is not proved: {why}")
                ),
            )

        # Only /key can tell a changed key from a server that finds us too old.
        self._side_requests.fetch_key(
            remote,
            offered,
            lambda why, _wait: on_end(_with(failed, f"and what /key says now is not known: {why}")),
        )

    def _changed(self, failed: SessionFailed, pinned: MachineKey, server_key: MachineKey) -> SessionFailed:
        url = self._dialer.url.text
        change = f"{url} has another key: {server_key.short()} instead of {pinned.short()}"
        if self._settings.accept_changed_key or self._node.pinned_unproved:
            self._node.pin(server_key)
            return SessionFailed(ExitReason.ERROR, failed.stage, f"{change}; it is pinned from now on")
        return SessionFailed(
            ExitReason.KEY_CHANGED,
            failed.stage,
            f"cannot trust the control server: {change}; if that is right, start once with --accept-changed-key",
        )

    def _demand_trustworthy(self, remote: Address) -> None:
        demand_trustworthy_key(
            self._dialer.url,
            remote,
            insecure=self._settings.insecure_key_fetch,
            proxied=self._dialer.proxy is not None,
        )


def _with(failed: SessionFailed, more: str) -> SessionFailed:
    return msgspec.structs.replace(failed, detail=f"{failed.detail}; {more}")
