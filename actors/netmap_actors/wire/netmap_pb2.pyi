from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NetmapState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NETMAP_STATE_UNSPECIFIED: _ClassVar[NetmapState]
    NETMAP_STATE_NONE: _ClassVar[NetmapState]
    NETMAP_STATE_FRESH: _ClassVar[NetmapState]
    NETMAP_STATE_STALE: _ClassVar[NetmapState]
NETMAP_STATE_UNSPECIFIED: NetmapState
NETMAP_STATE_NONE: NetmapState
NETMAP_STATE_FRESH: NetmapState
NETMAP_STATE_STALE: NetmapState

class BusMessage(_message.Message):
    __slots__ = ("schema", "epoch", "seq", "topic_seq", "txn", "state", "age_s", "said_at", "peer_upserted", "peer_removed", "self_changed", "dns_changed", "packet_filter_changed", "derp_map_changed", "user_profiles_changed", "ssh_policy_changed", "domain_changed", "health_changed", "state_changed", "commit", "heartbeat", "settings_changed")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TOPIC_SEQ_FIELD_NUMBER: _ClassVar[int]
    TXN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    SAID_AT_FIELD_NUMBER: _ClassVar[int]
    PEER_UPSERTED_FIELD_NUMBER: _ClassVar[int]
    PEER_REMOVED_FIELD_NUMBER: _ClassVar[int]
    SELF_CHANGED_FIELD_NUMBER: _ClassVar[int]
    DNS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    PACKET_FILTER_CHANGED_FIELD_NUMBER: _ClassVar[int]
    DERP_MAP_CHANGED_FIELD_NUMBER: _ClassVar[int]
    USER_PROFILES_CHANGED_FIELD_NUMBER: _ClassVar[int]
    SSH_POLICY_CHANGED_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_CHANGED_FIELD_NUMBER: _ClassVar[int]
    HEALTH_CHANGED_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    schema: int
    epoch: int
    seq: int
    topic_seq: int
    txn: int
    state: NetmapState
    age_s: float
    said_at: float
    peer_upserted: Peer
    peer_removed: PeerRemoved
    self_changed: Peer
    dns_changed: Document
    packet_filter_changed: Document
    derp_map_changed: Document
    user_profiles_changed: UserProfilesChanged
    ssh_policy_changed: Document
    domain_changed: DomainChanged
    health_changed: Document
    state_changed: StateChanged
    commit: Commit
    heartbeat: Heartbeat
    settings_changed: Document
    def __init__(self, schema: _Optional[int] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., topic_seq: _Optional[int] = ..., txn: _Optional[int] = ..., state: _Optional[_Union[NetmapState, str]] = ..., age_s: _Optional[float] = ..., said_at: _Optional[float] = ..., peer_upserted: _Optional[_Union[Peer, _Mapping]] = ..., peer_removed: _Optional[_Union[PeerRemoved, _Mapping]] = ..., self_changed: _Optional[_Union[Peer, _Mapping]] = ..., dns_changed: _Optional[_Union[Document, _Mapping]] = ..., packet_filter_changed: _Optional[_Union[Document, _Mapping]] = ..., derp_map_changed: _Optional[_Union[Document, _Mapping]] = ..., user_profiles_changed: _Optional[_Union[UserProfilesChanged, _Mapping]] = ..., ssh_policy_changed: _Optional[_Union[Document, _Mapping]] = ..., domain_changed: _Optional[_Union[DomainChanged, _Mapping]] = ..., health_changed: _Optional[_Union[Document, _Mapping]] = ..., state_changed: _Optional[_Union[StateChanged, _Mapping]] = ..., commit: _Optional[_Union[Commit, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., settings_changed: _Optional[_Union[Document, _Mapping]] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("stable_id", "id", "name", "addresses", "allowed_ips", "online", "last_seen", "tags", "user_id", "os", "hostname", "routes", "key", "key_expiry", "expired", "home_derp", "endpoints", "machine_key", "disco_key", "created", "cap", "sharer_id", "jailed", "wireguard_only", "json", "decoded")
    STABLE_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_IPS_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    OS_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    HOME_DERP_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    MACHINE_KEY_FIELD_NUMBER: _ClassVar[int]
    DISCO_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    CAP_FIELD_NUMBER: _ClassVar[int]
    SHARER_ID_FIELD_NUMBER: _ClassVar[int]
    JAILED_FIELD_NUMBER: _ClassVar[int]
    WIREGUARD_ONLY_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    DECODED_FIELD_NUMBER: _ClassVar[int]
    stable_id: str
    id: int
    name: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    allowed_ips: _containers.RepeatedScalarFieldContainer[str]
    online: bool
    last_seen: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    user_id: int
    os: str
    hostname: str
    routes: _containers.RepeatedScalarFieldContainer[str]
    key: str
    key_expiry: str
    expired: bool
    home_derp: int
    endpoints: _containers.RepeatedScalarFieldContainer[str]
    machine_key: str
    disco_key: str
    created: str
    cap: int
    sharer_id: int
    jailed: bool
    wireguard_only: bool
    json: bytes
    decoded: bool
    def __init__(self, stable_id: _Optional[str] = ..., id: _Optional[int] = ..., name: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., allowed_ips: _Optional[_Iterable[str]] = ..., online: bool = ..., last_seen: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., user_id: _Optional[int] = ..., os: _Optional[str] = ..., hostname: _Optional[str] = ..., routes: _Optional[_Iterable[str]] = ..., key: _Optional[str] = ..., key_expiry: _Optional[str] = ..., expired: bool = ..., home_derp: _Optional[int] = ..., endpoints: _Optional[_Iterable[str]] = ..., machine_key: _Optional[str] = ..., disco_key: _Optional[str] = ..., created: _Optional[str] = ..., cap: _Optional[int] = ..., sharer_id: _Optional[int] = ..., jailed: bool = ..., wireguard_only: bool = ..., json: _Optional[bytes] = ..., decoded: bool = ...) -> None: ...

class PeerRemoved(_message.Message):
    __slots__ = ("stable_id", "id")
    STABLE_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    stable_id: str
    id: int
    def __init__(self, stable_id: _Optional[str] = ..., id: _Optional[int] = ...) -> None: ...

class Document(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    def __init__(self, json: _Optional[bytes] = ...) -> None: ...

class UserProfile(_message.Message):
    __slots__ = ("id", "login_name", "display_name", "profile_pic_url", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    LOGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    PROFILE_PIC_URL_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: int
    login_name: str
    display_name: str
    profile_pic_url: str
    json: bytes
    def __init__(self, id: _Optional[int] = ..., login_name: _Optional[str] = ..., display_name: _Optional[str] = ..., profile_pic_url: _Optional[str] = ..., json: _Optional[bytes] = ...) -> None: ...

class UserProfilesChanged(_message.Message):
    __slots__ = ("upserted", "removed")
    UPSERTED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    upserted: _containers.RepeatedCompositeFieldContainer[UserProfile]
    removed: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, upserted: _Optional[_Iterable[_Union[UserProfile, _Mapping]]] = ..., removed: _Optional[_Iterable[int]] = ...) -> None: ...

class DomainChanged(_message.Message):
    __slots__ = ("domain",)
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    domain: str
    def __init__(self, domain: _Optional[str] = ...) -> None: ...

class StateChanged(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("txn", "seq", "topic_seq", "updates")
    class TopicSeqEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TXN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TOPIC_SEQ_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    txn: int
    seq: int
    topic_seq: _containers.ScalarMap[str, int]
    updates: int
    def __init__(self, txn: _Optional[int] = ..., seq: _Optional[int] = ..., topic_seq: _Optional[_Mapping[str, int]] = ..., updates: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("last_commit",)
    LAST_COMMIT_FIELD_NUMBER: _ClassVar[int]
    last_commit: Commit
    def __init__(self, last_commit: _Optional[_Union[Commit, _Mapping]] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("schema", "token", "epoch", "seq")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    schema: int
    token: bytes
    epoch: int
    seq: int
    def __init__(self, schema: _Optional[int] = ..., token: _Optional[bytes] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("schema", "token", "epoch", "seq", "state", "age_s", "said_at", "part", "last", "not_yet", "catch_up", "snapshot")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    SAID_AT_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    NOT_YET_FIELD_NUMBER: _ClassVar[int]
    CATCH_UP_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    schema: int
    token: bytes
    epoch: int
    seq: int
    state: NetmapState
    age_s: float
    said_at: float
    part: int
    last: bool
    not_yet: NotYet
    catch_up: CatchUp
    snapshot: SnapshotChunk
    def __init__(self, schema: _Optional[int] = ..., token: _Optional[bytes] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., state: _Optional[_Union[NetmapState, str]] = ..., age_s: _Optional[float] = ..., said_at: _Optional[float] = ..., part: _Optional[int] = ..., last: bool = ..., not_yet: _Optional[_Union[NotYet, _Mapping]] = ..., catch_up: _Optional[_Union[CatchUp, _Mapping]] = ..., snapshot: _Optional[_Union[SnapshotChunk, _Mapping]] = ...) -> None: ...

class NotYet(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CatchUp(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[CatchUpMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[CatchUpMessage, _Mapping]]] = ...) -> None: ...

class CatchUpMessage(_message.Message):
    __slots__ = ("topic", "message")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    message: bytes
    def __init__(self, topic: _Optional[str] = ..., message: _Optional[bytes] = ...) -> None: ...

class SnapshotChunk(_message.Message):
    __slots__ = ("peers", "self", "dns", "packet_filter", "derp_map", "user_profiles", "ssh_policy", "domain", "health", "settings", "peer_count", "topic_seq")
    class TopicSeqEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PEERS_FIELD_NUMBER: _ClassVar[int]
    SELF_FIELD_NUMBER: _ClassVar[int]
    DNS_FIELD_NUMBER: _ClassVar[int]
    PACKET_FILTER_FIELD_NUMBER: _ClassVar[int]
    DERP_MAP_FIELD_NUMBER: _ClassVar[int]
    USER_PROFILES_FIELD_NUMBER: _ClassVar[int]
    SSH_POLICY_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    PEER_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOPIC_SEQ_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedCompositeFieldContainer[Peer]
    self: Peer
    dns: bytes
    packet_filter: bytes
    derp_map: bytes
    user_profiles: _containers.RepeatedCompositeFieldContainer[UserProfile]
    ssh_policy: bytes
    domain: str
    health: bytes
    settings: bytes
    peer_count: int
    topic_seq: _containers.ScalarMap[str, int]
    def __init__(self_, peers: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ..., self: _Optional[_Union[Peer, _Mapping]] = ..., dns: _Optional[bytes] = ..., packet_filter: _Optional[bytes] = ..., derp_map: _Optional[bytes] = ..., user_profiles: _Optional[_Iterable[_Union[UserProfile, _Mapping]]] = ..., ssh_policy: _Optional[bytes] = ..., domain: _Optional[str] = ..., health: _Optional[bytes] = ..., settings: _Optional[bytes] = ..., peer_count: _Optional[int] = ..., topic_seq: _Optional[_Mapping[str, int]] = ...) -> None: ...
