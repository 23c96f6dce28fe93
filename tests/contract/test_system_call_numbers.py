"""The tables of system calls have every call of the kernel's headers under its number."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from netmap_actors.confinement.seccomp_calls import AARCH64, X86_64, Architecture
from tests.support.availability import unavailable

NATIVE = "#include <asm/unistd.h>\n"
GENERIC = """
#define __ARCH_WANT_RENAMEAT
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SET_GET_RLIMIT
#define __ARCH_WANT_SYS_CLONE3
#define __ARCH_WANT_MEMFD_SECRET
#include <asm-generic/unistd.h>
"""
"""What arch/arm64/include/uapi/asm/unistd.h comes to; the generic header is on every machine."""
NO_CALLS = {"syscalls", "arch_specific_syscall"}
"""How many there are, and where an architecture's own would begin."""
OLDEST = 300
"""Calls that any header has, of the last ten years."""


def headers(machine: Architecture) -> str:
    """A text that includes this architecture's calls."""
    here = os.uname().machine
    if machine.name != here and machine is not AARCH64:
        unavailable(f"the header of {machine.name} is not on {here}")
    return NATIVE if machine.name == here else GENERIC


def defined(text: str) -> dict[str, int]:
    """Every __NR_ name, after the preprocessor."""
    compiler = shutil.which("cc")
    if compiler is None:
        unavailable("the kernel's headers are read by the C preprocessor: apt-get install gcc libc6-dev")
    done = subprocess.run(
        [compiler, "-E", "-dM", "-x", "c", "-"], input=text, capture_output=True, text=True, check=True
    )
    words = dict(re.findall(r"^#define (__NR\w+) (\w+)$", done.stdout, re.MULTILINE))

    def number(word: str) -> int:
        return int(word) if word.isdecimal() else number(words[word])

    return {
        name.removeprefix("__NR_"): number(word) for name, word in words.items() if name.startswith("__NR_")
    }


@pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=lambda one: one.name)
def test_every_call_of_the_header_has_its_number(machine: Architecture) -> None:
    known = {name: number for name, number in defined(headers(machine)).items() if name not in NO_CALLS}
    assert len(known) > OLDEST
    assert {name: machine.numbers.get(name) for name in known} == known
