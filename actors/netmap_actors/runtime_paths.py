"""The daemon's runtime directory and the sockets in it, the same for the daemon and its subscribers.

Not here: making them, and their modes.
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
    "history_path",
    "leaves_this_machine",
    "local_endpoints",
    "recording_path",
    "remote_endpoints",
    "requests_path",
    "updates_path",
]

ENVIRONMENT_VARIABLE = "NETMAP_SUPERVISOR_RUNTIME_DIR"
DEV_CONTROL_VARIABLE = "NETMAP_DEV_CONTROL_SOCKET"
PUBLIC_DIRECTORY = "pub"
"""Below the runtime directory: the only directory a subscriber needs to reach."""

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path (unix(7): sun_path has 108, the last is zero)."""

_NAME = "netmap-supervisor"
_LOGINS = Path("/run/user")
"""logind's directories of logged-in users (pam_systemd(8))."""
_LAST_RESORT = Path("/tmp")  # noqa: S108  # only where it is ours


def default_runtime_dir(environment: Mapping[str, str] | None = None) -> Path:
    """The default runtime directory.

    $NETMAP_SUPERVISOR_RUNTIME_DIR, then /run/netmap-supervisor for root, else below the user's runtime directory. Not
    $RUNTIME_DIRECTORY (systemd.exec(5)), which is the calling unit's. Raises ConfigurationError when another user owns
    the place.
    """
    env = os.environ if environment is None else environment
    if named := env.get(ENVIRONMENT_VARIABLE):
        return Path(named)
    return _default_place(env) / _NAME


def dev_control_socket(environment: Mapping[str, str] | None = None) -> Path:
    """The default command socket of a standalone control server.

    $NETMAP_DEV_CONTROL_SOCKET, then in a directory beside the daemon's. Raises ConfigurationError as above.
    """
    env = os.environ if environment is None else environment
    if named := env.get(DEV_CONTROL_VARIABLE):
        return Path(named)
    return _default_place(env) / f"{_NAME}-dev" / "dev-control.sock"


def _default_place(env: Mapping[str, str]) -> Path:
    """/run for root. For a user $XDG_RUNTIME_DIR, then logind's directory (as under cron), then one in /tmp.

    Not a library's rule: the daemon and its subscribers must agree, whatever is installed beside either.
    """
    uid = os.geteuid()
    if uid == 0:
        return Path("/run")
    if Path(given := env.get("XDG_RUNTIME_DIR", "")).is_absolute():
        return Path(given)
    login, last = _LOGINS / str(uid), _LAST_RESORT / f"runtime-{uid}"
    if _is_directory_of(login, uid):
        return login
    # Its owner could put false sockets there.
    if _is_directory_of(last, uid) is False:
        raise ConfigurationError(
            f"cannot use {last}, where the sockets belong without a login: somebody else has made it; have it removed, "
            f"or name a directory of yours with --runtime-dir, {ENVIRONMENT_VARIABLE} or XDG_RUNTIME_DIR"
        )
    return last


def _is_directory_of(path: Path, uid: int) -> bool | None:
    """None when it does not exist or cannot be examined."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid


def updates_path(runtime_dir: Path) -> Path:
    """The socket on which updates are published."""
    return runtime_dir / PUBLIC_DIRECTORY / "updates.sock"


def requests_path(runtime_dir: Path) -> Path:
    """The socket on which snapshots are requested."""
    return runtime_dir / PUBLIC_DIRECTORY / "requests.sock"


def history_path(runtime_dir: Path) -> Path:
    """The socket on which the history is asked."""
    return runtime_dir / PUBLIC_DIRECTORY / "history.sock"


def recording_path(runtime_dir: Path) -> Path:
    """The socket on which sessions are recorded, for the daemon's own user."""
    return runtime_dir / "recording.sock"


def local_endpoints(runtime_dir: Path) -> tuple[str, str]:
    """(updates, requests) of the daemon with this directory."""
    return f"ipc://{updates_path(runtime_dir)}", f"ipc://{requests_path(runtime_dir)}"


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
    """Whether traffic to a ZeroMQ endpoint may leave this machine.

    False for a Unix socket, a literal loopback address and "localhost" (RFC 6761, section 6.3) only.
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
