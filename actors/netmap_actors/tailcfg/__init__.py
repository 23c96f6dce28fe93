"""The JSON types of the control server under Tailscale's own names, for the client's side of the connection.

Not here: any behaviour of a client or server. The Go side is tailscale: tailcfg/.
"""

from __future__ import annotations

from netmap_actors.tailcfg.go_json import NotGoJson, decode, encode, is_set, is_zero_key, is_zero_time
from netmap_actors.tailcfg.hostinfo import Hostinfo
from netmap_actors.tailcfg.map_document import (
    MapResponseShape,
    check_map_response_shape,
    decode_map_response,
    decoding_map_response,
)
from netmap_actors.tailcfg.map_request import MapRequest
from netmap_actors.tailcfg.map_response import (
    Debug,
    DisplayMessage,
    DisplayMessageAction,
    MapResponse,
    UserProfile,
)
from netmap_actors.tailcfg.peer_change import PeerChange
from netmap_actors.tailcfg.ping import PingRequest
from netmap_actors.tailcfg.register import Login, RegisterAuth, RegisterRequest, RegisterResponse, User

__all__ = [
    "Debug",
    "DisplayMessage",
    "DisplayMessageAction",
    "Hostinfo",
    "Login",
    "MapRequest",
    "MapResponse",
    "MapResponseShape",
    "NotGoJson",
    "PeerChange",
    "PingRequest",
    "RegisterAuth",
    "RegisterRequest",
    "RegisterResponse",
    "User",
    "UserProfile",
    "check_map_response_shape",
    "decode",
    "decode_map_response",
    "decoding_map_response",
    "encode",
    "is_set",
    "is_zero_key",
    "is_zero_time",
]
