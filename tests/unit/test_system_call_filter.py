"""The filter of system calls, run by an interpreter of classic BPF: what it answers to which call, on both machines."""

from __future__ import annotations

import ctypes
import ctypes.util
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.boot import (
    Boot,
    ConnectionSettings,
    DevControlSettings,
    Endpoints,
    HttpSettings,
    LivenessSettings,
    PublisherSettings,
    Secrets,
)
from netmap_actors.process.seccomp_calls import AARCH64, X86_64, Architecture
from netmap_actors.process.seccomp_filter import ALLOW, COUNTED, Argument, Rule, program, refusal
from netmap_actors.process.seccomp_rows import GIVEN_UP, given_up, rules

ARCHITECTURES = (X86_64, AARCH64)
EPERM, ENOSYS = 0x5_0001, 0x5_0026
PID = 4711
I386, ARM = 0x4000_0003, 0x4000_0028
NEWEST = {
    "statmount", "listmount", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal", "setxattrat",
    "getxattrat", "listxattrat", "removexattrat", "open_tree_attr", "file_getattr", "file_setattr",
}  # fmt: skip
"""Newer than many a libseccomp."""


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


def boot(actor: str, settings: msgspec.Struct) -> Boot:
    names = ("supervisor", "liveness", "publisher", "updates", "requests")
    return Boot(
        run="0" * 16,
        actor=actor,
        incarnation=1,
        parent_pid=1,
        life_fd=3,
        endpoints=Endpoints(**{name: f"ipc:///run/{name}" for name in names}),
        secrets=Secrets(supervisor="00" * 32),
        settings=msgspec.Raw(msgspec.json.encode(settings)),
    )


BOOTS = {
    "control_connection": boot(
        "control_connection", ConnectionSettings(control_url="https://h", state_dir="/s")
    ),
    "liveness": boot("liveness", LivenessSettings()),
    "publisher": boot("publisher", PublisherSettings()),
    "remote publisher": boot("publisher", PublisherSettings(listen="tcp://127.0.0.1:9600")),
    "http_endpoint": boot("http_endpoint", HttpSettings(listen="127.0.0.1:9641")),
    "http_endpoint on a socket": boot("http_endpoint", HttpSettings(listen="unix:/run/http.sock")),
    "dev_control": boot("dev_control", DevControlSettings(state_dir="/s", listen_fd=4)),
}
UNIX, INET, INET6, NETLINK, PACKET, VSOCK = 1, 2, 10, 16, 17, 40
SOCKETS = {
    "control_connection": {UNIX, INET, INET6, NETLINK},
    "liveness": set(),
    "publisher": set(),
    "remote publisher": {INET, INET6, NETLINK},
    "http_endpoint": {UNIX, INET, INET6},
    "http_endpoint on a socket": {UNIX},
    "dev_control": set(),
}


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=lambda one: one.name)
def machine(request: pytest.FixtureRequest) -> Architecture:
    return request.param


def answer(machine: Architecture, who: str, call: str, *arguments: int) -> int:
    code = program(machine, rules(BOOTS[who], PID), COUNTED)
    return run(code, machine.numbers[call], machine.audit, arguments)


@pytest.mark.parametrize("who", BOOTS)
def test_what_no_child_ever_does_is_refused_to_each(machine: Architecture, who: str) -> None:
    never = {
        *GIVEN_UP,
        "execve",
        "execveat",
        "fork",
        "vfork",
        "seccomp",
        "memfd_create",
        "pidfd_open",
        "tkill",
    }
    never |= {
        "pidfd_send_signal",
        "rt_sigqueueinfo",
        "rt_tgsigqueueinfo",
        "setuid",
        "capset",
        "personality",
        "splice",
    }
    tried = [name for name in never if name in machine.numbers]
    assert len(tried) > 60
    assert {name: answer(machine, who, name) for name in tried} == dict.fromkeys(tried, COUNTED)


@pytest.mark.parametrize("who", BOOTS)
def test_sockets_are_of_the_families_of_the_row(machine: Architecture, who: str) -> None:
    made = {
        family
        for family in (UNIX, INET, INET6, NETLINK, PACKET, VSOCK)
        if answer(machine, who, "socket", family, 0x80001, 0) == ALLOW
    }
    assert made == SOCKETS[who]
    assert answer(machine, who, "socket", NETLINK, 3, 9) == COUNTED, "the audit system's"
    assert (answer(machine, who, "connect") == ALLOW) == bool(made)
    # The kernel reads 32 bits of the family: the upper half is no way around, and no way into a refusal.
    assert (answer(machine, who, "socket", UNIX | 1 << 32, 1, 0) == ALLOW) == (UNIX in made)


@pytest.mark.parametrize("who", BOOTS)
def test_threads_are_for_whoever_looks_up_names_and_processes_for_nobody(
    machine: Architecture, who: str
) -> None:
    thread, fork, namespace = 0x3D0F00, 0x1200011, 0x3D0F00 | 0x1000_0000
    wanted = ALLOW if who == "control_connection" else COUNTED
    assert answer(machine, who, "clone", thread) == wanted
    assert answer(machine, who, "clone", fork) == COUNTED
    assert answer(machine, who, "clone", namespace) == COUNTED
    assert answer(machine, who, "clone3") == ENOSYS, "so that the C library takes clone"


@pytest.mark.parametrize("who", BOOTS)
def test_arguments_are_looked_at(machine: Architecture, who: str) -> None:
    for call in ("kill", "tgkill"):
        assert answer(machine, who, call, PID, PID, 6) == ALLOW
        assert answer(machine, who, call, PID + 1, PID, 6) == COUNTED
    assert answer(machine, who, "kill", 0xFFFF_FFFF, 9) == COUNTED
    assert answer(machine, who, "prlimit64", 0, 7, 0, 0x7000) == ALLOW
    assert answer(machine, who, "prlimit64", 0, 7, 1 << 40, 0) == COUNTED, "a pointer above 4 GiB is one, too"
    assert answer(machine, who, "prlimit64", 1, 7, 0, 0x7000) == COUNTED
    assert answer(machine, who, "ioctl", 1, 0x5401) == ALLOW
    links = ALLOW if INET6 in SOCKETS[who] else COUNTED
    assert answer(machine, who, "ioctl", 1, 0x8933) == links, "SIOCGIFINDEX, for fe80::1%eth0"
    assert answer(machine, who, "ioctl", 1, 0x5412) == COUNTED, "TIOCSTI types into a terminal"
    assert answer(machine, who, "fcntl", 1, 8, PID + 1) == COUNTED, "F_SETOWN"
    assert answer(machine, who, "prctl", 15) == ALLOW
    assert answer(machine, who, "prctl", 4, 1) == COUNTED, "PR_SET_DUMPABLE"


@pytest.mark.parametrize("who", BOOTS)
def test_other_architectures_calls_are_refused(machine: Architecture, who: str) -> None:
    code = program(machine, rules(BOOTS[who], PID), COUNTED)
    for audit in {I386, ARM, *(one.audit for one in ARCHITECTURES)} - {machine.audit}:
        assert {run(code, number, audit) for number in range(500)} == {EPERM}
    if machine is X86_64:
        assert {run(code, 0x4000_0000 | number, machine.audit) for number in range(600)} == {EPERM}
        assert run(code, 0xFFFF_FFFF, machine.audit) == EPERM
    else:
        assert run(code, 0xFFFF_FFFF, machine.audit) == COUNTED


def test_the_supervisor_gives_up_what_nobody_needs_and_nothing_else(machine: Architecture) -> None:
    code = program(machine, given_up(), ALLOW)
    refused = {name for name, number in machine.numbers.items() if run(code, number, machine.audit) == EPERM}
    # Without arguments it is a socket of no family.
    assert refused - {"socket"} == set(GIVEN_UP) & machine.numbers.keys()
    assert not refused & {
        "execve",
        "clone",
        "clone3",
        "wait4",
        "waitid",
        "pidfd_open",
        "seccomp",
        "kill",
    }


@pytest.mark.parametrize(
    ("call", "arguments", "allowed"),
    [
        ("socket", (UNIX, 0x80002, 0), True),
        ("socket", (INET, 0x80001, 6), True),
        ("socket", (INET6, 2, 17), True),
        ("socket", (NETLINK, 3, 0), True),
        ("socket", (INET, 1, 262), False),
        ("socket", (INET, 3, 1), False),
        ("socket", (NETLINK, 3, 9), False),
        ("socket", (PACKET, 3, 0), False),
        ("sendto", (3, 0, 0, 0x4000, 0, 0), True),
        ("sendto", (3, 0, 0, 0x2000_4000, 0, 0), False),
        ("sendmsg", (3, 0, 0x2000_0000), False),
        ("sendmmsg", (3, 0, 1, 0x2000_0000), False),
    ],
)
def test_the_supervisor_makes_no_socket_that_no_child_makes(
    machine: Architecture, call: str, arguments: tuple[int, ...], allowed: bool
) -> None:
    code = program(machine, given_up(), ALLOW)
    assert (run(code, machine.numbers[call], machine.audit, arguments) == ALLOW) == allowed


def test_the_supervisor_makes_no_namespace_by_a_new_process_either(machine: Architecture) -> None:
    code = program(machine, given_up(), ALLOW)
    clone, clone3 = machine.numbers["clone"], machine.numbers["clone3"]
    for bit in (0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000):
        assert run(code, clone, machine.audit, (bit | 17,)) == EPERM
    # vfork's flags, as posix_spawn takes them, and a thread's.
    assert run(code, clone, machine.audit, (0x4111,)) == ALLOW
    assert run(code, clone, machine.audit, (0x3D_0F00,)) == ALLOW
    # Its flags are out of sight; the C library takes clone instead.
    assert run(code, clone3, machine.audit) == ENOSYS


def test_numbers_are_those_of_libseccomp(machine: Architecture) -> None:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("libseccomp is not installed")
    resolve = ctypes.CDLL(name).seccomp_syscall_resolve_name_arch
    found = {call: resolve(machine.audit, call.encode()) for call in machine.numbers}
    known = {call for call, number in found.items() if number >= 0}
    assert len(known) > 300
    assert machine.numbers.keys() - known <= NEWEST
    assert {call: found[call] for call in known} == {call: machine.numbers[call] for call in known}


def test_every_name_of_a_rule_is_a_call_somewhere() -> None:
    known = X86_64.numbers.keys() | AARCH64.numbers.keys()
    for one in BOOTS.values():
        assert rules(one, PID).keys() <= known
    assert set(GIVEN_UP) <= known


ARGUMENTS = st.builds(
    Argument,
    st.integers(0, 5),
    st.integers(0, (1 << 64) - 1),
    st.sampled_from([0xFFFF_FFFF, (1 << 64) - 1, 0x1_0000, 0xFFFF_0000_0000_0000, 1 << 40 | 1]),
)
RULES = st.builds(
    Rule,
    st.lists(st.lists(ARGUMENTS, max_size=6).map(tuple), max_size=40).map(tuple),
    st.sampled_from([None, refusal(), refusal(38)]),
)


def meant(rule: Rule, default: int, arguments: tuple[int, ...]) -> int:
    for conditions in rule.allowed:
        if all((arguments[one.index] ^ one.value) & one.mask == 0 for one in conditions):
            return ALLOW
    return default if rule.otherwise is None else rule.otherwise


@given(
    table=st.dictionaries(st.sampled_from(sorted(X86_64.numbers)), RULES, max_size=5),
    data=st.data(),
    default=st.sampled_from([COUNTED, refusal(), ALLOW]),
)
def test_a_program_answers_what_its_rules_mean(
    table: dict[str, Rule], data: st.DataObject, default: int
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
    long = Rule(tuple((Argument(0, value),) for value in range(300)))
    code = program(X86_64, {"read": long, "write": Rule()}, refusal())
    assert len(code) // 8 > 900
    assert run(code, X86_64.numbers["write"], X86_64.audit) == ALLOW
    assert run(code, X86_64.numbers["read"], X86_64.audit, (299,)) == ALLOW
    assert run(code, X86_64.numbers["read"], X86_64.audit, (300,)) == EPERM
    with pytest.raises(ValueError, match="4096"):
        program(X86_64, {"read": Rule(tuple((Argument(0, value),) for value in range(2000)))}, refusal())
