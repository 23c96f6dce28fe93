"""The ts2021 handshake, Noise_IK_25519_ChaChaPoly_BLAKE2s, for initiator and responder.

Not here: the layout of frames (`messages`), the records (`record`) and the HTTP upgrade.
Source: Noise specification revision 34; tailscale: control/controlbase/handshake.go.
"""

from __future__ import annotations

import msgspec

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.keys import BadKey, MachineKey, MachinePrivate
from netmap_actors.protocol.noise import messages
from netmap_actors.protocol.noise.symmetric import SymmetricState

__all__ = ["Initiator", "Responder", "TransportCiphers"]

_PROTOCOL_NAME = b"Noise_IK_25519_ChaChaPoly_BLAKE2s"
_PROLOGUE = "Tailscale Control Protocol v"


class TransportCiphers(msgspec.Struct, frozen=True):
    """The result of a handshake: two 32-byte keys, seen from this side, and the channel binding hash."""

    send: bytes
    receive: bytes
    handshake_hash: bytes

    def __repr__(self) -> str:
        return "TransportCiphers[redacted]"


class HandshakeState:
    """One run of the IK pattern; the role shows only in the keys it holds and in `initiator`."""

    __slots__ = ("_ephemeral", "_initiator", "_remote_ephemeral", "_remote_static", "_static", "_symmetric")

    def __init__(
        self,
        *,
        initiator: bool,
        version: int,
        static: MachinePrivate,
        ephemeral: MachinePrivate,
        responder_static: MachineKey,
    ) -> None:
        self._initiator = initiator
        self._static = static
        self._ephemeral = ephemeral
        self._remote_static: MachineKey | None = responder_static if initiator else None
        self._remote_ephemeral: MachineKey | None = None
        self._symmetric = SymmetricState(_PROTOCOL_NAME)
        self._symmetric.mix_hash(f"{_PROLOGUE}{version}".encode("ascii"))
        # <- s: the pre-message.
        self._symmetric.mix_hash(responder_static.raw)

    @property
    def remote_static(self) -> MachineKey:
        assert self._remote_static is not None, "known after the first message"
        return self._remote_static

    def write_initiation(self) -> bytes:
        """-> e, es, s, ss"""
        symmetric = self._symmetric
        ephemeral = self._ephemeral.public().raw
        symmetric.mix_hash(ephemeral)  # e
        symmetric.mix_key(self._ephemeral.exchange(self.remote_static))  # es
        static = symmetric.encrypt_and_hash(self._static.public().raw)  # s
        symmetric.mix_key(self._static.exchange(self.remote_static))  # ss
        return ephemeral + static + symmetric.encrypt_and_hash(b"")

    def read_initiation(self, body: bytes) -> None:
        """-> e, es, s, ss"""
        symmetric = self._symmetric
        ephemeral, static, tag = body[:32], body[32:80], body[80:]
        self._remote_ephemeral = MachineKey(ephemeral)
        symmetric.mix_hash(ephemeral)  # e
        symmetric.mix_key(self._static.exchange(self._remote_ephemeral))  # es
        self._remote_static = MachineKey(symmetric.decrypt_and_hash(static))  # s
        symmetric.mix_key(self._static.exchange(self._remote_static))  # ss
        symmetric.decrypt_and_hash(tag)

    def write_response(self) -> bytes:
        """<- e, ee, se"""
        symmetric = self._symmetric
        assert self._remote_ephemeral is not None, "the initiation comes first"
        ephemeral = self._ephemeral.public().raw
        symmetric.mix_hash(ephemeral)  # e
        symmetric.mix_key(self._ephemeral.exchange(self._remote_ephemeral))  # ee
        symmetric.mix_key(self._ephemeral.exchange(self.remote_static))  # se
        return ephemeral + symmetric.encrypt_and_hash(b"")

    def read_response(self, body: bytes) -> None:
        """<- e, ee, se"""
        symmetric = self._symmetric
        ephemeral, tag = body[:32], body[32:]
        self._remote_ephemeral = MachineKey(ephemeral)
        symmetric.mix_hash(ephemeral)  # e
        symmetric.mix_key(self._ephemeral.exchange(self._remote_ephemeral))  # ee
        symmetric.mix_key(self._static.exchange(self._remote_ephemeral))  # se
        symmetric.decrypt_and_hash(tag)

    def split(self) -> TransportCiphers:
        to_responder, to_initiator = self._symmetric.split()
        send, receive = (to_responder, to_initiator) if self._initiator else (to_initiator, to_responder)
        return TransportCiphers(send, receive, self._symmetric.handshake_hash)


class Initiator:
    """The client's half: `initiation` goes into the upgrade request, `receive` takes the 51-byte Response, once."""

    def __init__(
        self, machine_key: MachinePrivate, server_key: MachineKey, version: int, ephemeral: bytes
    ) -> None:
        """`ephemeral`: 32 fresh random bytes, never used twice. Raises LocalProtocolError or BadKey."""
        self._state: HandshakeState | None = HandshakeState(
            initiator=True,
            version=version,
            static=machine_key,
            ephemeral=MachinePrivate.from_raw(ephemeral),
            responder_static=server_key,
        )
        self.initiation = messages.encode_initiation(version, self._state.write_initiation())
        """The 101 bytes to send."""

    def receive(self, response: bytes) -> TransportCiphers:
        """The transport keys. Raises RemoteProtocolError. Not to be used again in any case."""
        state, self._state = self._state, None
        if state is None:
            raise LocalProtocolError("cannot finish the handshake: it has been finished before")
        try:
            state.read_response(messages.parse_response(response))
        except BadKey as error:
            raise RemoteProtocolError(f"cannot finish the handshake: {error}") from error
        return state.split()


class Responder:
    """The server's half: one initiation in, the response and the client's identity out."""

    def __init__(self, machine_key: MachinePrivate, ephemeral: bytes) -> None:
        """`ephemeral`: 32 fresh random bytes, never used twice. Raises BadKey."""
        self._machine_key = machine_key
        self._ephemeral: MachinePrivate | None = MachinePrivate.from_raw(ephemeral)

    def receive(self, initiation: bytes) -> tuple[bytes, TransportCiphers, MachineKey, int]:
        """The 51-byte response, the transport keys, the client's machine key and the version it states.

        Raises RemoteProtocolError. Not to be used again in any case.
        """
        ephemeral, self._ephemeral = self._ephemeral, None
        if ephemeral is None:
            raise LocalProtocolError("cannot answer the handshake: an initiation has been received before")
        version, body = messages.parse_initiation(initiation)
        state = HandshakeState(
            initiator=False,
            version=version,
            static=self._machine_key,
            ephemeral=ephemeral,
            responder_static=self._machine_key.public(),
        )
        try:
            state.read_initiation(body)
            response = messages.encode_response(state.write_response())
        except BadKey as error:
            raise RemoteProtocolError(f"cannot answer the handshake: {error}") from error
        return response, state.split(), state.remote_static, version
