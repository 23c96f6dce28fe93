"""What we tell the tailnet about this host: as little as is useful, and the same bytes every time.

Not here: where the result is kept (`registration.record`). Everything in it is visible to every peer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from netmap_actors.tailcfg import Hostinfo

__all__ = ["APP", "HostDescription"]

APP = "netmap-supervisor"


@dataclasses.dataclass(frozen=True, slots=True)
class HostDescription:
    """The settings behind a Hostinfo, and the facts of the machine it is filled with."""

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
        """Digest of what a person decides: settings and the installed version.

        The facts of the machine are not in it: a new kernel or another DHCP name is no news for every peer.
        """
        decided = json.dumps([self.configured_hostname, self.request_tags, self.version])
        return hashlib.sha256(decided.encode()).hexdigest()[:16]

    def hostinfo(self, backend_log_id: str, known_hostname: str = "") -> Hostinfo:
        """`backend_log_id`: random hex, new for each node and never used for anything.

        `known_hostname`: what the tailnet knows this node by; another name is a decision, not the lack of an option.
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
