"""The layers below the requests: HTTP upgrade, Noise handshake, early payload, HTTP/2.

Not here: the requests themselves (`session`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.control_connection.client.capability import CAPABILITY_VERSION
from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.early_payload import EarlyPayloadReader
from netmap_actors.protocol.http2 import FLOOD_LIMIT, FLOOD_WINDOW, Http2Client
from netmap_actors.protocol.noise import Initiator, NoiseFrames, RecordStream
from netmap_actors.protocol.upgrade import UpgradeClient

if TYPE_CHECKING:
    from netmap_actors.protocol.http2 import ClientEvent
    from netmap_actors.protocol.keys import MachineKey, MachinePrivate

__all__ = ["SEND_SIZE", "ControlChannel"]

SEND_SIZE = 64 * 1024
"""Bytes encrypted at a time; more only when these are written."""


class ControlChannel:
    """One connection to a control server, below the requests."""

    def __init__(
        self, host_header: str, machine_key: MachinePrivate, server_key: MachineKey, ephemeral: bytes
    ) -> None:
        """`ephemeral`: 32 fresh random bytes, never used twice."""
        self._initiator = Initiator(machine_key, server_key, CAPABILITY_VERSION, ephemeral)
        self._upgrade: UpgradeClient | None = UpgradeClient(host_header, self._initiator.initiation)
        self._frames = NoiseFrames()
        self._records: RecordStream | None = None
        self._early = EarlyPayloadReader()
        self._empty_seen = 0
        self._empty_since = 0.0
        self._empty_lately = 0
        """Empty records since then: limited like useless HTTP/2 frames."""
        self.http2 = Http2Client(host_header)
        """Requests may be made before the handshake is done; they wait."""

    @property
    def open(self) -> bool:
        """Whether the Noise handshake is done."""
        return self._records is not None

    @property
    def handshaking(self) -> bool:
        """Whether the server accepted the upgrade and has yet to prove its key."""
        return self._upgrade is None and self._records is None

    @property
    def partial(self) -> bool:
        """Whether the bytes so far end inside a Noise record."""
        return self._records is not None and self._records.partial

    def receive(self, data: bytes, now: float) -> list[ClientEvent]:
        """Raises RemoteProtocolError, as UnexpectedStatus for an upgrade that was refused."""
        if self._upgrade is not None:
            accepted = self._upgrade.receive(data)
            if accepted is None:
                return []
            self._upgrade, data = None, accepted.trailing
        if self._records is None:
            response = self._frames.receive(data)
            if response is None:
                return []
            self._records, data = RecordStream(self._initiator.receive(response)), self._frames.trailing
        pieces = self._records.receive(data)
        self._bound_empty_records(self._records.empty_records, now)
        if not pieces:
            return []
        plaintext = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not self._early.done:
            _, plaintext = self._early.receive(plaintext)
        return self.http2.receive(plaintext, now) if plaintext else []

    def _bound_empty_records(self, count: int, now: float) -> None:
        new, self._empty_seen = count - self._empty_seen, count
        if not new:
            return
        if not 0 <= now - self._empty_since < FLOOD_WINDOW:
            self._empty_since, self._empty_lately = now, 0
        self._empty_lately += new
        if self._empty_lately > FLOOD_LIMIT:
            raise RemoteProtocolError(
                f"cannot go on with Noise: more than {FLOOD_LIMIT} empty records in {FLOOD_WINDOW:.0f} s"
            )

    def eof(self) -> None:
        """The server closed. Before the handshake is done: raises HandshakeRefused or RemoteProtocolError."""
        if self._upgrade is not None:
            self._upgrade.eof()
        elif self._records is None:
            self._frames.eof()

    def data_to_send(self) -> bytes:
        """The next bytes for the wire, at most about SEND_SIZE; all of them must be sent before the next call."""
        if self._upgrade is not None:
            return self._upgrade.data_to_send()
        if self._records is None:
            return b""
        plaintext = self.http2.data_to_send(SEND_SIZE)
        return self._records.seal(plaintext) if plaintext else b""
