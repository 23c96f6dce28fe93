"""Internal envelopes to bytes and back, with the identity of the sender stamped, proved and checked.

What nobody proves, does not parse, has another version or comes from another run is refused here, once, for everybody.
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
"""Before an envelope: its proof, and the incarnation of who sends it."""
MAX_CONTROL_MESSAGE = 1024 * 1024
"""Bytes of one envelope between processes; MapResponses travel beside it as a frame of their own."""


class ForeignEnvelope(RemoteProtocolError):
    """An envelope that is malformed, of another version or run, or not proved: dropped and counted."""


def require_native_protobuf() -> None:
    """Refuse the pure-Python parser, whose recursion limit can be got round (protobuf issue 25335).

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
    """What proves the connection of this generation to the actor with this inbox."""
    return inbox.derive(ActorName.CONNECTION, str(generation))


class Codec:
    """One end of a pair of processes: wraps what this one says to the other and opens what the other says.

    Who knows the secret is one of the two, and a word names which; words are numbered, so that none counts twice.
    """

    def __init__(
        self, run: str, actor: str, incarnation: int, *, peer: str, peer_incarnation: int = 1, secret: Secret
    ) -> None:
        """`peer`, `peer_incarnation`: the other process. `secret`: of this pair, and of no other."""
        self._run = bytes.fromhex(run)
        self._actor = actor
        self._incarnation = incarnation
        self._peer = (peer, peer_incarnation)
        self._secret = secret
        self._said = 0
        self._heard = 0
        self.foreign = 0
        """Words that were refused."""

    def wrap(self, body: Message, document: bytes = b"") -> bytes:
        """The envelope around one body, stamped with who sends it; it proves the document that goes behind it, too."""
        field = _FIELD_OF.get(body.DESCRIPTOR.full_name)
        if field is None:
            raise TypeError(f"cannot send {body.DESCRIPTOR.full_name}: Envelope has no field for it")
        self._said += 1
        envelope = internal_pb2.Envelope(
            version=VERSION,
            run=self._run,
            actor=self._actor,
            incarnation=self._incarnation,
            number=self._said,
        )
        getattr(envelope, field).CopyFrom(body)
        word = envelope.SerializeToString()
        return self._secret.proof(word, document) + self._incarnation.to_bytes(_COUNT_BYTES, "big") + word

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
        # Nothing is parsed of what nobody proved.
        proof, word = data[:PROOF_BYTES], data[_HEAD_BYTES:]
        if not self._secret.proves(proof, word, document):
            raise ForeignEnvelope(f"cannot open an envelope of {len(data)} bytes: its sender is not proved")
        try:
            envelope = internal_pb2.Envelope.FromString(word)
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
        if envelope.number <= self._heard:
            raise ForeignEnvelope(
                f"cannot open envelope {envelope.number} of {self._peer[0]}: {self._heard} came before it"
            )
        self._heard = envelope.number
        return envelope


class Inbox:
    """Opens what control_connection, and nobody else, says to this actor: one process of it after the other.

    Each has a secret of its own, made from one that this actor and the Supervisor know; so a process that begins speaks
    for itself, whatever comes first, its words or the Supervisor's that it began.
    """

    def __init__(self, run: str, actor: str, incarnation: int, secret: Secret) -> None:
        self._run = run
        self._actor = actor
        self._incarnation = incarnation
        self._secret = secret
        self._generation = 0
        self._codec: Codec | None = None
        self._foreign = 0

    @property
    def foreign(self) -> int:
        """Words that were refused."""
        return self._foreign + (self._codec.foreign if self._codec is not None else 0)

    def began(self, generation: int) -> None:
        """The connection of this generation counts from now on, and none before it."""
        if generation > self._generation:
            self._turn_to(self._from(generation), generation)

    def open(self, data: bytes, document: bytes = b"") -> internal_pb2.Envelope:
        """The envelope in these bytes. Raises ForeignEnvelope (and counts it in `foreign`)."""
        # Claimed by anybody; the envelope behind it has to say the same, and to be proved.
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
        return Codec(
            self._run,
            self._actor,
            self._incarnation,
            peer=ActorName.CONNECTION,
            peer_incarnation=generation,
            secret=connection_secret(self._secret, generation),
        )


_FIELD_OF = {
    field.message_type.full_name: field.name
    for field in internal_pb2.Envelope.DESCRIPTOR.oneofs_by_name["body"].fields
    if field.message_type is not None
}
