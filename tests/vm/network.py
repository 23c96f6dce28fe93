"""The guest's two wires, in a network namespace of their own: one to the control server, one to command the guest.

Faults are put in with nft inside the namespace, or by taking the link away. Nothing outside of it is touched. QEMU's
own network is no use here: it answers TCP itself, so that packets could not get lost.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.support.host.netns import PATH, Namespace

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CONTROL", "MANAGEMENT", "Network", "Wire"]

_IP = shutil.which("ip", path=PATH) or "ip"


@dataclass(frozen=True)
class Wire:
    """One link: a tap in the namespace, a network card in the guest."""

    tap: str
    host: str
    guest: str
    mac: str


CONTROL = Wire("control", "10.91.0.1", "10.91.0.2", "52:54:00:91:00:02")
"""What the daemon uses; the guest's default route."""
MANAGEMENT = Wire("management", "10.92.0.1", "10.92.0.2", "52:54:00:92:00:02")
"""What the tests use, so that no fault takes the guest away from them."""


class Network:
    """A context manager; inside it the namespace is there, with both taps up and the host's addresses on them."""

    def __init__(self) -> None:
        self.namespace = Namespace(f"nms-vm-{secrets.token_hex(3)}", CONTROL.host, CONTROL.tap)

    def __enter__(self) -> Self:
        subprocess.run([_IP, "netns", "add", self.namespace.name], check=True, timeout=20)
        try:
            run = self.namespace.run
            run("ip", "link", "set", "lo", "up")
            for wire in (CONTROL, MANAGEMENT):
                run("ip", "tuntap", "add", wire.tap, "mode", "tap")
                run("ip", "addr", "add", f"{wire.host}/24", "dev", wire.tap)
                run("ip", "link", "set", wire.tap, "up")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        subprocess.run([_IP, "netns", "del", self.namespace.name], check=True, timeout=20)

    def lose_flows(self, port: int) -> list[str]:
        """From now on every packet of the connections that the guest has to this port is dropped, both ways.

        Nobody is told, and new connections pass: what a router does that has forgotten them. Returns the guest's
        source ports.
        """
        lines = self.namespace.run("ss", "-tnH", "state", "established", f"sport = :{port}").splitlines()
        peers = [line.split()[3].rpartition(":") for line in lines]
        ports = sorted(source for address, _, source in peers if CONTROL.guest in address)
        if not ports:
            raise AssertionError(f"the guest has no connection to port {port} that could be lost: {lines}")
        self.namespace.nft(
            f"""
            table inet lost {{
              chain arriving {{
                type filter hook input priority 0; policy accept;
                iifname {CONTROL.tap} tcp sport {{ {", ".join(ports)} }} tcp dport {port} drop
              }}
              chain leaving {{
                type filter hook output priority 0; policy accept;
                oifname {CONTROL.tap} tcp dport {{ {", ".join(ports)} }} tcp sport {port} drop
              }}
            }}
            """
        )
        return ports

    def heal(self) -> None:
        """Take all rules out again."""
        self.namespace.run("nft", "flush", "ruleset")
