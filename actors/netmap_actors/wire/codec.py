"""Internal envelopes to bytes and back, with the identity of the sender stamped and checked.

What does not parse, has another version or comes from another run is refused here, once, for everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError

from netmap_actors.errors import ConfigurationError, RemoteProtocolError
from netmap_actors.wire import internal_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["MAX_CONTROL_MESSAGE", "VERSION", "Codec", "ForeignEnvelope", "require_native_protobuf"]

VERSION = 1
MAX_CONTROL_MESSAGE = 1024 * 1024
"""Bytes of one envelope between processes; MapResponses travel beside it as a frame of their own."""


class ForeignEnvelope(RemoteProtocolError):
    """An envelope that is malformed, of another version or of another run: dropped and counted."""


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


class Codec:
    """Wraps the bodies one actor sends and opens what it receives, within one run."""

    def __init__(self, run: str, actor: str, incarnation: int) -> None:
        self._run = bytes.fromhex(run)
        self._actor = actor
        self._incarnation = incarnation
        self.foreign = 0

    def wrap(self, body: Message) -> bytes:
        """The envelope around one body, stamped with who sends it."""
        envelope = internal_pb2.Envelope(
            version=VERSION, run=self._run, actor=self._actor, incarnation=self._incarnation
        )
        field = _FIELD_OF.get(body.DESCRIPTOR.full_name)
        if field is None:
            raise TypeError(f"cannot send {body.DESCRIPTOR.full_name}: Envelope has no field for it")
        getattr(envelope, field).CopyFrom(body)
        return envelope.SerializeToString()

    def open(self, data: bytes) -> internal_pb2.Envelope:
        """The envelope in these bytes. Raises ForeignEnvelope (and counts it in `foreign`)."""
        if len(data) > MAX_CONTROL_MESSAGE:
            self.foreign += 1
            raise ForeignEnvelope(
                f"cannot open an envelope of {len(data)} bytes: the limit is {MAX_CONTROL_MESSAGE}"
            )
        try:
            envelope = internal_pb2.Envelope.FromString(data)
        except DecodeError as error:
            self.foreign += 1
            raise ForeignEnvelope(f"cannot open an envelope of {len(data)} bytes: {error}") from None
        if envelope.version != VERSION or envelope.run != self._run or envelope.WhichOneof("body") is None:
            self.foreign += 1
            raise ForeignEnvelope(
                f"cannot open an envelope: version {envelope.version}, run {envelope.run.hex()[:16]}, "
                f"body {envelope.WhichOneof('body')}; expected version {VERSION} of run {self._run.hex()}"
            )
        return envelope


_FIELD_OF = {
    field.message_type.full_name: field.name
    for field in internal_pb2.Envelope.DESCRIPTOR.oneofs_by_name["body"].fields
    if field.message_type is not None
}
