"""Where the daemon's runtime directory is and what lies in it; the same answer for the daemon and its subscribers.

It only names paths: who makes them, and with which mode, is decided by their owners.
"""

from __future__ import annotations

import ipaddress
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ENVIRONMENT_VARIABLE",
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

_NAME = "netmap-supervisor"


def default_runtime_dir(environment: Mapping[str, str] | None = None) -> Path:
    """The runtime directory when nobody names one.

    $NETMAP_SUPERVISOR_RUNTIME_DIR, then $RUNTIME_DIRECTORY (systemd.exec(5); the first of several), then
    /run/netmap-supervisor for root and the user's own runtime directory for everybody else.
    """
    env = os.environ if environment is None else environment
    if named := env.get(ENVIRONMENT_VARIABLE):
        return Path(named)
    if given := env.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    if os.geteuid() == 0:
        return Path("/run") / _NAME
    # Loaded here: only this last resort needs it.
    from platformdirs import user_runtime_path  # noqa: PLC0415

    return _quietly(user_runtime_path, _NAME)


def dev_control_socket(environment: Mapping[str, str] | None = None) -> Path:
    """The command socket of a control server that runs alone, when nobody names one.

    $NETMAP_DEV_CONTROL_SOCKET, then in a directory of its own beside the daemon's: they are no part of each other.
    """
    env = os.environ if environment is None else environment
    if named := env.get(DEV_CONTROL_VARIABLE):
        return Path(named)
    if os.geteuid() == 0:
        return Path("/run") / f"{_NAME}-dev" / "dev-control.sock"
    from platformdirs import user_runtime_path  # noqa: PLC0415  # as above

    return _quietly(user_runtime_path, f"{_NAME}-dev") / "dev-control.sock"


def _quietly(find: Callable[[str], Path], name: str) -> Path:
    """Without its warning where XDG_RUNTIME_DIR is not set: the place is named in every answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return find(name)


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
