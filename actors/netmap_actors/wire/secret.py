"""Authenticates messages between two processes, by a key that only they and the Supervisor know.

Keyed BLAKE2b (RFC 7693) over the whole message. A proof does not reveal the key: a process that takes the receiver's
place cannot forge the sender's messages.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

__all__ = ["PROOF_BYTES", "SECRET_BYTES", "Secret"]

SECRET_BYTES: Final = 32
PROOF_BYTES: Final = 16


class Secret:
    """A key of 32 bytes, never shown by repr or in an error."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """Raises ValueError for another length."""
        if len(key) != SECRET_BYTES:
            raise ValueError(f"cannot use a secret of {len(key)} bytes: it has {SECRET_BYTES}")
        self._key = key

    @classmethod
    def from_text(cls, text: str) -> Secret:
        """The inverse of `text`. Raises ValueError, without the text."""
        try:
            key = bytes.fromhex(text)
        except ValueError:
            raise ValueError("cannot read a secret: it is not written in hex digits") from None
        return cls(key)

    def text(self) -> str:
        """64 hex digits, for a boot record."""
        return self._key.hex()

    def derive(self, *names: str) -> Secret:
        """A secret for these names in this order, from which this one cannot be found."""
        made = hashlib.blake2b(key=self._key, digest_size=SECRET_BYTES, person=b"derive")
        for name in names:
            data = name.encode()
            made.update(len(data).to_bytes(8, "big") + data)
        return Secret(made.digest())

    def proof(self, message: bytes, document: bytes = b"") -> bytes:
        """PROOF_BYTES for this message and the document behind it."""
        made = hashlib.blake2b(key=self._key, digest_size=PROOF_BYTES, person=b"prove")
        made.update(len(message).to_bytes(8, "big"))
        made.update(message)
        made.update(document)
        return made.digest()

    def proves(self, proof: bytes, message: bytes, document: bytes = b"") -> bool:
        """Whether the proof was made with this secret, in constant time."""
        return hmac.compare_digest(proof, self.proof(message, document))

    def __repr__(self) -> str:
        return "Secret(...)"
