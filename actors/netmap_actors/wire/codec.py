"""Internal envelopes to bytes and back, with the sender's identity stamped, authenticated and checked.

An envelope that is not authentic, does not parse, has another version or comes from another run is refused here only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError

from netmap_actors.errors import ConfigurationError, RemoteProtocolError
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.secret import PROOF_BYTES, Secret
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = [
    "MAX_CONTROL_MESSAGE",
    "VERSION",
    "Codec",
    "ForeignEnvelope",
    "Inbox",
    "connection_secret",
    "require_native_protobuf",
]

VERSION = 2
_COUNT_BYTES = 8
_HEAD_BYTES = PROOF_BYTES + _COUNT_BYTES
"""Before an envelope: its proof, and the sender's generation."""
MAX_CONTROL_MESSAGE = 1024 * 1024
"""Bytes of one envelope between processes; MapResponses travel beside it as a frame of their own."""


class ForeignEnvelope(RemoteProtocolError):
    """An envelope that is malformed, of another version or run, or not proved: dropped and counted."""


def require_native_protobuf() -> None:
    """Refuse the pure-Python parser, whose recursion limit can be evaded (protobuf issue 25335).

    Raises ConfigurationError.
    """
    kind = api_implementation.Type()
    if kind != "upb":
        raise ConfigurationError(
            f"cannot use protobuf's {kind!r} implementation: only 'upb' bounds the depth of what it parses; unset "
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, and where no wheel has it, as on musl (Alpine), compile it: "
            "pip install --force-reinstall --no-binary protobuf protobuf"
        )


def connection_secret(inbox: Secret, generation: int) -> Secret:
    """The secret of the connection of this generation and the actor with this inbox."""
    return inbox.derive(ActorName.CONNECTION, str(generation))


class Codec:
    """One end of a channel between two processes: wraps outgoing messages and opens incoming ones.

    Only the two know the secret; an envelope names its sender and is numbered, so that none is replayed.
    """

    def __init__(
        self, run: str, actor: str, generation: int, *, peer: str, peer_generation: int = 1, secret: Secret
    ) -> None:
        """`peer`, `peer_generation`: the other process. `secret`: of this pair only."""
        self._run = bytes.fromhex(run)
        self._actor = actor
        self._generation = generation
        self._peer = (peer, peer_generation)
        self._secret = secret
        self._sent = 0
        self._received = 0
        self.foreign = 0
        """Envelopes refused."""

    def wrap(self, body: Message, document: bytes = b"") -> bytes:
        """The envelope around one body; its proof covers the document in the next frame, too."""
        field = _FIELD_OF.get(body.DESCRIPTOR.full_name)
        if field is None:
            raise TypeError(f"cannot send {body.DESCRIPTOR.full_name}: Envelope has no field for it")
        self._sent += 1
        envelope = internal_pb2.Envelope(
            version=VERSION,
            run=self._run,
            actor=self._actor,
            incarnation=self._generation,
            number=self._sent,
        )
        getattr(envelope, field).CopyFrom(body)
        message = envelope.SerializeToString()
        proof = self._secret.proof(message, document)
        return proof + self._generation.to_bytes(_COUNT_BYTES, "big") + message

    def open(self, data: bytes, document: bytes = b"") -> internal_pb2.Envelope:
        """The envelope in these bytes. Raises ForeignEnvelope (and counts it in `foreign`)."""
        try:
            return self._open(data, document)
        except ForeignEnvelope:
            self.foreign += 1
            raise

    def _open(self, data: bytes, document: bytes) -> internal_pb2.Envelope:
        if len(data) > MAX_CONTROL_MESSAGE:
            raise ForeignEnvelope(
                f"cannot open an envelope of {len(data)} bytes: the limit is {MAX_CONTROL_MESSAGE}"
            )
        # Nothing unauthenticated is parsed.
        proof, message = data[:PROOF_BYTES], data[_HEAD_BYTES:]
        if not self._secret.proves(proof, message, document):
            raise ForeignEnvelope(f"cannot open an envelope of {len(data)} bytes: its sender is not proved")
        try:
            envelope = internal_pb2.Envelope.FromString(message)
        except DecodeError as error:
            raise ForeignEnvelope(f"cannot open an envelope of {len(data)} bytes: {error}") from None
        if envelope.version != VERSION or envelope.run != self._run or envelope.WhichOneof("body") is None:
            raise ForeignEnvelope(
                f"cannot open an envelope: version {envelope.version}, run {envelope.run.hex()[:16]}, "
                f"body {envelope.WhichOneof('body')}; expected version {VERSION} of run {self._run.hex()}"
            )
        if (envelope.actor, envelope.incarnation) != self._peer:
            raise ForeignEnvelope(
                f"cannot open an envelope of {envelope.actor[:40]!r} {envelope.incarnation}: "
                f"expected one of {self._peer[0]} {self._peer[1]}"
            )
        if envelope.number <= self._received:
            raise ForeignEnvelope(
                f"cannot open envelope {envelope.number} of {self._peer[0]}: {self._received} came before it"
            )
        self._received = envelope.number
        return envelope


class Inbox:
    """Opens the messages of control_connection to this actor: of one generation after the other.

    Each generation has its own secret, derived from one that this actor and the Supervisor know; so its messages are
    accepted whether they come before or after the Supervisor's ConnectionStarted.
    """

    def __init__(self, run: str, actor: str, generation: int, secret: Secret) -> None:
        self._own = (run, actor, generation)
        self._secret = secret
        self._generation = 0
        self._codec: Codec | None = None
        self._foreign = 0

    @property
    def foreign(self) -> int:
        """Envelopes refused."""
        return self._foreign + (self._codec.foreign if self._codec is not None else 0)

    def began(self, generation: int) -> None:
        """Accept the connection of this generation from now on, and no earlier one."""
        if generation > self._generation:
            self._turn_to(self._from(generation), generation)

    def open(self, data: bytes, document: bytes = b"") -> internal_pb2.Envelope:
        """The envelope in these bytes. Raises ForeignEnvelope (and counts it in `foreign`)."""
        # A mere claim: the envelope has to say the same, and to be authentic.
        generation = int.from_bytes(data[PROOF_BYTES:_HEAD_BYTES], "big")
        if self._codec is not None and generation <= self._generation:
            return self._codec.open(data, document)
        codec = self._from(generation)
        try:
            envelope = codec.open(data, document)
        except ForeignEnvelope:
            self._foreign += 1
            raise
        self._turn_to(codec, generation)
        return envelope

    def _turn_to(self, codec: Codec, generation: int) -> None:
        self._foreign, self._codec, self._generation = self.foreign, codec, generation

    def _from(self, generation: int) -> Codec:
        secret = connection_secret(self._secret, generation)
        return Codec(*self._own, peer=ActorName.CONNECTION, peer_generation=generation, secret=secret)


_FIELD_OF = {
    field.message_type.full_name: field.name
    for field in internal_pb2.Envelope.DESCRIPTOR.oneofs_by_name["body"].fields
    if field.message_type is not None
}
