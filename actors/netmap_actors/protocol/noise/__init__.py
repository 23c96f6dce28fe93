"""Noise IK as in ts2021: handshake, records and their frames.

Not here: the HTTP upgrade below and HTTP/2 above.
"""

from __future__ import annotations

from netmap_actors.protocol.noise.frames import HandshakeError, HandshakeRefused, NoiseFrames
from netmap_actors.protocol.noise.handshake import Initiator, Responder, TransportCiphers
from netmap_actors.protocol.noise.messages import (
    INITIATION_LENGTH,
    MAX_PLAINTEXT,
    RESPONSE_LENGTH,
    encode_error,
)
from netmap_actors.protocol.noise.record import RecordStream

__all__ = [
    "INITIATION_LENGTH",
    "MAX_PLAINTEXT",
    "RESPONSE_LENGTH",
    "HandshakeError",
    "HandshakeRefused",
    "Initiator",
    "NoiseFrames",
    "RecordStream",
    "Responder",
    "TransportCiphers",
    "encode_error",
]
