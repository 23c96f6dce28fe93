"""CipherState and SymmetricState of the Noise specification, for ChaChaPoly and BLAKE2s.

Not here: the IK pattern (`handshake`) and the transport cipher, whose nonce deviates from Noise (`record`).
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from netmap_actors.errors import RemoteProtocolError

__all__ = ["CipherState", "SymmetricState"]

_NONCE_ZERO = bytes(12)


def _hash(*parts: bytes) -> bytes:
    return hashlib.blake2s(b"".join(parts)).digest()


def _hkdf2(salt: bytes, input_key_material: bytes) -> tuple[bytes, bytes]:
    """HKDF of the Noise specification, section 4.3, with two outputs (RFC 5869 with empty info)."""
    secret = hmac.digest(salt, input_key_material, "blake2s")
    first = hmac.digest(secret, b"\x01", "blake2s")
    return first, hmac.digest(secret, first + b"\x02", "blake2s")


class CipherState:
    """A handshake key, used for exactly one message, hence with nonce zero."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)

    def encrypt_with_ad(self, associated: bytes, plaintext: bytes) -> bytes:
        return self._aead.encrypt(_NONCE_ZERO, plaintext, associated)

    def decrypt_with_ad(self, associated: bytes, ciphertext: bytes) -> bytes:
        """Raises RemoteProtocolError when the tag does not fit."""
        try:
            return self._aead.decrypt(_NONCE_ZERO, ciphertext, associated)
        except InvalidTag as error:
            raise RemoteProtocolError(
                "cannot authenticate the Noise handshake: a tag does not fit; the other side holds another key "
                "or the bytes were changed on the way"
            ) from error


class SymmetricState:
    """Chaining key `ck`, hash `h` and cipher, with the operations of the specification's section 5.2."""

    __slots__ = ("_chaining_key", "_cipher", "handshake_hash")

    def __init__(self, protocol_name: bytes) -> None:
        # The name is longer than a hash, so it is hashed (Noise specification, InitializeSymmetric).
        self.handshake_hash = _hash(protocol_name)
        self._chaining_key = self.handshake_hash
        self._cipher: CipherState | None = None

    def mix_hash(self, data: bytes) -> None:
        self.handshake_hash = _hash(self.handshake_hash, data)

    def mix_key(self, input_key_material: bytes) -> None:
        self._chaining_key, key = _hkdf2(self._chaining_key, input_key_material)
        self._cipher = CipherState(key)

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        assert self._cipher is not None, "IK mixes a key before it encrypts"
        ciphertext = self._cipher.encrypt_with_ad(self.handshake_hash, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """Raises RemoteProtocolError when the tag does not fit."""
        assert self._cipher is not None, "IK mixes a key before it decrypts"
        plaintext = self._cipher.decrypt_with_ad(self.handshake_hash, ciphertext)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The two transport keys: initiator to responder, responder to initiator."""
        return _hkdf2(self._chaining_key, b"")
