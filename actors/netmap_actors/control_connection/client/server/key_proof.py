"""One handshake that only proves a key, without revealing our identity. Pure.

Not here: where the key came from, and what follows from the proof (`control_key`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.control_connection.client.channel import ControlChannel
from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.keys import MachinePrivate

if TYPE_CHECKING:
    from netmap_actors.control_connection.client.server.control_url import ControlUrl
    from netmap_actors.protocol.keys import MachineKey

__all__ = ["KeyProof"]


class KeyProof:
    """Upgrade and Noise on a connection of their own."""

    def __init__(self, url: ControlUrl, server_key: MachineKey, static: bytes, ephemeral: bytes) -> None:
        """`static`, `ephemeral`: 32 fresh random bytes each; the first replaces our machine key."""
        self._channel = ControlChannel(
            url.host_header, MachinePrivate.generate(static), server_key, ephemeral
        )

    def data_to_send(self) -> bytes:
        """The upgrade with the initiation, once."""
        return self._channel.data_to_send()

    def receive(self, data: bytes) -> bool | None:
        """True once the server has proved the key, else None. Raises RemoteProtocolError: it has not."""
        try:
            self._channel.receive(data, 0.0)
        except RemoteProtocolError:
            if not self._channel.open:
                raise
        return self._channel.open or None

    def eof(self) -> bool:
        """The server closed before the proof. Raises RemoteProtocolError."""
        self._channel.eof()
        raise RemoteProtocolError("cannot finish the Noise handshake: the server closed")
