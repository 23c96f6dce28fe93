"""Facts of the machine and of what is installed on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import sqlite3
import ssl
import sys
from pathlib import Path
from typing import Final

from netmap_actors import __version__
from netmap_actors.bus.sockets import libzmq_version
from netmap_actors.clock import SystemClock
from netmap_actors.confinement import landlock
from netmap_actors.rfc3339 import stamp

__all__ = ["kernel", "limits", "versions"]

_SYSCTLS: Final = (
    "kernel/seccomp/actions_avail", "kernel/unprivileged_userns_clone", "kernel/yama/ptrace_scope", "kernel/pid_max",
    "vm/overcommit_memory", "vm/swappiness", "net/core/somaxconn", "net/unix/max_dgram_qlen",
    "net/ipv4/tcp_keepalive_time", "net/ipv4/tcp_keepalive_intvl", "net/ipv4/tcp_retries2", "net/ipv4/tcp_user_timeout",
    "net/ipv6/conf/all/disable_ipv6", "fs/file-nr", "fs/protected_regular", "user/max_user_namespaces",
)  # fmt: skip
_CLOCKS: Final = Path("/sys/devices/system/clocksource/clocksource0")
_LIMITS: Final = {
    "open files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "address space": resource.RLIMIT_AS,
    "locked memory": resource.RLIMIT_MEMLOCK,
    "core file": resource.RLIMIT_CORE,
}
_CGROUPS: Final = (
    "memory.max", "memory.high", "memory.current", "memory.events", "pids.max", "pids.current", "cpu.max",
)  # fmt: skip
_LIBRARIES: Final = (
    "pyzmq", "msgspec", "protobuf", "cryptography", "h2", "h11", "pykka", "click", "rich", "prometheus-client",
)  # fmt: skip
_MEMORY: Final = re.compile("^(?:Mem|Swap)(?:Total|Available|Free): .*$", re.MULTILINE)
_MARKS: Final = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}


def versions() -> dict[str, object]:
    """Of the product, of Python and of the libraries it loads."""
    return {
        "netmap-supervisor": __version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "installed in": sys.prefix,
        "libzmq": libzmq_version(),
        "OpenSSL": ssl.OPENSSL_VERSION,
        "SQLite": sqlite3.sqlite_version,
        **{name: _version(name) for name in _LIBRARIES},
    }


def kernel() -> dict[str, object]:
    """Kernel, distribution, container, clocks, and the settings that concern us."""
    name = os.uname()
    clock = SystemClock()
    boottime, monotonic = clock.boottime(), clock.monotonic()
    abi = landlock.abi()
    return {
        "kernel": f"{name.sysname} {name.release} {name.machine}",
        "kernel build": name.version,
        "distribution": _distribution(),
        "container": _container(),
        "Landlock ABI": f"{abi}; leaves open: {', '.join(landlock.missing(abi)) or 'nothing'}",
        "seccomp of this process": _status_of("Seccomp"),
        "no_new_privs": _status_of("NoNewPrivs"),
        "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
        "processors": f"{os.cpu_count()}, of which {len(os.sched_getaffinity(0))} for us",
        "load": _read("/proc/loadavg"),
        "memory": ", ".join(_MEMORY.findall(_read("/proc/meminfo"))),
        "pressure, memory": _read("/proc/pressure/memory").replace("\n", "; "),
        "pressure, processor": _read("/proc/pressure/cpu").replace("\n", "; "),
        "clock source": f"{_read(_CLOCKS / 'current_clocksource')} (of {_read(_CLOCKS / 'available_clocksource')})",
        "up": f"{boottime:.0f} s, of which asleep {boottime - monotonic:.0f} s",
        "wall clock": stamp(clock.wall(), "seconds"),
        **{one.replace("/", "."): _read(Path("/proc/sys") / one) for one in _SYSCTLS},
    }


def limits(pid: int | None) -> dict[str, object]:
    """Of the daemon, or of this process where none runs: its limits, and those of its control group."""
    who = "self" if pid is None else str(pid)
    group = Path("/sys/fs/cgroup") / _read(f"/proc/{who}/cgroup").rpartition("::/")[2].split("\n")[0]
    found: dict[str, object] = {"of": "this command" if pid is None else "the daemon"}
    for name, which in _LIMITS.items():
        try:
            soft, hard = resource.prlimit(pid or 0, which)
        except OSError as error:
            found[name] = f"cannot read it: {error.strerror}"
        else:
            found[name] = f"{_bound(soft)} (hard: {_bound(hard)})"
    return found | {f"cgroup {one}": _read(group / one).replace("\n", ", ") for one in _CGROUPS}


def _bound(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _read(path: str | Path) -> str:
    """What a file of the kernel says; empty where there is none for us."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read(1 << 16).strip()
    except OSError:
        return ""


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return "unknown"


def _container() -> str:
    found = [kind for mark, kind in _MARKS.items() if Path(mark).exists()]
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        found.append("kubernetes")
    return ", ".join(found) or os.environ.get("container", "no sign of one")  # noqa: SIM112  # systemd and podman call it so


def _status_of(field: str) -> str:
    found = re.search(rf"^{field}:\s*(\S+)", _read("/proc/self/status"), re.MULTILINE)
    return "" if found is None else found[1]
