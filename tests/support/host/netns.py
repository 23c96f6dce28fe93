"""Two network namespaces joined by a veth pair: a client and a server with a network of their own between them.

Faults are put in with nft inside the server's namespace. Nothing outside the namespaces is touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from types import TracebackType

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def problem() -> str | None:
    """Why namespaces cannot be used on this machine, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nft", "ss"):
        if shutil.which(program, path=PATH) is None:
            return f"network namespaces need {program}"
    name = f"nms-probe-{secrets.token_hex(3)}"
    made = _attempt("ip", "netns", "add", name)
    if made.returncode != 0:
        return f"cannot make a network namespace: {made.stderr.strip()}"
    try:
        ruled = _attempt("ip", "netns", "exec", name, "nft", "add", "table", "inet", "probe")
        return f"cannot use nft: {ruled.stderr.strip()}" if ruled.returncode != 0 else None
    finally:
        _attempt("ip", "netns", "del", name)


def _attempt(*command: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0], path=PATH) or command[0]
    return subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False, timeout=20)


def _run(*command: str) -> str:
    result = _attempt(*command)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr.strip()}"
    return result.stdout


@dataclass(frozen=True)
class Namespace:
    """One network namespace and the address it has on the wire between the two."""

    name: str
    address: str
    link: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command so that it runs in here; the process id stays that of the command."""
        return (shutil.which("ip", path=PATH) or "ip", "netns", "exec", self.name)

    def run(self, *command: str) -> str:
        """Standard output of a command run in here; it has to succeed."""
        return _run("ip", "netns", "exec", self.name, *command)

    def tcp_sockets(self, state: str = "all") -> list[str]:
        """One line of `ss` for each TCP socket in here."""
        return self.run("ss", "-tnH", "state", state).splitlines()

    def nft(self, rules: str) -> None:
        """Load nft rules in here."""
        program = shutil.which("nft", path=PATH) or "nft"
        subprocess.run([*self.prefix, program, "-f", "-"], input=rules, text=True, check=True, timeout=20)


class Pair:
    """The two namespaces. A context manager: on leaving both are gone, and the wire with them."""

    def __init__(self) -> None:
        token = secrets.token_hex(3)
        self.server = Namespace(f"nms-{token}-server", "10.87.0.1", f"nms{token}s")
        self.client = Namespace(f"nms-{token}-client", "10.87.0.2", f"nms{token}c")

    def __enter__(self) -> Self:
        try:
            for side in (self.server, self.client):
                _run("ip", "netns", "add", side.name)
                _run("ip", "-n", side.name, "link", "set", "lo", "up")
            ends = ("netns", self.server.name, "type", "veth", "peer", "name", self.client.link)
            _run("ip", "link", "add", self.server.link, *ends, "netns", self.client.name)
            for side in (self.server, self.client):
                _run("ip", "-n", side.name, "addr", "add", f"{side.address}/24", "dev", side.link)
                _run("ip", "-n", side.name, "link", "set", side.link, "up")
            _run("ip", "-n", self.client.name, "route", "add", "default", "via", self.server.address)
            for side in (self.server, self.client):
                wait_for(lambda side=side: _is_up(side), 5.0, f"{side.link} is up")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        for side in (self.client, self.server):
            if Path(f"/run/netns/{side.name}").exists():
                _attempt("ip", "netns", "del", side.name)

    # --- faults -----------------------------------------------------------------------------------------------

    def drop_flow(self, client_port: int) -> None:
        """Drop every packet of the flow from this source port, both ways; other flows pass.

        No reset, no ICMP: to both kernels the connection stays ESTABLISHED.
        """
        self.server.nft(
            f"""
            table inet flow_{client_port} {{
              chain arriving {{
                type filter hook input priority 0; policy accept;
                ip saddr {self.client.address} tcp sport {client_port} drop
              }}
              chain leaving {{
                type filter hook output priority 0; policy accept;
                ip daddr {self.client.address} tcp dport {client_port} drop
              }}
            }}
            """
        )

    def drop_all(self) -> None:
        """Drop everything between the two, old flows and new."""
        self.server.nft(
            f"""
            table inet blackout {{
              chain arriving {{
                type filter hook input priority 0; policy accept;
                ip saddr {self.client.address} drop
              }}
              chain leaving {{
                type filter hook output priority 0; policy accept;
                ip daddr {self.client.address} drop
              }}
            }}
            """
        )

    def heal(self) -> None:
        """Take all rules out again."""
        self.server.run("nft", "flush", "ruleset")


def _is_up(side: Namespace) -> bool:
    return "state UP" in _run("ip", "-n", side.name, "link", "show", "dev", side.link)
