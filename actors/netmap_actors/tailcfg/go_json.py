"""The JSON dialect of Go's encoding/json as the control protocol uses it: names, zero values, null.

Not here: the types themselves (one file per subject beside this one) and the gate of the map stream (`map_document`).
"""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ABSENT",
    "REFUSALS",
    "ZERO_TIME",
    "GoStruct",
    "Int32",
    "Int64",
    "NotGoJson",
    "decode",
    "encode",
    "is_set",
    "is_zero_key",
    "is_zero_time",
]

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Go's int64: node, user and login ids, sequence numbers. Ids may be negative (tailscale: testcontrol)."""

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""Small Go ints: DERP regions, capability versions, ports."""

_INITIALISMS: Final = {
    "api": "API", "derp": "DERP", "dns": "DNS", "id": "ID", "ip": "IP", "ipn": "IPN", "ips": "IPs", "os": "OS",
    "ssh": "SSH", "tka": "TKA", "url": "URL", "wireguard": "WireGuard",
}  # fmt: skip


def go_name(attribute: str) -> str:
    """The Go field name of a Python attribute: `allowed_ips` -> `AllowedIPs`."""
    return "".join(_INITIALISMS.get(word, word[:1].upper() + word[1:]) for word in attribute.split("_"))


class GoStruct(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, rename=go_name):
    """Base of the control server's types: frozen, Go's names, every field optional, zero values not emitted.

    A list or map is None when Go has nil there and empty when Go has it empty: the two differ in deltas.
    Times are the RFC 3339 text they came as, "" for none; keys are their text form, "" for none.
    """


class NotGoJson(ValueError):
    """The document is not JSON, not UTF-8, too deep, or of another type; the text says which."""


MAX_NULL_BYTES: Final = 16
"""Bytes examined to find that a whole document is null."""

ABSENT: Final = msgspec.Raw()
"""A raw field that is not there: the default of every one, so it is recognised without being read."""

ZERO_TIME: Final = "0001-"
"""How Go's zero time begins, in year 1."""

_NULL: Final = memoryview(b"n")
"""The first byte of null, and of nothing else in JSON."""

_S = TypeVar("_S", bound=msgspec.Struct)

REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError, MemoryError, OverflowError)
"""What decoding raises. MsgspecError is a ValueError in the newest msgspec only; RecursionError: nesting beyond the
interpreter's limit."""


def encode(value: object) -> bytes:
    """Compact JSON with exact Go names; fields that hold their zero value are left out."""
    return msgspec.json.encode(value)


def is_set(value: msgspec.Raw) -> bool:
    """Whether a raw field is present; null is the same as absent."""
    if value is ABSENT:
        return False
    view = memoryview(value)
    return len(view) > 0 and view[:1] != _NULL


def is_zero_time(text: str) -> bool:
    """Whether a time is absent or Go's zero time (year 1)."""
    return not text or text.startswith(ZERO_TIME)


def is_zero_key(text: str) -> bool:
    """Whether a key in text form is absent or all zero."""
    return not text.rpartition(":")[2].strip("0")


@functools.lru_cache(maxsize=256)
def _decoder(struct: type[_S]) -> msgspec.json.Decoder[_S]:
    return msgspec.json.Decoder(struct)


def decode(struct: type[_S], data: bytes | msgspec.Raw) -> _S:
    """The JSON of a control server as `struct`. Names are matched exactly; null is the same as absent.

    The document `null` is an empty `struct`, as in Go: headscale answers a register with it (hscontrol/auth.go).

    Raises NotGoJson only. The encoding of strings outside `struct` is not checked.
    """
    decoder: msgspec.json.Decoder[_S] = _decoder(struct)
    try:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError:
            if bytes(memoryview(data)[:MAX_NULL_BYTES]).strip() == b"null":
                return struct()
            # Go writes null for lists, maps and pointers only, whose types here allow it; other servers may write it
            # for a string or number.
            return decoder.decode(_without_nulls(struct, data))
    except REFUSALS as e:
        reason = "it is nested too deep" if isinstance(e, RecursionError) else str(e) or type(e).__name__
        raise NotGoJson(f"cannot read {struct.__name__}: {reason}") from None


def _without_nulls(struct: type[msgspec.Struct], data: bytes | msgspec.Raw) -> bytes:
    """The same object without null fields, recursively in fields that are structs."""
    known = _struct_fields(struct)
    kept: dict[str, msgspec.Raw] = {}
    for key, value in msgspec.json.decode(data, type=dict[str, msgspec.Raw]).items():
        if not is_set(value):
            continue
        inner = known.get(key)
        is_object = bytes(memoryview(value)[:1]) == b"{"
        kept[key] = msgspec.Raw(_without_nulls(inner, value)) if inner is not None and is_object else value
    return msgspec.json.encode(kept)


@functools.lru_cache(maxsize=256)
def _struct_fields(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    hints = get_type_hints(struct)
    return {
        field.encode_name: branch
        for field in msgspec.structs.fields(struct)
        for branch in _branches(hints[field.name])
        if isinstance(branch, type) and issubclass(branch, msgspec.Struct)
    }


def _branches(kind: Any) -> Iterator[Any]:
    """The alternatives of a union, else the type itself."""
    if get_origin(kind) in (Union, types.UnionType):
        yield from get_args(kind)
    else:
        yield kind
