"""The shapes of the answers: `netmap --json`, events, `history --json`, targets for Prometheus, and the health.

The text below a field becomes its description in the schemas. Not here: `status --json` (`wire.status`).
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from netmap_actors.history.occurrences import Happening
from netmap_actors.wire.vocabulary import Trust  # noqa: TC001 - msgspec reads the annotations

__all__ = [
    "EVENTS",
    "LABEL_OF_A_TAG",
    "HealthAnswer",
    "HistoryAnswer",
    "NetmapAnswer",
    "NodeAnswer",
    "StreamError",
    "TargetGroup",
    "TargetLabels",
]

Id: TypeAlias = Annotated[int, Meta(extra_json_schema={"format": "int64"})]
Moment: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339."""
Document: TypeAlias = Any
"""A value of the control server's JSON, null where it set none."""
Values: TypeAlias = dict[str, Any]

LABEL_OF_A_TAG = "^__meta_tailscale_device_tag_[A-Za-z0-9_]+$"
"""A label whose name is made from a tag."""


class _Answer(Struct, kw_only=True):
    """What all answers have in common: a name may come, none goes."""


class TailnetNode(_Answer):
    """A node: a peer, or our own."""

    stable_id: str
    """The persistent identity: StableID, or "id:<NodeID>" where the server gives none."""
    id: Id
    """NodeID: any 64-bit integer, which is more than a double holds exactly."""
    name: str
    """Fully qualified, without the trailing dot; may be empty."""
    addresses: list[str]
    """Prefixes: "100.64.0.1/32"."""
    allowed_ips: list[str]
    """Prefixes whose packets this node may send and receive."""
    online: bool | None
    """Contact with the control server, not reachability; null: the server did not say."""
    last_seen: str | None
    """RFC 3339."""
    tags: list[str]
    """ "tag:web", ..."""
    user: str | None
    """Login name of the owner; null when the server gave no profile for `user_id`."""
    user_id: Id
    """UserID of the owner."""
    os: str
    """ "linux", "macOS", ..."""
    hostname: str
    """What the machine calls itself."""
    routes: list[str]
    """Subnet routes this node is primary for."""
    key: str
    """ "nodekey:" and 64 hex digits."""
    key_expiry: str | None
    """RFC 3339; null: never."""
    expired: bool
    """The key has expired: the server says so, or its moment has come."""
    home_derp: int
    """DERP region, 0: unknown."""
    endpoints: list[str]
    """ "192.0.2.1:41641", ..."""
    machine_key: str
    """ "mkey:" and 64 hex digits."""
    disco_key: str
    """ "discokey:" and 64 hex digits."""
    created: str | None
    """RFC 3339."""
    cap: int
    """Capability version of the client."""
    cap_map: Values
    """Capabilities of the node and their arguments."""
    decoded: bool
    """False: the server's JSON did not decode as a node; only the two ids can be relied on."""
    sharer: str | None
    """Login name of the user who shares it in; null for none, or without a profile for `sharer_id`."""
    sharer_id: Id
    """UserID of the user who shares it in, 0 for none."""
    jailed: bool
    """It may not begin connections to us."""
    wireguard_only: bool
    """It speaks WireGuard and nothing of Tailscale's."""


class NodeInFull(TailnetNode):
    """A node with everything that the control server says of it: `netmap PEER --json`."""

    node: Values
    """The control server's JSON of the node."""


class TailnetUser(_Answer):
    """A user of the tailnet."""

    id: Id
    """UserID."""
    login_name: str
    """ "ann@example.com"."""
    display_name: str
    """For people."""
    profile_pic_url: str
    """May be empty."""


class NetmapContents(_Answer):
    """A whole netmap."""

    domain: str
    """Name of the tailnet, for people."""
    own: TailnetNode | None = field(name="self")
    """Our own node."""
    peers: list[TailnetNode]
    """In no particular order."""
    user_profiles: list[TailnetUser]
    """Those the nodes refer to."""
    dns: Document
    """DNSConfig of the control server; null: none."""
    packet_filter: Document
    """Named lists of FilterRule; null: everything is denied."""
    derp_map: Document
    """DERPMap; null: none."""
    ssh_policy: Document
    """SSHPolicy; null: none."""
    health: Document
    """What the control server reports to be wrong."""
    settings: Document
    """What else the server set."""


class Trusted(_Answer):
    state: Trust
    """How far the netmap can be trusted now."""
    age_s: float | None
    """Seconds since the last complete MapResponse; null: there was none."""
    epoch: Id
    """The publisher process; 0 before one was heard."""
    seq: Id
    """The commit of the netmap."""


class NetmapAnswer(NetmapContents):
    """The netmap, and how far it can be trusted: `netmap --json`."""

    state: Trust
    """How far the netmap can be trusted now."""
    age_s: float | None
    """Seconds since the last complete MapResponse; null: there was none."""
    epoch: Id
    """The publisher process; 0 before one was heard."""
    seq: Id
    """The commit of the netmap."""


class NodeAnswer(Trusted):
    """One node, and how far the netmap can be trusted."""

    peer: NodeInFull
    """The node that was asked for; it may be our own."""


class HealthAnswer(Trusted):
    """How far the netmap can be trusted."""

    peers: int
    """How many there are."""


class _Event(_Answer, tag_field="type"):
    epoch: Id
    """The publisher process; 0 before one was heard."""
    seq: Id
    """The commit this event belongs to."""
    state: Trust
    """After the event."""


class _Change(_Event):
    changed: list[str]
    """Names of what changed; for a node also "node.<Key>", a key of the control server's JSON."""


class SnapshotEvent(_Event, tag="snapshot"):
    """The whole netmap; what follows are changes of it."""

    age_s: float | None
    """Seconds since the last complete MapResponse; null: there was none."""
    netmap: NetmapContents
    """All of it."""


class PeerUpsertedEvent(_Change, tag="peer_upserted"):
    """A peer is new, or something of it changed."""

    peer: TailnetNode
    """As it is now."""
    previous: Values | UnsetType = UNSET
    """Old values of what changed; absent for a new peer."""


class PeerRemovedEvent(_Event, tag="peer_removed"):
    """A peer is gone."""

    stable_id: str
    """As it was last."""
    id: Id
    """As it was last."""
    name: str
    """As it was last."""


class SelfChangedEvent(_Change, tag="self_changed"):
    """Our own node changed."""

    own: TailnetNode | None = field(name="self")
    """As it is now."""
    previous: Values | UnsetType = UNSET
    """Old values of what changed; absent when there was no node before."""


class _Replaced(_Change):
    previous: Values
    """The old value, by the same name."""


class DnsChangedEvent(_Replaced, tag="dns_changed"):
    """Another DNSConfig."""

    dns: Document
    """As it is now."""


class PacketFilterChangedEvent(_Replaced, tag="packet_filter_changed"):
    """Other rules."""

    packet_filter: Document
    """As it is now."""


class DerpMapChangedEvent(_Replaced, tag="derp_map_changed"):
    """Another DERPMap."""

    derp_map: Document
    """As it is now."""


class SshPolicyChangedEvent(_Replaced, tag="ssh_policy_changed"):
    """Another SSHPolicy."""

    ssh_policy: Document
    """As it is now."""


class HealthChangedEvent(_Replaced, tag="health_changed"):
    """The control server reports something else."""

    health: Document
    """As it is now."""


class SettingsChangedEvent(_Replaced, tag="settings_changed"):
    """Something else that the server set."""

    settings: Document
    """As it is now."""


class UserProfilesChangedEvent(_Event, tag="user_profiles_changed"):
    """Users came, changed or went."""

    upserted: list[TailnetUser]
    """As they are now."""
    removed: list[TailnetUser]
    """As they were last."""


class DomainChangedEvent(_Replaced, tag="domain_changed"):
    """The tailnet has another name."""

    domain: str
    """As it is now."""


class StateChangedEvent(_Replaced, tag="state_changed"):
    """The netmap can be trusted more, or less, than before."""

    age_s: float | None
    """Seconds since the last complete MapResponse; null: there was none."""
    reason: str
    """session_started, session_ended, silence, gap, received, bad_map_response, publisher_stopped,
    publisher_restarted, publisher_silent, behind or caught_up; others may come."""


class StreamError(_Answer, tag_field="type", tag="error"):
    """The last event of a stream over HTTP that cannot go on, as when several nodes go by one name that was given."""

    error: str
    """For people."""


EVENTS: TypeAlias = (
    SnapshotEvent
    | PeerUpsertedEvent
    | PeerRemovedEvent
    | SelfChangedEvent
    | DnsChangedEvent
    | PacketFilterChangedEvent
    | DerpMapChangedEvent
    | SshPolicyChangedEvent
    | HealthChangedEvent
    | SettingsChangedEvent
    | UserProfilesChangedEvent
    | DomainChangedEvent
    | StateChangedEvent
    | StreamError
)
"""One line of `watch --json`, and the data of one event of the stream over HTTP."""


class HistoryInterval(_Answer):
    """From one moment to another."""

    since: Moment
    """Its begin."""
    until: Moment
    """Its end."""


class HistorySpan(HistoryInterval):
    """A time in one state."""

    state: str
    """Of the netmap none, fresh or stale, of the connection attempt or session, of a node online, offline or
    unknown."""


class HistoryToldSpan(HistorySpan):
    """A time of the netmap or of the connection, with what is known of it."""

    detail: Values
    """Of the netmap the reason; of a connection its process, its addresses, and `ended`: how it ended."""


class HistoryLane(_Answer):
    """A node over the time."""

    stable_id: str
    """Its persistent identity."""
    name: str
    """Its last name."""
    spans: list[HistorySpan]
    """What was seen of it."""


class HistoryOccurrence(_Answer):
    """One thing that happened."""

    id: Id
    """Greater than that of what was written before."""
    at: Moment
    """When it was seen."""
    after: Moment | None
    """It was not seen as it happened: it happened after this moment; null: it was."""
    kind: Annotated[str, Meta(examples=sorted(Happening))]
    """What happened; the examples are all there are now, others may come."""
    subject: str
    """The stable id of the node, the name of the actor, or empty."""
    name: str
    """What the node was called then."""
    detail: Values
    """What else is known of it."""


class HistoryAnswer(HistoryInterval):
    """What happened in a time, the whole of which `since` and `until` are: `history --json`."""

    tailnet: str
    """The tailnet's name here; "default" where there is one."""
    gaps: list[HistoryInterval]
    """Times of which nothing is known."""
    netmap: list[HistoryToldSpan]
    """How far it could be trusted."""
    connection: list[HistoryToldSpan]
    """To the control server."""
    nodes: list[HistoryLane]
    """By name."""
    occurrences: list[HistoryOccurrence]
    """In order."""
    more: bool
    """There are occurrences of this time that are left out."""
    file: str
    """Which file it is: ids begin anew in another one."""
    oldest_id: Id
    """All occurrences from this id on are kept."""
    newest_id: Id
    """The last one that is written, 0 for none."""


class TargetLabels(_Answer, rename=lambda name: f"__meta_netmap_{name}"):
    """Labels of a target for relabelling, and those of tailscalesd with the same values."""

    name: str
    """Fully qualified."""
    short_name: str
    """The first label of the name for a node of our own tailnet; else empty."""
    stable_id: str
    """The persistent identity."""
    address: str
    """The first one."""
    addresses: str
    """A comma around and between them."""
    tags: str
    """A comma around and between them; empty for none."""
    routes: str
    """A comma around and between them; empty for none."""
    online: str
    """true, false or unknown."""
    expired: str
    """true or false."""
    user: str
    """Login name of the owner, or empty."""
    shared_in: str
    """true or false."""
    sharer: str
    """Login name, or empty."""
    jailed: str
    """true or false."""
    wireguard_only: str
    """true or false."""
    os: str
    """ "linux", "macOS", ..."""
    hostname: str
    """What the machine calls itself."""
    domain: str
    """Name of the tailnet, for people."""
    tailnet: str
    """The tailnet's name here; "default" where there is one."""
    own: str = field(name="__meta_netmap_self")
    """true or false."""
    state: str
    """fresh or stale."""
    tailscale_api: str = field(name="__meta_tailscale_api")
    """localhost."""
    device_authorized: str = field(name="__meta_tailscale_device_authorized")
    """true."""
    device_hostname: str | UnsetType = field(default=UNSET, name="__meta_tailscale_device_hostname")
    """Absent when empty, as the next four."""
    device_id: str | UnsetType = field(default=UNSET, name="__meta_tailscale_device_id")
    """The stable id."""
    device_name: str | UnsetType = field(default=UNSET, name="__meta_tailscale_device_name")
    """Fully qualified."""
    device_os: str | UnsetType = field(default=UNSET, name="__meta_tailscale_device_os")
    """ "linux", "macOS", ..."""
    tailscale_tailnet: str | UnsetType = field(default=UNSET, name="__meta_tailscale_tailnet")
    """The domain."""
    device_online: str | UnsetType = field(default=UNSET, name="__meta_tailscale_device_online")
    """true or false; absent while unknown."""


class TargetGroup(_Answer):
    """One node as a target for Prometheus."""

    targets: list[str]
    """One: its first address, with the port that was asked for."""
    labels: TargetLabels
    """For relabelling."""
