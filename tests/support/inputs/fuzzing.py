"""For the fuzz tests: damaged messages made from good ones, and bounds on the time, memory and text of a decoder.

`FUZZ_EXAMPLES=2000 pytest tests/unit/test_fuzz_*` looks longer; a failure prints the message itself and a blob for
`@reproduce_failure`, either of which replays it.
"""

from __future__ import annotations

import copy
import json
import os
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

CPU_BASE, CPU_PER_BYTE = 0.05, 1e-6
"""Seconds of CPU a decoder may take, and more for each byte."""
GENEROSITY = 10
"""The machine is shared, and memory is being traced."""
MEMORY_BASE, MEMORY_PER_BYTE = 2 << 20, 128
"""Bytes of memory at the worst moment, and more for each byte. A small object of Python has a hundred."""

REFUSAL = 2000
"""Characters of what a refusal says."""

EXTREMES = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\x0f",
    b"\x80" * 10,
    b"\xff" * 9 + b"\x01",
    b"\x00\xff",
    b"\xed\xa0\x80",
)
"""Lengths and numbers at the border of what their fields hold, and half a surrogate."""


def survive(
    call: Callable[[], _T],
    size: int,
    *refusals: type[BaseException],
    cap: int = 0,
    work: float = 0.0,
    quotes: bool = False,
) -> _T | None:
    """What `call` gives, None when it refuses `size` bytes of input in one of the declared ways.

    `cap`: bytes of memory its declared limits allow it besides. `work`: seconds of CPU, likewise. `quotes`: a refusal
    may repeat what was asked, since only the one who asked hears it.
    """
    answer, said = None, ""
    tracemalloc.start()
    try:
        began = time.thread_time()
        try:
            answer = call()
        except refusals as refusal:
            said = str(refusal)
        spent = time.thread_time() - began
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(said) < REFUSAL + (8 * size if quotes else 0), "whoever logs it is flooded"
    allowed = GENEROSITY * (CPU_BASE + CPU_PER_BYTE * size) + work
    assert spent <= allowed, f"{spent:.3f} s of CPU for {size} bytes, {allowed:.3f} s allowed"
    room = MEMORY_BASE + MEMORY_PER_BYTE * size + cap
    assert peak <= room, f"{peak} bytes of memory for {size} bytes, {room} allowed"
    return answer


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A good message with bits flipped, an end cut off, parts taken out, doubled or joined to another's."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "end", "out", "double", "join", "extreme", "insert"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "end":
                del data[at:]
            case "out":
                del data[at : at + draw(st.integers(1, 40))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 200))]
            case "join":
                other = draw(st.sampled_from(seeds))
                data[at:] = other[draw(st.integers(0, len(other))) :]
            case "extreme":
                extreme = draw(st.sampled_from(EXTREMES))
                data[at : at + len(extreme)] = extreme
            case "insert":
                data[at:at] = draw(st.binary(max_size=12))
    return bytes(data)


def hostile(seeds: Sequence[bytes], most: int = 400) -> st.SearchStrategy[bytes]:
    """Damaged messages for the most part, and any bytes at all."""
    return st.one_of(damaged(seeds), damaged(seeds), st.binary(max_size=most))


_TOKENS = {
    "not a number": b"NaN",
    "too large": b"1e999",
    "long": b"9" * 5000,
    "minus": b"-",
    "half a surrogate": b'"\\ud800"',
    "not utf-8": b'"\xff\xfe"',
    "twice": b'{"ID":1,"ID":2,"Key":"a","Key":null}',
    "deep list": b"[" * 3000 + b"]" * 3000,
    "deep object": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "never closed": b"[" * 100_000,
}
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, -(2**63), 2**63, 2**64, 10**40, 1e308, "", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "2026-11-23T00:00:00.123456789+23:59", "nodekey:", "nodekey:zz",
    "-9223372036854775808", "\x00", "\x1b[2J", "\u202e", "𝄞" * 300, "x" * 3000, "http://[", "https://[::1", "//[",
    [], [[]], [None], [1, "a", None], {}, {"": {}}, {"ID": None}, {"*": None}, {"-1": 1}, {"1": {"RegionID": "x"}},
)  # fmt: skip


@st.composite
def damaged_json(draw: st.DrawFn, seeds: Sequence[Any]) -> bytes:
    """A good document in which values have another type, size or place, or are no JSON at all."""
    document = copy.deepcopy(draw(st.sampled_from(seeds)))
    tokens: dict[str, bytes] = {}
    for _ in range(draw(st.integers(1, 3))):
        place = _somewhere(draw, document)
        if place is None:
            break
        holder, key = place
        match draw(st.sampled_from(["value", "value", "token", "delete", "swap"])):
            case "value":
                holder[key] = copy.deepcopy(draw(st.sampled_from(_VALUES)))
            case "token":
                name = draw(st.sampled_from(sorted(_TOKENS)))
                holder[key] = mark = f"<<{name}>>"
                tokens[mark] = _TOKENS[name]
            case "delete":
                del holder[key]
            case "swap":
                other_holder, other = _somewhere(draw, document) or place
                holder[key] = copy.deepcopy(other_holder[other])
    data = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    for mark, token in tokens.items():
        data = data.replace(json.dumps(mark).encode(), token)
    return data


def _somewhere(draw: st.DrawFn, document: Any) -> tuple[Any, Any] | None:
    """A holder and a key in it, at any depth."""
    found = None
    node = document
    while isinstance(node, dict | list) and node:
        key = (
            draw(st.sampled_from(sorted(node)))
            if isinstance(node, dict)
            else draw(st.integers(0, len(node) - 1))
        )
        found, node = (node, key), node[key]
        if draw(st.booleans()):
            break
    return found
