"""The Hostinfo of this node: as little as is useful, and the same bytes every time.

Not here: where the result is kept (`registration.record`). Everything in it is visible to every peer.
"""

from __future__ import annotations

import hashlib
import json

import msgspec

from netmap_actors.tailcfg import Hostinfo

__all__ = ["APP", "HostDescription"]

APP = "netmap-supervisor"


class HostDescription(msgspec.Struct, frozen=True):
    """The settings and machine facts that a Hostinfo is made of."""

    configured_hostname: str
    """"" = the one the node has, at first the machine's own."""
    request_tags: tuple[str, ...]
    version: str
    """Of this program."""
    machine_hostname: str
    os_version: str
    """Release of the kernel."""

    @property
    def basis(self) -> str:
        """Digest of the settings and the installed version.

        Machine facts are left out: a new kernel or DHCP name need not be announced to every peer.
        """
        decided = json.dumps([self.configured_hostname, self.request_tags, self.version])
        return hashlib.sha256(decided.encode()).hexdigest()[:16]

    def hostinfo(self, backend_log_id: str, known_hostname: str = "") -> Hostinfo:
        """`backend_log_id`: random hex, new for each node and never used for anything.

        `known_hostname`: the node's present name in the tailnet, which only an option changes.
        """
        return Hostinfo(
            ipn_version=self.version,
            backend_log_id=backend_log_id,
            os="linux",
            os_version=self.os_version,
            app=APP,
            hostname=self.configured_hostname or known_hostname or self.machine_hostname,
            request_tags=self.request_tags or None,
        )
