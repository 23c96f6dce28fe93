"""Files of the system and the interpreter that a confined process still needs, one by one.

Whole directories only where nothing in them is secret; of /etc that is never so. Not here: which process needs
which (`permissions`).
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "DEVICES",
    "TERMINALS",
    "USERS",
    "certificates",
    "interpreter_program",
    "names",
    "replaced",
    "shared",
    "top_level",
]


def _paths(*texts: str) -> tuple[Path, ...]:
    return tuple(map(Path, texts))


DEVICES: Final = _paths("/dev/null")
"""Read and written."""

_KERNELS: Final = _paths("/dev", "/proc", "/sys")
_TOP_LEVEL: Final = _paths(
    "/etc", "/home", "/media", "/mnt", "/nix", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var",  # noqa: S108
)  # fmt: skip
"""As file-hierarchy(7) has it."""

_LIBRARIES: Final = _paths("/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store")
_SYSTEM: Final = _paths(
    "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/etc/timezone",
    # OpenSSL reads its configuration when it is loaded.
    "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies", "/proc/sys/crypto/fips_enabled",
    # How many processors there are (get_nprocs(3)): so many arenas malloc makes.
    "/sys/devices/system/cpu", "/dev/urandom", "/dev/random",
)  # fmt: skip

USERS: Final = _paths(
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/run/systemd/userdb", "/run/userdb", "/etc/userdb",
    "/var/lib/sss/mc",
)  # fmt: skip
"""Users and groups by name (nsswitch.conf(5)), those of systemd and SSSD included."""

TERMINALS: Final = _paths("/etc/terminfo")

_NAMES: Final = _paths(
    "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/networks", "/etc/services",
    "/etc/protocols", "/etc/mdns.allow", "/run/systemd/resolve", "/run/NetworkManager/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf", "/run/resolvconf", "/var/lib/misc", "/var/lib/sss/mc", "/run/nscd",
)  # fmt: skip
_MAX_LINKS: Final = 40
"""As the kernel follows (path_resolution(7))."""
_RESOLV_CONF: Final = Path("/etc/resolv.conf")

_CERTIFICATES: Final = _paths(
    "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/ca-certificates", "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem", "/etc/pki/ca-trust/extracted", "/var/lib/ca-certificates",
)  # fmt: skip
"""Of every distribution; /etc/ssl/private and /etc/pki/tls/private are none."""


def shared() -> Iterator[Path]:
    """Libraries, the interpreter with its modules, and what the C library reads by itself."""
    yield from _LIBRARIES
    yield from _SYSTEM
    yield from _of_musl()
    # Our own place besides: an editable installation may find it by a hook and not by sys.path.
    ours = str(Path(__file__).resolve().parents[2])
    places = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path, ours)
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    for place in dict.fromkeys((*places, *libraries)):
        if place and Path(place) != Path("/"):
            yield Path(place)


def _of_musl() -> Iterator[Path]:
    """Where musl's loader looks (ld-musl-ARCHITECTURE.path). Not by glob: that compiles a pattern in every process."""
    with contextlib.suppress(OSError):
        found = os.listdir("/etc")  # noqa: PTH208  # some hundred paths for what is one, or none
        yield from (
            Path("/etc", name) for name in found if name.startswith("ld-musl-") and name.endswith(".path")
        )


def top_level() -> Iterator[Path]:
    """What lies in the root directory now, but for devices and the kernel's own files."""
    try:
        found = list(Path("/").iterdir())
    except PermissionError:
        found = list(_TOP_LEVEL)  # one may go through it and not see it
    for path in found:
        # Only links are resolved: a file server that is gone would block.
        real = path.resolve() if path.is_symlink() else path
        if real != Path("/") and not any(map(real.is_relative_to, _KERNELS)):
            yield path


def names() -> tuple[Path, ...]:
    """What getaddrinfo reads. Where resolv.conf is a link, the directory of its target: it is replaced by renaming.

    A resolv.conf that is a file of /etc and replaced there is another file, which the next process may read.
    """
    try:
        target = _RESOLV_CONF.resolve(strict=True)
    except (OSError, RuntimeError):
        return _NAMES  # none: the resolver asks 127.0.0.1 (resolv.conf(5))
    elsewhere = (target.parent,) if target.parent != Path("/etc") and len(target.parents) > 2 else ()
    return (*_NAMES, target, *elsewhere)


def replaced(path: Path) -> tuple[Path, ...]:
    """Directories in which this file is replaced by a renewal: its own, and those of what it or its directory links to.

    certbot has links to files of another directory, Kubernetes has a link to a directory beside. A directory of the
    root, such as /etc, is none of them: that would be all of it.
    """
    found = [path.parent]
    for place in (path, path.parent):
        link = place
        for _ in range(_MAX_LINKS):
            # Path's own raise where one may not look.
            if not os.path.islink(link):  # noqa: PTH114
                break
            link = link.parent / os.readlink(link)  # noqa: PTH115
            found.append(link.parent)
    real = dict.fromkeys(Path(os.path.realpath(one)) for one in found)
    return tuple(one for one in real if len(one.parts) > 2)


def certificates(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where OpenSSL may find the roots: the distributions' places, its own defaults, SSL_CERT_FILE and SSL_CERT_DIR.

    None for a process that has not loaded `ssl` by now: it uses no TLS, and could not load it later.
    """
    ssl = sys.modules.get("ssl")
    if ssl is None:
        return ()
    defaults = ssl.get_default_verify_paths()
    built_in = (defaults.openssl_cafile, defaults.openssl_capath)
    named = (environment.get("SSL_CERT_FILE", ""), *environment.get("SSL_CERT_DIR", "").split(":"))
    return (*_CERTIFICATES, *(Path(place) for place in (*built_in, *named) if place))


def interpreter_program() -> tuple[Path, ...]:
    """The files the kernel executes when Python is started: the program, and the loader it names."""
    program = Path(sys.executable).resolve()
    try:
        loader = _loader(program)
    except (OSError, struct.error, ValueError):
        # Not an ELF file we understand: any loader of the system.
        return (program, *_LIBRARIES)
    return (program, Path(loader).resolve()) if loader else (program,)


def _loader(program: Path) -> str:
    """PT_INTERP of a 64-bit ELF file (elf(5)); empty when it needs none."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            raise ValueError("no 64-bit ELF file")
        order = "<" if head[5] == 1 else ">"
        (start,) = struct.unpack_from(f"{order}Q", head, 32)
        size, count = struct.unpack_from(f"{order}HH", head, 54)
        for number in range(count):
            file.seek(start + number * size)
            kind, _, offset, _, _, length = struct.unpack_from(f"{order}IIQQQQ", file.read(size))
            if kind == 3:
                file.seek(offset)
                return file.read(length).rstrip(b"\0").decode()
    return ""
