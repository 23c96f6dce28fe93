"""What a process may ask of the kernel, as a program in classic BPF (seccomp(2), linux/filter.h).

Pure: rules in, bytes out. Not here: how the kernel takes it (`seccomp`), what a process needs (`seccomp_rows`).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.confinement.seccomp_calls import X32_BIT, X86_64

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netmap_actors.confinement.seccomp_calls import Architecture

__all__ = [
    "ALLOW",
    "ANYHOW",
    "COUNTED",
    "NEVER",
    "YIELDING",
    "Argument",
    "CallRule",
    "conditions_for",
    "program",
    "refuse",
]

ALLOW: Final = 0x7FFF_0000
COUNTED: Final = 0x7FC0_0000
"""SECCOMP_RET_USER_NOTIF: the holder of the listener answers."""
YIELDING: Final = 0x7FF0_0000
"""SECCOMP_RET_TRACE: ENOSYS, without a tracer. Of several filters the most restrictive answer counts, and this
yields to what a later filter says, COUNTED above all (seccomp(2))."""
_ERRNO: Final = 0x0005_0000
_EPERM: Final = 1

_LOAD, _AND, _EQUAL, _AT_LEAST, _JUMP, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x05, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND, BPF_JMP|BPF_JEQ, BPF_JMP|BPF_JGE, BPF_JMP|BPF_JA and BPF_RET, each BPF_K."""
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in struct seccomp_data, little endian."""
_FAR: Final = 255
"""What a conditional jump can skip."""
MAX_INSTRUCTIONS: Final = 4096
"""BPF_MAXINSNS."""

_Instruction = tuple[int, int, int, int]
"""code, instructions to skip when true, when false, operand."""


def refuse(errno: int = _EPERM) -> int:
    """SECCOMP_RET_ERRNO: the call is not made, and returns this error."""
    return _ERRNO | errno


class Argument(msgspec.Struct, frozen=True):
    """Holds when argument `index` (0 to 5) masked with `mask` is `value`."""

    index: int
    value: int
    mask: int = 0xFFFF_FFFF
    """Of 32 bits where the kernel reads an int and ignores the upper half, of 64 where it reads a long or a pointer."""


class CallRule(msgspec.Struct, frozen=True):
    """What becomes of one call."""

    allowed: tuple[tuple[Argument, ...], ...] = ((),)
    """Allowed when every condition of any of these holds."""
    otherwise: int | None = None
    """The answer if not; None: that of everything unlisted."""


def conditions_for(index: int, values: Iterable[int]) -> Iterator[Argument]:
    """Of which one holds when argument `index`, an int, is one of these values, none of them negative.

    2^n neighbours that begin at a multiple of 2^n take one: what a process may not set of a socket leaves 79 values.
    """
    left = set(values)
    while left:
        first, size = min(left), 1
        while not first % (2 * size) and left.issuperset(range(first, first + 2 * size)):
            size *= 2
        left.difference_update(range(first, first + size))
        yield Argument(index, first, 0x1_0000_0000 - size)


ANYHOW: Final = CallRule()
NEVER: Final = CallRule(allowed=())


def program(architecture: Architecture, rules: Mapping[str, CallRule], default: int) -> bytes:
    """The filter: these rules by name of call, `default` for every other call, EPERM for other architectures' calls.

    A name that this architecture has no call for is left out. Raises ValueError for one that is too long.
    """
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, refuse()),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if architecture is X86_64:
        code += [(_AT_LEAST, 0, 1, X32_BIT), (_RETURN, 0, 0, refuse())]
    for name, rule in rules.items():
        number = architecture.numbers.get(name)
        if number is not None:
            code += _when(number, _answer(rule, default))
    code.append((_RETURN, 0, 0, default))
    if len(code) > MAX_INSTRUCTIONS:
        raise ValueError(
            f"cannot filter system calls: {len(code)} instructions, the kernel takes {MAX_INSTRUCTIONS}"
        )
    return b"".join(struct.pack("=HBBI", *one) for one in code)


def _when(number: int, answer: list[_Instruction]) -> list[_Instruction]:
    """The answer, which ends the program, if it is this call; past it with the number still loaded if not."""
    if len(answer) <= _FAR:
        return [(_EQUAL, 0, len(answer), number), *answer]
    return [(_EQUAL, 1, 0, number), (_JUMP, 0, 0, len(answer)), *answer]


def _answer(rule: CallRule, default: int) -> list[_Instruction]:
    code: list[_Instruction] = []
    for conditions in rule.allowed:
        code += _all_of(conditions)
    if () not in rule.allowed:
        code.append((_RETURN, 0, 0, default if rule.otherwise is None else rule.otherwise))
    return code


def _all_of(conditions: tuple[Argument, ...]) -> list[_Instruction]:
    """ALLOW if all hold; past it if not."""
    tests = [half for condition in conditions for half in _halves(condition)]
    code: list[_Instruction] = []
    left = sum(3 if mask != 0xFFFF_FFFF else 2 for _, mask, _ in tests) + 1
    if left > _FAR:
        raise ValueError("cannot filter system calls: too many conditions on one")
    for offset, mask, value in tests:
        code.append((_LOAD, 0, 0, offset))
        if mask != 0xFFFF_FFFF:
            code.append((_AND, 0, 0, mask))
        # What is left after this instruction, the ALLOW included, is skipped when it does not hold.
        code.append((_EQUAL, 0, left - len(code) - 1, value))
    code.append((_RETURN, 0, 0, ALLOW))
    return code


def _halves(condition: Argument) -> list[tuple[int, int, int]]:
    """(offset, mask, value) of each half that matters: BPF reads 32 bits at a time."""
    offset = _ARGUMENTS + 8 * condition.index
    low = (offset, condition.mask & 0xFFFF_FFFF, condition.value & 0xFFFF_FFFF & condition.mask)
    high = (offset + 4, condition.mask >> 32, (condition.value & condition.mask) >> 32)
    return [half for half in (low, high) if half[1]]
