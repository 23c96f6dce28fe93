"""The filter of system calls, run by an interpreter of classic BPF: what it answers to which call, on both machines."""

from __future__ import annotations

import msgspec
import pytest

from netmap_actors.boot import (
    Boot,
    ConnectionSettings,
    DevControlSettings,
    Endpoints,
    HttpSettings,
    LivenessSettings,
    PublisherSettings,
    Secrets,
    WebhooksSettings,
)
from netmap_actors.confinement.seccomp_calls import AARCH64, X86_64, Architecture
from netmap_actors.confinement.seccomp_filter import ALLOW, COUNTED, YIELDING, program, refuse
from netmap_actors.confinement.seccomp_rows import of_supervisor, of_view, rules
from netmap_supervisor.daemon import refused_calls
from tests.support.machines.bpf_machine import run

ARCHITECTURES = (X86_64, AARCH64)
EPERM, ENOSYS = 0x5_0001, 0x5_0026
PID = 4711
I386, ARM = 0x4000_0003, 0x4000_0028


def boot(actor: str, settings: msgspec.Struct) -> Boot:
    names = ("supervisor", "liveness", "publisher", "updates", "requests")
    return Boot(
        run="0" * 16,
        actor=actor,
        generation=1,
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
    "webhooks": boot("webhooks", WebhooksSettings(directory="/s", webhooks=msgspec.Raw(b"[]"))),
}
NOBODYS = """
mount umount2 pivot_root chroot move_mount open_tree open_tree_attr mount_setattr fsopen fsconfig fsmount fspick unshare
setns ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd bpf perf_event_open userfaultfd io_uring_setup
io_uring_enter io_uring_register keyctl add_key request_key open_by_handle_at name_to_handle_at kexec_load
kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct syslog quotactl quotactl_fd
settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname iopl ioperm modify_ldt vhangup fanotify_init
lookup_dcookie personality mlockall inotify_init inotify_init1 setxattr lsetxattr fsetxattr memfd_create memfd_secret
execveat setuid setgid setresuid setresgid setreuid setregid setgroups setfsuid setfsgid setpriority ioprio_set
sched_setattr sched_setparam sched_setaffinity splice vmsplice tee link linkat symlink symlinkat mknod mknodat truncate
utime utimes futimesat rt_sigqueueinfo rt_tgsigqueueinfo tkill process_madvise process_mrelease set_mempolicy mbind
migrate_pages move_pages shmget shmat msgget semget mq_open timer_create setsid setpgid openat2 statmount listmount
lchown fchown setxattrat file_setattr pkey_mprotect remap_file_pages rt_sigtimedwait
""".split()
"""Neither the Supervisor nor the view nor any child, as it starts or later."""
UNIX, INET, INET6, NETLINK, PACKET, VSOCK = 1, 2, 10, 16, 17, 40
SOCKETS = {
    "control_connection": {UNIX, INET, INET6, NETLINK},
    "liveness": set(),
    "publisher": set(),
    "remote publisher": {INET, INET6, NETLINK},
    "http_endpoint": {UNIX, INET, INET6},
    "http_endpoint on a socket": {UNIX},
    "dev_control": set(),
    "webhooks": {UNIX, INET, INET6, NETLINK},
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
        *NOBODYS,
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
        if answer(machine, who, "socket", family, 0x80003 if family == NETLINK else 0x80001, 0) == ALLOW
    }
    assert made == SOCKETS[who]
    assert answer(machine, who, "socket", NETLINK, 3, 9) == COUNTED, "the audit system's"
    datagrams = answer(machine, who, "socket", UNIX, 2, 0) == ALLOW
    assert datagrams == ({UNIX, INET6} <= made), "for if_nametoindex(3)"
    assert (answer(machine, who, "connect") == ALLOW) == (UNIX in made), (
        "the others have nobody to connect to"
    )
    assert (answer(machine, who, "bind") == ALLOW) == (INET in made)
    # The kernel reads 32 bits of the family: the upper half is no way around, and no way into a refusal.
    assert (answer(machine, who, "socket", UNIX | 1 << 32, 1, 0) == ALLOW) == (UNIX in made)


@pytest.mark.parametrize("who", BOOTS)
def test_threads_are_for_whoever_looks_up_names_and_processes_for_nobody(
    machine: Architecture, who: str
) -> None:
    thread, fork, namespace = 0x3D0F00, 0x1200011, 0x3D0F00 | 0x1000_0000
    wanted = ALLOW if who in {"control_connection", "webhooks"} else COUNTED
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
    for call, flags in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        assert answer(machine, who, call, *[0] * flags, 0x4000) == ALLOW, "MSG_NOSIGNAL"
        assert answer(machine, who, call, *[0] * flags, 0x2000_4000) == COUNTED, "MSG_FASTOPEN connects"
    assert answer(machine, who, "prctl", 15) == ALLOW
    assert answer(machine, who, "prctl", 4, 1) == COUNTED, "PR_SET_DUMPABLE"


WAYS = {
    "open": ["open", "openat"],
    "look": ["stat lstat fstat", "newfstatat fstat", "statx"],
    "may it": ["access", "faccessat", "faccessat2"],
    "link": ["readlink", "readlinkat"],
    "another number": ["dup dup2", "dup dup3"],
    "pipe": ["pipe", "pipe2"],
    "wait for one": ["poll", "ppoll", "select", "pselect6"],
    "wait for many": ["epoll_create epoll_ctl epoll_wait", "epoll_create1 epoll_ctl epoll_pwait", "epoll_pwait2"],
    "sleep": ["nanosleep", "clock_nanosleep"],
    "take": ["accept", "accept4"],
    "receive": ["recvfrom recvmsg", "recvmmsg"],
    "write": ["write writev", "pwrite64 pwritev", "pwritev2"],
    "limits": ["getrlimit", "prlimit64"],
    "time": ["time gettimeofday", "clock_gettime"],
    "lock": ["futex", "futex_wait futex_wake futex_requeue", "futex_waitv"],
    "itself": ["getpgrp", "getpgid"],
}  # fmt: skip
"""What every process does, and the calls by which C libraries do it: which one depends on library and architecture."""
TERMINAL = {"TCGETS": 0x5401, "TCGETS2": 0x802C_542A, "TIOCGWINSZ": 0x5413}
"""What isatty(3) asks in glibc, in glibc from 2.42 on and in musl; Python before 3.14 asks it of each file it opens."""


@pytest.mark.parametrize("who", BOOTS)
def test_each_way_a_c_library_may_go_is_open(machine: Architecture, who: str) -> None:
    for what, ways in WAYS.items():
        there = [call for way in ways for call in way.split() if call in machine.numbers]
        assert there, f"no way to {what} on {machine.name}"
        assert {call: answer(machine, who, call) for call in there} == dict.fromkeys(there, ALLOW)


@pytest.mark.parametrize("who", BOOTS)
def test_whether_it_is_a_terminal_may_be_asked_by_any_c_library(machine: Architecture, who: str) -> None:
    told = {name: answer(machine, who, "ioctl", 1, request) for name, request in TERMINAL.items()}
    assert told == dict.fromkeys(TERMINAL, ALLOW)


@pytest.mark.parametrize("who", BOOTS)
def test_sockets_are_set_and_no_program_is_put_into_them(machine: Architecture, who: str) -> None:
    common = [
        ("SO_REUSEADDR", 2),
        ("SO_RCVBUF", 8),
        ("SO_KEEPALIVE", 9),
        ("SO_LINGER", 13),
        ("SO_PASSCRED", 16),
    ]
    assert {name: answer(machine, who, "setsockopt", 3, 1, option) for name, option in common} == {
        name: ALLOW for name, _ in common
    }
    for option in (26, 27, 44, 50, 51, 52):
        assert answer(machine, who, "setsockopt", 3, 1, option) == COUNTED
        assert answer(machine, who, "setsockopt", 3, 1 | 1 << 32, option) == COUNTED
    assert answer(machine, who, "setsockopt", 3, 6, 18) == ALLOW, "TCP_USER_TIMEOUT"
    assert answer(machine, who, "setsockopt", 3, 263, 1) == COUNTED, "a packet socket's"


@pytest.mark.parametrize("who", BOOTS)
def test_a_listener_that_was_handed_over_cannot_be_shut_down(machine: Architecture, who: str) -> None:
    wanted = COUNTED if who == "dev_control" else ALLOW
    assert {answer(machine, who, "shutdown", 4, how) for how in (0, 2)} == {wanted}
    assert answer(machine, who, "shutdown", 4, 1) == ALLOW


WRITERS = {"control_connection", "dev_control", "webhooks"}


@pytest.mark.parametrize("who", BOOTS)
def test_who_keeps_no_files_can_neither_make_nor_remove_one(machine: Architecture, who: str) -> None:
    wanted = ALLOW if who in WRITERS else COUNTED
    writing = {"O_WRONLY": 1, "O_RDWR": 2, "O_CREAT": 0o100, "O_TRUNC": 0o1000, "O_TMPFILE": 0o20000000}
    for name, index in (("open", 1), ("openat", 2)):
        if name in machine.numbers:
            at = {
                flag: answer(machine, who, name, *[0] * index, bit | 0o2000000)
                for flag, bit in writing.items()
            }
            assert at == dict.fromkeys(writing, wanted), name
            assert answer(machine, who, name, *[0] * index, 0o2204000) == ALLOW, (
                "O_CLOEXEC and others to read"
            )
    for name in {"rename", "renameat", "renameat2"} & machine.numbers.keys():
        assert answer(machine, who, name) == wanted
    for name in {"unlink", "unlinkat"} & machine.numbers.keys():
        # libzmq tries it for each socket that it closes.
        assert answer(machine, who, name) == (ALLOW if who in WRITERS else EPERM)


@pytest.mark.parametrize("who", BOOTS)
def test_nobody_changes_modes_owners_and_times(machine: Architecture, who: str) -> None:
    """Landlock has no say about them: they would be any file's that belongs to the daemon's user."""
    names = (
        "chmod fchmod fchmodat fchmodat2 chown fchown fchownat lchown utime utimes utimensat futimesat setxattr "
        "fsetxattr mkdir mkdirat rmdir link linkat symlink symlinkat mknod mknodat creat truncate openat2"
    )
    tried = [name for name in names.split() if name in machine.numbers]
    assert len(tried) > 12
    assert {name: answer(machine, who, name) for name in tried} == dict.fromkeys(tried, COUNTED)


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


def of_run(machine: Architecture, call: str, *arguments: int, shares: bool = False) -> int:
    """What the Supervisor is answered, and with it whatever it starts."""
    code = program(machine, of_supervisor(shares=shares), YIELDING)
    return run(code, machine.numbers[call], machine.audit, arguments)


def of_the_view(machine: Architecture, call: str, *arguments: int) -> int:
    return run(program(machine, of_view(PID), refuse()), machine.numbers[call], machine.audit, arguments)


@pytest.mark.parametrize("who", [*BOOTS, "view"])
@pytest.mark.parametrize("shares", [False, True])
def test_what_a_row_allows_the_supervisor_takes_from_nobody(
    machine: Architecture, who: str, shares: bool
) -> None:
    """Its filter is inherited: what is refused there is refused to all."""
    table = of_view(PID) if who == "view" else rules(BOOTS[who], PID)
    tried = 0
    for call, rule in table.items():
        for conditions in rule.allowed:
            if call not in machine.numbers:
                continue
            arguments = [0] * 6
            for one in conditions:
                arguments[one.index] |= one.value & one.mask
            assert of_run(machine, call, *arguments, shares=shares) == ALLOW, (call, arguments)
            tried += 1
    assert tried > 120


def test_what_nobody_needs_is_refused_to_the_supervisor_and_to_the_view(machine: Architecture) -> None:
    tried = [name for name in NOBODYS if name in machine.numbers]
    assert len(tried) > 90
    assert {name: of_run(machine, name, shares=True) for name in tried} == dict.fromkeys(tried, YIELDING)
    assert {name: of_the_view(machine, name) for name in tried} == dict.fromkeys(tried, EPERM)
    # Nor is anything that neither of us has heard of.
    for number in (*range(335, 424), *range(470, 600), 0x3FFF_FFFF):
        code = program(machine, of_supervisor(shares=True), YIELDING)
        assert run(code, number, machine.audit) == YIELDING


def test_a_childs_refusals_are_counted_although_the_supervisor_is_refused_them_too() -> None:
    """seccomp(2): the smallest value of all filters is what counts."""
    assert YIELDING & 0xFFFF_0000 == 0x7FF0_0000
    assert ALLOW > YIELDING > COUNTED > refuse()


@pytest.mark.parametrize(
    ("call", "arguments", "allowed"),
    [
        ("ioctl", (1, 0x5401), True),
        ("ioctl", (1, 0x5413), True),
        ("ioctl", (3, refused_calls._RECEIVE), True),
        ("ioctl", (3, refused_calls._SEND), True),
        ("ioctl", (1, 0x5412), False),  # TIOCSTI
        ("ioctl", (1, 0x541C), False),  # TIOCLINUX
        ("ioctl", (1, 0x540E), False),  # TIOCSCTTY
        ("ioctl", (1, 0x5402), False),  # TCSETS
        ("ioctl", (3, 0x8901), False),  # FIOSETOWN
        ("ioctl", (3, 0x8902), False),  # SIOCSPGRP
        ("ioctl", (3, 0x5452), False),  # FIOASYNC
        ("ioctl", (1, 0x5412 | 1 << 32), False),
        ("fcntl", (3, 6), True),
        ("fcntl", (3, 8, PID), False),  # F_SETOWN
        ("fcntl", (3, 10, 9), False),  # F_SETSIG
        ("fcntl", (3, 15, 0x7000), False),  # F_SETOWN_EX
        ("fcntl", (3, 1024, 1), False),  # F_SETLEASE
        ("fcntl", (3, 1026, 1), False),  # F_NOTIFY
        ("prctl", (4, 0), True),
        ("prctl", (4, 1), False),
        ("prctl", (4, 2), False),
        ("prctl", (1, 9), True),
        ("prctl", (1, 0), False),
        ("prctl", (1, 15), False),
        ("prctl", (1, 9 | 1 << 32), False),
        ("prctl", (38, 1), True),
        ("prctl", (24, 21), True),
        ("prctl", (8, 1), False),  # PR_SET_KEEPCAPS
        ("prctl", (22, 2), False),  # PR_SET_SECCOMP
        ("prctl", (28, 0), False),  # PR_SET_SECUREBITS
        ("prctl", (35, 8), False),  # PR_SET_MM
        ("prctl", (36, 1), False),  # PR_SET_CHILD_SUBREAPER
        ("prctl", (47, 2, 1), False),  # PR_CAP_AMBIENT
        ("prctl", (0x5961_6D61, PID), False),  # PR_SET_PTRACER
        ("seccomp", (1, 0x19), True),
        ("seccomp", (0, 0), False),
        ("prlimit64", (0, 7, 0x7000, 0), True),
        ("prlimit64", (PID, 7, 0x7000, 0), False),
        ("prlimit64", (PID, 7, 0, 0x7000), False),
        ("kill", (PID, 9), True),
        ("tgkill", (PID, PID, 6), True),
        ("tgkill", (PID, PID, 19), False),
        ("sched_setscheduler", (0, 0), True),
        ("sched_setscheduler", (0, 3), True),
        ("sched_setscheduler", (0, 5), True),
        ("sched_setscheduler", (0, 1), False),
        ("sched_setscheduler", (0, 2), False),
        ("sched_setscheduler", (0, 6), False),
        ("utimensat", (3, 0, 0, 0), True),
        ("utimensat", (3, 1 << 40, 0, 0), False),
        ("utimensat", (0xFFFF_FF9C, 0x7000, 0, 0), False),
        ("socketpair", (UNIX, 0x80001, 0), True),
        ("socketpair", (30, 1, 0), False),
        ("execve", (), True),
        ("fchmod", (3, 0o600), True),
        ("fchmodat", (0xFFFF_FF9C, 0x7000, 0o600), False),
        ("fchownat", (0xFFFF_FF9C, 0x7000, 0xFFFF_FFFF, 100), False),
    ],
)
def test_arguments_are_looked_at_for_the_supervisor_too(
    machine: Architecture, call: str, arguments: tuple[int, ...], allowed: bool
) -> None:
    assert of_run(machine, call, *arguments) == (ALLOW if allowed else YIELDING)


def test_modes_and_groups_by_name_are_for_who_shares_sockets(machine: Architecture) -> None:
    names = {"chmod", "fchmodat", "fchmodat2"} & machine.numbers.keys()
    assert {of_run(machine, name, shares=True) for name in names} == {ALLOW}
    assert {of_run(machine, name) for name in names} == {YIELDING}
    for name, before in {"chown": (0x7000,), "fchownat": (0xFFFF_FF9C, 0x7000)}.items():
        if name in machine.numbers:
            assert of_run(machine, name, *before, 0xFFFF_FFFF, 100, shares=True) == ALLOW
            assert of_run(machine, name, *before, 0, 100, shares=True) == YIELDING, "the owner stays"
            assert of_run(machine, name, *before, 0xFFFF_FFFF, 100) == YIELDING


def test_the_view_shows_and_connects_and_does_nothing_else(machine: Architecture) -> None:
    allowed = {
        "socket": (UNIX, 0x80001, 0),
        "connect": (3,),
        "clone": (0x3D_0F00,),
        "kill": (PID, 2),
        "tgkill": (PID, PID, 6),
        "ioctl": (1, 0x5413),
        "prlimit64": (0, 7, 0, 0x7000),
        "write": (1,),
    }
    refused = {
        "socket": (INET, 0x80001, 0),
        "bind": (3,),
        "listen": (3, 1),
        "accept4": (3,),
        "clone": (0x1200011,),
        "kill": (PID + 1, 2),
        "tgkill": (PID, PID, 19),
        "ioctl": (1, 0x5412),
        "prlimit64": (0, 7, 0x7000, 0),
        "execve": (),
        "fchmod": (3, 0o600),
        "utimensat": (3, 0),
        "unlinkat": (3,),
        "prctl": (4, 1),
        "seccomp": (1,),
        "fcntl": (1, 8, PID),
        "wait4": (),
        "pidfd_open": (PID,),
        "mkdirat": (3,),
        "renameat2": (3,),
        "capset": (),
        "setrlimit": (),
    }
    assert {name: of_the_view(machine, name, *words) for name, words in allowed.items()} == dict.fromkeys(
        allowed, ALLOW
    )
    assert {name: of_the_view(machine, name, *words) for name, words in refused.items()} == dict.fromkeys(
        refused, EPERM
    )
    for family in (UNIX, INET, INET6, NETLINK, PACKET, VSOCK):
        assert of_the_view(machine, "socket", family, 2, 0) == EPERM


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
    assert of_run(machine, call, *arguments) == (ALLOW if allowed else YIELDING)


def test_the_supervisor_makes_no_namespace_by_a_new_process_either(machine: Architecture) -> None:
    code = program(machine, of_supervisor(shares=True), YIELDING)
    clone, clone3 = machine.numbers["clone"], machine.numbers["clone3"]
    for bit in (0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000):
        assert run(code, clone, machine.audit, (bit | 17,)) == YIELDING
    # vfork's flags, as posix_spawn takes them, and a thread's.
    assert run(code, clone, machine.audit, (0x4111,)) == ALLOW
    assert run(code, clone, machine.audit, (0x3D_0F00,)) == ALLOW
    # Its flags are out of sight; the C library takes clone instead.
    assert run(code, clone3, machine.audit) == ENOSYS


def test_every_name_of_a_rule_is_a_call_somewhere() -> None:
    known = X86_64.numbers.keys() | AARCH64.numbers.keys()
    for one in BOOTS.values():
        assert rules(one, PID).keys() <= known
    assert of_view(PID).keys() | of_supervisor(shares=True).keys() | set(NOBODYS) <= known
