"""The JSON types of the control server under Tailscale's own names, for both sides of the connection.

Not here: any behaviour of a client or server. The Go side is tailscale: tailcfg/.
"""

from __future__ import annotations

from netmap_actors.tailcfg.derp import DERPHomeParams, DERPMap, DERPNode, DERPRegion
from netmap_actors.tailcfg.dns import DNSConfig, DNSRecord, Resolver
from netmap_actors.tailcfg.go_json import (
    NotGoJson,
    decode,
    encode,
    is_set,
    is_zero_key,
    is_zero_time,
    raw,
)
from netmap_actors.tailcfg.hostinfo import Hostinfo, Location, NetInfo, Service, TPMInfo
from netmap_actors.tailcfg.map_document import MapResponseShape, check_map_response_shape, decode_map_response
from netmap_actors.tailcfg.map_request import MapRequest
from netmap_actors.tailcfg.map_response import (
    ABSENT,
    ClientVersion,
    ControlDialPlan,
    ControlIPCandidate,
    Debug,
    DisplayMessage,
    DisplayMessageAction,
    MapResponse,
    TKAInfo,
    UserProfile,
)
from netmap_actors.tailcfg.node import Node, PeerChange
from netmap_actors.tailcfg.packet_filter import CapGrant, FilterRule, NetPortRange, PortRange
from netmap_actors.tailcfg.ping import PingRequest, PingResponse
from netmap_actors.tailcfg.register import Login, RegisterAuth, RegisterRequest, RegisterResponse, User
from netmap_actors.tailcfg.ssh_policy import SSHAction, SSHPolicy, SSHPrincipal, SSHRule

__all__ = [
    "ABSENT",
    "CapGrant",
    "ClientVersion",
    "ControlDialPlan",
    "ControlIPCandidate",
    "DERPHomeParams",
    "DERPMap",
    "DERPNode",
    "DERPRegion",
    "DNSConfig",
    "DNSRecord",
    "Debug",
    "DisplayMessage",
    "DisplayMessageAction",
    "FilterRule",
    "Hostinfo",
    "Location",
    "Login",
    "MapRequest",
    "MapResponse",
    "MapResponseShape",
    "NetInfo",
    "NetPortRange",
    "Node",
    "NotGoJson",
    "PeerChange",
    "PingRequest",
    "PingResponse",
    "PortRange",
    "RegisterAuth",
    "RegisterRequest",
    "RegisterResponse",
    "Resolver",
    "SSHAction",
    "SSHPolicy",
    "SSHPrincipal",
    "SSHRule",
    "Service",
    "TKAInfo",
    "TPMInfo",
    "User",
    "UserProfile",
    "check_map_response_shape",
    "decode",
    "decode_map_response",
    "encode",
    "is_set",
    "is_zero_key",
    "is_zero_time",
    "raw",
]
