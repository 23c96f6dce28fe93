"""The parts of a netmap that are not nodes: relays, DNS, domain, packet filters, SSH policy; as JSON, and what changed.

Not here: nodes and users (`tailnet`), and what a policy makes of the packet filters (`visibility`).
"""

from __future__ import annotations

import enum

from netmap_actors.dev_control.tailnet.json_types import encode_json

__all__ = ["Aspect", "Aspects"]

_ALLOW_ALL = b'[{"SrcIPs":["*"],"DstPorts":[{"IP":"*","Ports":{"First":0,"Last":65535}}]}]'


class Aspect(enum.Enum):
    """Parts of a netmap that are not nodes, under their names in a MapResponse."""

    DERP_MAP = "DERPMap"
    DNS = "DNSConfig"
    DOMAIN = "Domain"
    PACKET_FILTER = "PacketFilters"
    SSH_POLICY = "SSHPolicy"
    USERS = "UserProfiles"


class Aspects:
    """The parts that are the same for every node."""

    def __init__(self, domain: str, derp_map: bytes) -> None:
        dns = {
            # No client has a reason to ask outside its machine.
            "Resolvers": [{"Addr": "127.0.0.1"}],
            "Routes": {f"{domain}.": []},
            "Domains": [domain],
            "Proxied": True,
        }
        self.json: dict[Aspect, bytes] = {
            Aspect.DERP_MAP: derp_map,
            Aspect.DNS: encode_json(dns),
            Aspect.DOMAIN: encode_json(domain),
            Aspect.PACKET_FILTER: b'{"base":' + _ALLOW_ALL + b"}",
            Aspect.SSH_POLICY: b'{"rules":[]}',
        }
        """Of every aspect but the users, who are sent as they are needed."""
        self.changed: set[Aspect] = set()
        """Since it was last cleared."""

    def replace(self, aspect: Aspect, json: bytes) -> None:
        """Let it be this from now on."""
        if self.json.get(aspect) != json:
            self.json[aspect] = json
            self.changed.add(aspect)
