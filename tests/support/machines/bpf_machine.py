"""An interpreter of classic BPF (linux/filter.h), as the kernel runs a filter of system calls."""

from __future__ import annotations

import struct

__all__ = ["run"]


def run(code: bytes, number: int, audit: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would do with this call: linux/filter.h, on struct seccomp_data."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number - (1 << 32) if number >> 31 else number, audit, 0, *words)
    accumulator = place = 0
    while True:
        operation, true, false, operand = struct.unpack_from("=HBBI", code, 8 * place)
        place += 1
        match operation:
            case 0x20:
                assert operand % 4 == 0, "the kernel refuses a load that is not aligned"
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x15:
                place += true if accumulator == operand else false
            case 0x35:
                place += true if accumulator >= operand else false
            case 0x05:
                place += operand
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"an instruction {operation:#x} that no filter of ours needs")
