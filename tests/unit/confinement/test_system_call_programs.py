"""Which table of system calls a machine has, and that a program of the filter answers what its rules mean."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.confinement.seccomp_calls import AARCH64, X86_64, Architecture, native
from netmap_actors.confinement.seccomp_filter import (
    ALLOW,
    COUNTED,
    Argument,
    CallRule,
    conditions_for,
    program,
    refuse,
)
from tests.support.availability import unavailable
from tests.support.machines.bpf_machine import run

EPERM = 0x5_0001
NEWEST = {
    "statmount", "listmount", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal", "setxattrat",
    "getxattrat", "listxattrat", "removexattrat", "open_tree_attr", "file_getattr", "file_setattr", "listns",
    "rseq_slice_yield", "uretprobe", "uprobe",
}  # fmt: skip
"""Newer than many a libseccomp."""


@pytest.fixture(scope="module", params=(X86_64, AARCH64), ids=lambda one: one.name)
def machine(request: pytest.FixtureRequest) -> Architecture:
    return request.param


@pytest.mark.parametrize(
    ("named", "size", "found"),
    [
        ("x86_64", 2**63 - 1, X86_64),
        ("aarch64", 2**63 - 1, AARCH64),
        ("riscv64", 2**63 - 1, None),
        ("armv7l", 2**31 - 1, None),
        # 32-bit programs on machines of 64 bits.
        ("x86_64", 2**31 - 1, None),
        ("aarch64", 2**31 - 1, None),
    ],
)
def test_the_table_is_that_of_the_machine(
    named: str, size: int, found: Architecture | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*here[:4], named)))
    monkeypatch.setattr(sys, "maxsize", size)
    assert native() is found


def test_numbers_are_those_of_libseccomp(machine: Architecture) -> None:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        unavailable("libseccomp is not installed")
    resolve = ctypes.CDLL(name).seccomp_syscall_resolve_name_arch
    found = {call: resolve(machine.audit, call.encode()) for call in machine.numbers}
    known = {call for call, number in found.items() if number >= 0}
    assert len(known) > 300
    assert machine.numbers.keys() - known <= NEWEST
    assert {call: found[call] for call in known} == {call: machine.numbers[call] for call in known}


ARGUMENTS = st.builds(
    Argument,
    st.integers(0, 5),
    st.integers(0, (1 << 64) - 1),
    st.sampled_from([0xFFFF_FFFF, (1 << 64) - 1, 0x1_0000, 0xFFFF_0000_0000_0000, 1 << 40 | 1]),
)
RULES = st.builds(
    CallRule,
    st.lists(st.lists(ARGUMENTS, max_size=6).map(tuple), max_size=40).map(tuple),
    st.sampled_from([None, refuse(), refuse(38)]),
)


def meant(rule: CallRule, default: int, arguments: tuple[int, ...]) -> int:
    for conditions in rule.allowed:
        if all((arguments[one.index] ^ one.value) & one.mask == 0 for one in conditions):
            return ALLOW
    return default if rule.otherwise is None else rule.otherwise


@given(
    table=st.dictionaries(st.sampled_from(sorted(X86_64.numbers)), RULES, max_size=5),
    data=st.data(),
    default=st.sampled_from([COUNTED, refuse(), ALLOW]),
)
def test_a_program_answers_what_its_rules_mean(
    table: dict[str, CallRule], data: st.DataObject, default: int
) -> None:
    code = program(X86_64, table, default)
    interesting = [0, 1, (1 << 64) - 1] + [
        one.value for rule in table.values() for conditions in rule.allowed for one in conditions
    ]
    values = st.one_of(st.sampled_from(interesting), st.integers(0, (1 << 64) - 1))
    arguments = tuple(data.draw(values) for _ in range(6))
    for call in {*table, "read", "execve"}:
        wanted = meant(table[call], default, arguments) if call in table else default
        assert run(code, X86_64.numbers[call], X86_64.audit, arguments) == wanted


def test_a_rule_longer_than_a_jump_is_stepped_over() -> None:
    long = CallRule(tuple((Argument(0, value),) for value in range(300)))
    code = program(X86_64, {"read": long, "write": CallRule()}, refuse())
    assert len(code) // 8 > 900
    assert run(code, X86_64.numbers["write"], X86_64.audit) == ALLOW
    assert run(code, X86_64.numbers["read"], X86_64.audit, (299,)) == ALLOW
    assert run(code, X86_64.numbers["read"], X86_64.audit, (300,)) == EPERM
    with pytest.raises(ValueError, match="4096"):
        program(X86_64, {"read": CallRule(tuple((Argument(0, value),) for value in range(2000)))}, refuse())


@given(
    values=st.sets(st.integers(0, 70) | st.sampled_from([0xFFFF_FFFE, 0xFFFF_FFFF])), above=st.integers(0, 9)
)
def test_values_are_allowed_and_no_others_whatever_the_upper_half_says(values: set[int], above: int) -> None:
    rules = {"fcntl": CallRule(tuple((one,) for one in conditions_for(1, values)))}
    code = program(X86_64, rules, COUNTED)
    number = X86_64.numbers["fcntl"]
    asked = {*range(140), 0x7FFF_FFFF, 0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF}
    answers = {one: run(code, number, X86_64.audit, (0, above << 32 | one)) for one in asked}
    assert {one for one, answer in answers.items() if answer == ALLOW} == values
    assert set(answers.values()) <= {ALLOW, COUNTED}


def test_neighbours_share_a_condition() -> None:
    assert list(conditions_for(2, [5, 7, 6, 4, 9])) == [Argument(2, 4, 0xFFFF_FFFC), Argument(2, 9)]
