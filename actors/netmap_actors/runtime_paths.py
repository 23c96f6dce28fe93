"""Where the daemon's runtime directory is and what lies in it; the same answer for the daemon and its subscribers.

It only names paths: who makes them, and with which mode, is decided by their owners.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "MAX_SOCKET_PATH",
    "PUBLIC_DIRECTORY",
    "default_runtime_dir",
    "dev_control_socket",
    "leaves_this_machine",
    "remote_endpoints",
    "requests_path",
    "updates_path",
]

ENVIRONMENT_VARIABLE = "NETMAP_SUPERVISOR_RUNTIME_DIR"
DEV_CONTROL_VARIABLE = "NETMAP_DEV_CONTROL_SOCKET"
PUBLIC_DIRECTORY = "pub"
"""Below the runtime directory: the one directory a subscriber needs to reach."""

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path (unix(7): sun_path has 108, the last is zero)."""

_NAME = "netmap-supervisor"
_LOGINS = Path("/run/user")
"""Where logind makes a directory for each user who is logged in (pam_systemd(8))."""
_LAST_RESORT = Path("/tmp")  # noqa: S108  # only where it is ours


def default_runtime_dir(environment: Mapping[str, str] | None = None) -> Path:
    """The runtime directory when nobody names one.

    $NETMAP_SUPERVISOR_RUNTIME_DIR, then /run/netmap-supervisor for root and a place below the user's own runtime
    directory for everybody else. Not $RUNTIME_DIRECTORY (systemd.exec(5)): that is the directory of whatever unit asks.
    Raises ConfigurationError when that place is somebody else's.
    """
    env = os.environ if environment is None else environment
    if named := env.get(ENVIRONMENT_VARIABLE):
        return Path(named)
    return _default_place(env) / _NAME


def dev_control_socket(environment: Mapping[str, str] | None = None) -> Path:
    """The command socket of a control server that runs alone, when nobody names one.

    $NETMAP_DEV_CONTROL_SOCKET, then in a directory of its own beside the daemon's: they are no part of each other.
    Raises ConfigurationError as above.
    """
    env = os.environ if environment is None else environment
    if named := env.get(DEV_CONTROL_VARIABLE):
        return Path(named)
    return _default_place(env) / f"{_NAME}-dev" / "dev-control.sock"


def _default_place(env: Mapping[str, str]) -> Path:
    """/run for root. For a user what the login says, then what a login has made, as for cron, then one in /tmp.

    Our own rule and no library's: the daemon and its subscribers have to come to the same answer, whatever is
    installed beside either.
    """
    uid = os.geteuid()
    if uid == 0:
        return Path("/run")
    if Path(given := env.get("XDG_RUNTIME_DIR", "")).is_absolute():
        return Path(given)
    login, last = _LOGINS / str(uid), _LAST_RESORT / f"runtime-{uid}"
    if _is_directory_of(login, uid):
        return login
    # Whoever made it could put sockets of his own there, and we would believe them.
    if _is_directory_of(last, uid) is False:
        raise ConfigurationError(
            f"cannot use {last}, where the sockets belong without a login: somebody else has made it; have it removed, "
            f"or name a directory of yours with --runtime-dir, {ENVIRONMENT_VARIABLE} or XDG_RUNTIME_DIR"
        )
    return last


def _is_directory_of(path: Path, uid: int) -> bool | None:
    """None when there is nothing, or nothing can be seen of it."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid


def updates_path(runtime_dir: Path) -> Path:
    """The socket updates are published on."""
    return runtime_dir / PUBLIC_DIRECTORY / "updates.sock"


def requests_path(runtime_dir: Path) -> Path:
    """The socket snapshots are asked for on."""
    return runtime_dir / PUBLIC_DIRECTORY / "requests.sock"


def remote_endpoints(listen: str) -> tuple[str, str]:
    """(updates, requests) behind tcp://ADDRESS:PORT: requests have the port after it. Raises ValueError."""
    address, separator, port = listen.rpartition(":")
    host = address.removeprefix("tcp://")
    named = bool(host) and host != address and host.startswith("[") == host.endswith("]")
    if not separator or not named or not port.isascii() or not port.isdigit():
        raise ValueError(f"cannot use {listen!r} as an endpoint: tcp://ADDRESS:PORT is expected")
    if not 1 <= int(port) <= 65534:
        raise ValueError(
            f"cannot use port {port}: it and the next one are needed, so 1 to 65534 are possible"
        )
    return listen, f"{address}:{int(port) + 1}"


def leaves_this_machine(endpoint: str) -> bool:
    """Whether what is sent to a ZeroMQ endpoint may be seen on a network.

    It is not for a unix socket, a literal loopback address and "localhost" (RFC 6761 section 6.3); it may be for
    whatever else is written there.
    """
    transport, _, address = endpoint.partition("://")
    if transport != "tcp":
        return transport not in {"ipc", "inproc"}
    host = address.rpartition(":")[0]
    if host.lower() == "localhost":
        return False
    try:
        found = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return True
    return not (getattr(found, "ipv4_mapped", None) or found).is_loopback
