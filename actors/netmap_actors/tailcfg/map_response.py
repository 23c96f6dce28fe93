"""One message of the map stream: MapResponse, its large parts left as raw JSON.

Not here: what a message does to the netmap (`netmap.delta`) and its gate (`map_document`). Names: tailscale:
tailcfg/tailcfg.go.
"""

from __future__ import annotations

import msgspec  # noqa: TC002 - msgspec reads the annotations when it decodes

from netmap_actors.tailcfg.go_json import ABSENT, GoStruct, Int64, is_set
from netmap_actors.tailcfg.ping import PingRequest  # noqa: TC001 - msgspec reads the annotations when it decodes

__all__ = [
    "Debug",
    "DisplayMessage",
    "DisplayMessageAction",
    "MapResponse",
    "UserProfile",
]


class UserProfile(GoStruct, frozen=True):
    """A user as other users see it."""

    id: Int64 = 0
    login_name: str = ""
    display_name: str = ""
    profile_pic_url: str = ""
    groups: tuple[str, ...] | None = None


class DisplayMessageAction(GoStruct, frozen=True):
    """A link shown with a message."""

    url: str = ""
    label: str = ""


class DisplayMessage(GoStruct, frozen=True):
    """A message to the user; severity is high, medium or low."""

    title: str = ""
    text: str = ""
    severity: str = ""
    impacts_connectivity: bool = False
    primary_action: DisplayMessageAction | None = None


class Debug(GoStruct, frozen=True):
    """Commands of the server to our process. `exit` is reported and never obeyed."""

    sleep_seconds: float = 0
    disable_log_tail: bool = False
    exit: Int64 | None = None


class MapResponse(GoStruct, frozen=True):
    """A full map, a delta or a keep-alive.

    Raw fields are views into the message they were decoded from: one that is kept must be copied. `ABSENT` (or a
    raw null) means not there.
    """

    map_session_handle: str = ""
    seq: Int64 = 0
    keep_alive: bool = False
    """True: only ping_request, pop_browser_url, client_version, control_time and control_dial_plan count."""
    ping_request: PingRequest | None = None
    pop_browser_url: str = ""
    node: msgspec.Raw = ABSENT
    """Node: our own."""
    derp_map: msgspec.Raw = ABSENT
    """DERPMap."""
    peers: list[msgspec.Raw] | None = None
    """[Node]: when not empty the whole peer set, and the five deltas below are ignored."""
    peers_changed: list[msgspec.Raw] | None = None
    """[Node]."""
    peers_removed: list[Int64] | None = None
    peers_changed_patch: list[msgspec.Raw] | None = None
    """[PeerChange]."""
    peer_seen_change: dict[Int64, bool | None] | None = None
    online_change: dict[Int64, bool | None] | None = None
    dns_config: msgspec.Raw = ABSENT
    """DNSConfig."""
    domain: str = ""
    collect_services: bool | None = None
    packet_filter: msgspec.Raw = ABSENT
    """[FilterRule]: the chunk `base` of packet_filters."""
    packet_filters: dict[str, msgspec.Raw] | None = None
    """Name -> [FilterRule] or null; `*` null drops all."""
    user_profiles: list[msgspec.Raw] | None = None
    """[UserProfile]."""
    health: list[str] | None = None
    display_messages: dict[str, msgspec.Raw] | None = None
    """Id -> DisplayMessage or null; `*` null drops all."""
    ssh_policy: msgspec.Raw = ABSENT
    """SSHPolicy."""
    control_time: str = ""
    tka_info: msgspec.Raw = ABSENT
    """TKAInfo."""
    domain_data_plane_audit_log_id: str = ""
    debug: Debug | None = None
    control_dial_plan: msgspec.Raw = ABSENT
    """ControlDialPlan."""
    client_version: msgspec.Raw = ABSENT
    """ClientVersion."""
    default_auto_update: bool | None = None

    @property
    def has_node(self) -> bool:
        """Whether the message has our own node, as the first of a session must."""
        return is_set(self.node)
