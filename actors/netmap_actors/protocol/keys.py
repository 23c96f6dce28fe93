"""The keys of the control protocol, one frozen type for each kind.

Not here: storage (the node file) and randomness: 32 random bytes are an argument.
"""

from __future__ import annotations

import base64
import hmac
from typing import ClassVar, NoReturn, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

__all__ = [
    "KEY_LENGTH",
    "BadKey",
    "ChallengePublic",
    "DiscoKey",
    "DiscoPrivate",
    "MachineKey",
    "MachinePrivate",
    "NodeKey",
    "NodePrivate",
    "PrivateKey",
    "PublicKey",
]

KEY_LENGTH = 32
"""Bytes of every key."""

_PRIVATE_PREFIX = "privkey:"
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


_FIELD_PRIME = 2**255 - 19
_LOW_ORDER = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        # The two of order eight (https://cr.yp.to/ecdh.html#validate).
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)
"""The u-coordinates with which X25519 gives zero for every private key."""


class BadKey(ValueError):
    """Text or bytes that are not a key. The message never quotes them: they may be secret."""


def _raw_from_text(text: str, prefix: str, kind: str) -> bytes:
    """Strict as tailscale: types/key/util.go: exact prefix, exact length, either case of hex, no trimming."""
    if not text.startswith(prefix):
        raise BadKey(f"cannot read {kind}: it does not begin with {prefix!r}")
    digits = text[len(prefix) :]
    if len(digits) != 2 * KEY_LENGTH:
        raise BadKey(
            f"cannot read {kind}: {2 * KEY_LENGTH} hex digits expected, {len(digits)} characters found"
        )
    if not _HEX_DIGITS.issuperset(digits):
        raise BadKey(f"cannot read {kind}: a character is not a hex digit")
    return bytes.fromhex(digits)


def _checked_length(raw: bytes, kind: str) -> bytes:
    if len(raw) != KEY_LENGTH:
        raise BadKey(f"cannot use {kind}: {KEY_LENGTH} bytes expected, {len(raw)} found")
    return bytes(raw)


class _Key:
    """32 frozen bytes."""

    __slots__ = ("_raw",)
    _raw: bytes

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name}: keys are frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name}: keys are frozen")


class PublicKey(_Key):
    """A public key: 32 bytes, compared and hashed by kind and value. All zero means "none" on the wire."""

    __slots__ = ()
    prefix: ClassVar[str]

    def __init__(self, raw: bytes) -> None:
        """Raises BadKey unless `raw` has 32 bytes."""
        object.__setattr__(self, "_raw", _checked_length(raw, type(self).__name__))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key in its text form, prefix and 64 hex digits. Raises BadKey."""
        return cls(_raw_from_text(text, cls.prefix, cls.__name__))

    @classmethod
    def zero(cls) -> Self:
        """The key that means "none"."""
        return cls(bytes(KEY_LENGTH))

    @property
    def raw(self) -> bytes:
        return self._raw

    @property
    def is_zero(self) -> bool:
        return self._raw == bytes(KEY_LENGTH)

    def short(self) -> str:
        """The form for logs: five characters of base64 in brackets, as in tailscale."""
        return f"[{base64.b64encode(self._raw).decode()[:5]}]"

    def __str__(self) -> str:
        return self.prefix + self._raw.hex()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, PublicKey) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash((self.prefix, self._raw))

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        return type(self), (self._raw,)


class MachineKey(PublicKey):
    """Identity of a machine in Noise; also the control server's Noise key."""

    __slots__ = ()
    prefix = "mkey:"

    @property
    def is_low_order(self) -> bool:
        """Whether X25519 with this key gives zero; the all-zero key is one of these."""
        # The top bit is ignored, and values above the prime are taken modulo it (RFC 7748, section 5).
        u = int.from_bytes(self._raw, "little") & (2**255 - 1)
        return u % _FIELD_PRIME in _LOW_ORDER


class NodeKey(PublicKey):
    """WireGuard identity of a node."""

    __slots__ = ()
    prefix = "nodekey:"


class DiscoKey(PublicKey):
    """Key of the path discovery protocol."""

    __slots__ = ()
    prefix = "discokey:"


class ChallengePublic(PublicKey):
    """The challenge of the EarlyNoise payload, which no client answers."""

    __slots__ = ()
    prefix = "chalpub:"


class PrivateKey(_Key):
    """An X25519 private key. Its text is available from `to_text` only; it cannot be printed, pickled or copied."""

    __slots__ = ()

    def __init__(self, raw: bytes) -> None:
        """Raises BadKey unless `raw` has 32 bytes that are not all zero."""
        checked = _checked_length(raw, type(self).__name__)
        if checked == bytes(KEY_LENGTH):
            # tailscale: types/key panics on a zero private key.
            raise BadKey(f"cannot use {type(self).__name__}: it is all zero, which means that no key was set")
        object.__setattr__(self, "_raw", checked)

    @classmethod
    def from_raw(cls, raw: bytes) -> Self:
        """The key with these 32 bytes, not clamped (X25519 clamps). Raises BadKey."""
        return cls(raw)

    @classmethod
    def generate(cls, random32: bytes) -> Self:
        """A new key from 32 random bytes, clamped as in tailscale: types/key/util.go. Raises BadKey."""
        clamped = bytearray(_checked_length(random32, cls.__name__))
        clamped[0] &= 0xF8
        clamped[31] = clamped[31] & 0x7F | 0x40
        return cls(bytes(clamped))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key in its text form. Raises BadKey."""
        return cls(_raw_from_text(text, _PRIVATE_PREFIX, cls.__name__))

    def to_text(self) -> str:
        """The secret, for the node file only."""
        return _PRIVATE_PREFIX + self._raw.hex()

    def exchange(self, public: PublicKey) -> bytes:
        """The 32-byte X25519 shared secret with `public`. Raises BadKey when it would be all zero."""
        try:
            return self._x25519().exchange(X25519PublicKey.from_public_bytes(public.raw))
        except ValueError as error:
            raise BadKey("cannot agree on a secret: the other public key is of low order") from error

    def _public_raw(self) -> bytes:
        return self._x25519().public_key().public_bytes_raw()

    def _x25519(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self._raw)

    def __repr__(self) -> str:
        return f"{type(self).__name__}[redacted]"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, PrivateKey):
            return False
        return hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._public_raw()))

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy {type(self).__name__}: private keys stay where they are")


class MachinePrivate(PrivateKey):
    """The Noise static key of a machine."""

    __slots__ = ()

    def public(self) -> MachineKey:
        return MachineKey(self._public_raw())


class NodePrivate(PrivateKey):
    """The WireGuard key of a node. Its text has the same prefix as a machine's."""

    __slots__ = ()

    def public(self) -> NodeKey:
        return NodeKey(self._public_raw())


class DiscoPrivate(PrivateKey):
    """The path discovery key; persistent, so that the tailnet does not notice a respawn."""

    __slots__ = ()

    def public(self) -> DiscoKey:
        return DiscoKey(self._public_raw())
