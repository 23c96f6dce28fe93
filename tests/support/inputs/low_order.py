"""Every encoding of a point of low order on Curve25519, as others list them.

Sources: https://cr.yp.to/ecdh.html#validate, RFC 7748 section 5 (the top bit is ignored, values up to 2^255-1 are
taken modulo p), libsodium: crypto_scalarmult/curve25519/ref10, has_small_order.
"""

from __future__ import annotations

_P = 2**255 - 19
_OF_ORDER_EIGHT = (
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
)


def _encoded(value: int) -> bytes:
    return value.to_bytes(32, "little")


_SEVEN = (_encoded(0), _encoded(1), *_OF_ORDER_EIGHT, _encoded(_P - 1), _encoded(_P), _encoded(_P + 1))

LOW_ORDER = (*_SEVEN, *(raw[:31] + bytes([raw[31] | 0x80]) for raw in _SEVEN))
"""All zero first; the second half has the top bit set."""
