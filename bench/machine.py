"""Where it was measured: the machine without anything that tells one from another of its kind, and the versions."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Self

import msgspec
import zmq

GO_MOD = Path(__file__).resolve().parents[1] / "tests" / "interop" / "go.mod"


class Machine(msgspec.Struct, frozen=True):
    """No host name, no serial number; of the kernel's release only what is the kernel's own."""

    processor: str
    cores: int
    memory_mib: int
    kernel: str

    @classmethod
    def this_one(cls) -> Self:
        """Where this runs."""
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
        return cls(processor(), os.cpu_count() or 1, memory, kernel())


class Versions(msgspec.Struct, frozen=True):
    """What took part, besides us."""

    python: str
    pyzmq: str
    libzmq: str
    tailscale: str

    @classmethod
    def these(cls) -> Self:
        """Of this environment."""
        return cls(platform.python_version(), zmq.__version__, zmq.zmq_version(), tailscale_in_go())


def processor() -> str:
    """The model's name."""
    known = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    return next((value.strip() for name, _, value in known if name.strip() == "model name"), "")


def kernel() -> str:
    """Linux and its first two numbers: what follows may name a machine."""
    return f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"


def tailscale_in_go() -> str:
    """The version of tailscaled and testcontrol, as tests/interop pins it."""
    found = re.search(r"^(?:require)?\s*tailscale\.com (v\S+)", GO_MOD.read_text(), re.MULTILINE)
    assert found, "go.mod names the version"
    return found[1]
