"""Who reaches an address the settings name. Pure."""

from __future__ import annotations

import ipaddress

__all__ = ["is_for_others", "is_loopback"]


def is_for_others(http_listen: str) -> bool:
    """Whether other machines reach `http.listen`: ADDRESS:PORT, unix:PATH or empty."""
    return bool(http_listen) and not http_listen.startswith("unix:") and not is_loopback(http_listen)


def is_loopback(address: str) -> bool:
    """Whether ADDRESS:PORT, with or without tcp://, is reached from this machine only."""
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    return ipaddress.ip_address(host).is_loopback
