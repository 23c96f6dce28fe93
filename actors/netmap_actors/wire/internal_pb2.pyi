from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Envelope(_message.Message):
    __slots__ = ("version", "run", "actor", "incarnation", "number", "hello", "ready", "heartbeat", "stop", "degraded", "stage_entered", "map_response_received", "progress", "session_ended", "login_needed", "connection_info", "registered", "map_text_arrived", "verdict", "probe", "probe_result", "resync", "truth_probe", "connection_started", "freeze", "dev_command", "dev_reply", "status_request", "status_reply", "black_hole", "occurred", "occurrences_kept")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    STAGE_ENTERED_FIELD_NUMBER: _ClassVar[int]
    MAP_RESPONSE_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ENDED_FIELD_NUMBER: _ClassVar[int]
    LOGIN_NEEDED_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_INFO_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    MAP_TEXT_ARRIVED_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    PROBE_RESULT_FIELD_NUMBER: _ClassVar[int]
    RESYNC_FIELD_NUMBER: _ClassVar[int]
    TRUTH_PROBE_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_STARTED_FIELD_NUMBER: _ClassVar[int]
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    DEV_COMMAND_FIELD_NUMBER: _ClassVar[int]
    DEV_REPLY_FIELD_NUMBER: _ClassVar[int]
    STATUS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    STATUS_REPLY_FIELD_NUMBER: _ClassVar[int]
    BLACK_HOLE_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_KEPT_FIELD_NUMBER: _ClassVar[int]
    version: int
    run: bytes
    actor: str
    incarnation: int
    number: int
    hello: Hello
    ready: Ready
    heartbeat: Heartbeat
    stop: Stop
    degraded: Degraded
    stage_entered: StageEntered
    map_response_received: MapResponseReceived
    progress: Progress
    session_ended: SessionEnded
    login_needed: LoginNeeded
    connection_info: ConnectionInfo
    registered: Registered
    map_text_arrived: MapTextArrived
    verdict: Verdict
    probe: Probe
    probe_result: ProbeResult
    resync: Resync
    truth_probe: TruthProbe
    connection_started: ConnectionStarted
    freeze: Freeze
    dev_command: DevCommand
    dev_reply: DevReply
    status_request: StatusRequest
    status_reply: StatusReply
    black_hole: BlackHole
    occurred: Occurred
    occurrences_kept: OccurrencesKept
    def __init__(self, version: _Optional[int] = ..., run: _Optional[bytes] = ..., actor: _Optional[str] = ..., incarnation: _Optional[int] = ..., number: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., ready: _Optional[_Union[Ready, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., stop: _Optional[_Union[Stop, _Mapping]] = ..., degraded: _Optional[_Union[Degraded, _Mapping]] = ..., stage_entered: _Optional[_Union[StageEntered, _Mapping]] = ..., map_response_received: _Optional[_Union[MapResponseReceived, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., session_ended: _Optional[_Union[SessionEnded, _Mapping]] = ..., login_needed: _Optional[_Union[LoginNeeded, _Mapping]] = ..., connection_info: _Optional[_Union[ConnectionInfo, _Mapping]] = ..., registered: _Optional[_Union[Registered, _Mapping]] = ..., map_text_arrived: _Optional[_Union[MapTextArrived, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., probe_result: _Optional[_Union[ProbeResult, _Mapping]] = ..., resync: _Optional[_Union[Resync, _Mapping]] = ..., truth_probe: _Optional[_Union[TruthProbe, _Mapping]] = ..., connection_started: _Optional[_Union[ConnectionStarted, _Mapping]] = ..., freeze: _Optional[_Union[Freeze, _Mapping]] = ..., dev_command: _Optional[_Union[DevCommand, _Mapping]] = ..., dev_reply: _Optional[_Union[DevReply, _Mapping]] = ..., status_request: _Optional[_Union[StatusRequest, _Mapping]] = ..., status_reply: _Optional[_Union[StatusReply, _Mapping]] = ..., black_hole: _Optional[_Union[BlackHole, _Mapping]] = ..., occurred: _Optional[_Union[Occurred, _Mapping]] = ..., occurrences_kept: _Optional[_Union[OccurrencesKept, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("pid", "time_namespace")
    PID_FIELD_NUMBER: _ClassVar[int]
    TIME_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    pid: int
    time_namespace: str
    def __init__(self, pid: _Optional[int] = ..., time_namespace: _Optional[str] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("facts",)
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FACTS_FIELD_NUMBER: _ClassVar[int]
    facts: _containers.ScalarMap[str, str]
    def __init__(self, facts: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("number", "rss_bytes", "publisher", "liveness", "connection", "dev_control", "webhooks", "counters", "confinement")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ConfinementEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    PUBLISHER_FIELD_NUMBER: _ClassVar[int]
    LIVENESS_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    DEV_CONTROL_FIELD_NUMBER: _ClassVar[int]
    WEBHOOKS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    CONFINEMENT_FIELD_NUMBER: _ClassVar[int]
    number: int
    rss_bytes: int
    publisher: PublisherStatistics
    liveness: LivenessStatistics
    connection: ConnectionStatistics
    dev_control: DevControlStatistics
    webhooks: _containers.RepeatedCompositeFieldContainer[WebhookStatistics]
    counters: _containers.ScalarMap[str, int]
    confinement: _containers.ScalarMap[str, int]
    def __init__(self, number: _Optional[int] = ..., rss_bytes: _Optional[int] = ..., publisher: _Optional[_Union[PublisherStatistics, _Mapping]] = ..., liveness: _Optional[_Union[LivenessStatistics, _Mapping]] = ..., connection: _Optional[_Union[ConnectionStatistics, _Mapping]] = ..., dev_control: _Optional[_Union[DevControlStatistics, _Mapping]] = ..., webhooks: _Optional[_Iterable[_Union[WebhookStatistics, _Mapping]]] = ..., counters: _Optional[_Mapping[str, int]] = ..., confinement: _Optional[_Mapping[str, int]] = ...) -> None: ...

class PublisherStatistics(_message.Message):
    __slots__ = ("state", "last_received_at", "epoch", "seq", "peers", "peers_online", "peers_unknown", "quarantined", "domain", "self_name", "self_stable_id", "self_addresses", "subscribers", "generation", "session", "self_key_expiry", "self_machine_authorized", "state_since")
    STATE_FIELD_NUMBER: _ClassVar[int]
    LAST_RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    PEERS_ONLINE_FIELD_NUMBER: _ClassVar[int]
    PEERS_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SELF_NAME_FIELD_NUMBER: _ClassVar[int]
    SELF_STABLE_ID_FIELD_NUMBER: _ClassVar[int]
    SELF_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SELF_KEY_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    SELF_MACHINE_AUTHORIZED_FIELD_NUMBER: _ClassVar[int]
    STATE_SINCE_FIELD_NUMBER: _ClassVar[int]
    state: str
    last_received_at: float
    epoch: int
    seq: int
    peers: int
    peers_online: int
    peers_unknown: int
    quarantined: int
    domain: str
    self_name: str
    self_stable_id: str
    self_addresses: _containers.RepeatedScalarFieldContainer[str]
    subscribers: int
    generation: int
    session: int
    self_key_expiry: str
    self_machine_authorized: bool
    state_since: float
    def __init__(self, state: _Optional[str] = ..., last_received_at: _Optional[float] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., peers: _Optional[int] = ..., peers_online: _Optional[int] = ..., peers_unknown: _Optional[int] = ..., quarantined: _Optional[int] = ..., domain: _Optional[str] = ..., self_name: _Optional[str] = ..., self_stable_id: _Optional[str] = ..., self_addresses: _Optional[_Iterable[str]] = ..., subscribers: _Optional[int] = ..., generation: _Optional[int] = ..., session: _Optional[int] = ..., self_key_expiry: _Optional[str] = ..., self_machine_authorized: bool = ..., state_since: _Optional[float] = ...) -> None: ...

class LivenessStatistics(_message.Message):
    __slots__ = ("generation", "session", "stage", "last_received_at", "deadline_at", "foreign_dropped")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_AT_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_DROPPED_FIELD_NUMBER: _ClassVar[int]
    generation: int
    session: int
    stage: str
    last_received_at: float
    deadline_at: float
    foreign_dropped: int
    def __init__(self, generation: _Optional[int] = ..., session: _Optional[int] = ..., stage: _Optional[str] = ..., last_received_at: _Optional[float] = ..., deadline_at: _Optional[float] = ..., foreign_dropped: _Optional[int] = ...) -> None: ...

class ConnectionStatistics(_message.Message):
    __slots__ = ("stage", "session", "map_responses", "bytes_received", "stream_window", "connection_window")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    MAP_RESPONSES_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    STREAM_WINDOW_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_WINDOW_FIELD_NUMBER: _ClassVar[int]
    stage: str
    session: int
    map_responses: int
    bytes_received: int
    stream_window: int
    connection_window: int
    def __init__(self, stage: _Optional[str] = ..., session: _Optional[int] = ..., map_responses: _Optional[int] = ..., bytes_received: _Optional[int] = ..., stream_window: _Optional[int] = ..., connection_window: _Optional[int] = ...) -> None: ...

class DevControlStatistics(_message.Message):
    __slots__ = ("nodes", "clients", "map_streams")
    NODES_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    MAP_STREAMS_FIELD_NUMBER: _ClassVar[int]
    nodes: int
    clients: int
    map_streams: int
    def __init__(self, nodes: _Optional[int] = ..., clients: _Optional[int] = ..., map_streams: _Optional[int] = ...) -> None: ...

class WebhookStatistics(_message.Message):
    __slots__ = ("name", "delivered", "attempts", "failed", "given_up", "suppressed", "lost", "pending", "delivered_at", "failure")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_FIELD_NUMBER: _ClassVar[int]
    SUPPRESSED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_AT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    delivered: int
    attempts: int
    failed: int
    given_up: int
    suppressed: int
    lost: int
    pending: int
    delivered_at: float
    failure: str
    def __init__(self, name: _Optional[str] = ..., delivered: _Optional[int] = ..., attempts: _Optional[int] = ..., failed: _Optional[int] = ..., given_up: _Optional[int] = ..., suppressed: _Optional[int] = ..., lost: _Optional[int] = ..., pending: _Optional[int] = ..., delivered_at: _Optional[float] = ..., failure: _Optional[str] = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Degraded(_message.Message):
    __slots__ = ("code", "text", "active")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    active: bool
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., active: bool = ...) -> None: ...

class StageEntered(_message.Message):
    __slots__ = ("generation", "session", "stage", "since", "limit")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    generation: int
    session: int
    stage: str
    since: float
    limit: float
    def __init__(self, generation: _Optional[int] = ..., session: _Optional[int] = ..., stage: _Optional[str] = ..., since: _Optional[float] = ..., limit: _Optional[float] = ...) -> None: ...

class MapResponseReceived(_message.Message):
    __slots__ = ("generation", "session", "number", "received_at", "size", "keep_alive", "present_since", "sent_since", "passed_on")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    KEEP_ALIVE_FIELD_NUMBER: _ClassVar[int]
    PRESENT_SINCE_FIELD_NUMBER: _ClassVar[int]
    SENT_SINCE_FIELD_NUMBER: _ClassVar[int]
    PASSED_ON_FIELD_NUMBER: _ClassVar[int]
    generation: int
    session: int
    number: int
    received_at: float
    size: int
    keep_alive: bool
    present_since: float
    sent_since: float
    passed_on: int
    def __init__(self, generation: _Optional[int] = ..., session: _Optional[int] = ..., number: _Optional[int] = ..., received_at: _Optional[float] = ..., size: _Optional[int] = ..., keep_alive: bool = ..., present_since: _Optional[float] = ..., sent_since: _Optional[float] = ..., passed_on: _Optional[int] = ...) -> None: ...

class MapTextArrived(_message.Message):
    __slots__ = ("generation", "session", "number", "offset")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    generation: int
    session: int
    number: int
    offset: int
    def __init__(self, generation: _Optional[int] = ..., session: _Optional[int] = ..., number: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("generation", "session", "stage", "stage_since", "limit", "last_number", "last_received_at", "drained_at", "paused", "paused_since")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STAGE_SINCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    LAST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LAST_RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    DRAINED_AT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_SINCE_FIELD_NUMBER: _ClassVar[int]
    generation: int
    session: int
    stage: str
    stage_since: float
    limit: float
    last_number: int
    last_received_at: float
    drained_at: float
    paused: bool
    paused_since: float
    def __init__(self, generation: _Optional[int] = ..., session: _Optional[int] = ..., stage: _Optional[str] = ..., stage_since: _Optional[float] = ..., limit: _Optional[float] = ..., last_number: _Optional[int] = ..., last_received_at: _Optional[float] = ..., drained_at: _Optional[float] = ..., paused: bool = ..., paused_since: _Optional[float] = ...) -> None: ...

class SessionEnded(_message.Message):
    __slots__ = ("generation", "session", "reason", "stage", "detail", "retry_after", "had_map")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    HAD_MAP_FIELD_NUMBER: _ClassVar[int]
    generation: int
    session: int
    reason: str
    stage: str
    detail: str
    retry_after: float
    had_map: bool
    def __init__(self, generation: _Optional[int] = ..., session: _Optional[int] = ..., reason: _Optional[str] = ..., stage: _Optional[str] = ..., detail: _Optional[str] = ..., retry_after: _Optional[float] = ..., had_map: bool = ...) -> None: ...

class LoginNeeded(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class ConnectionInfo(_message.Message):
    __slots__ = ("generation", "local_address", "remote_address", "server_key", "proxy", "previous_hostname", "hostname", "addresses")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REMOTE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SERVER_KEY_FIELD_NUMBER: _ClassVar[int]
    PROXY_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    local_address: str
    remote_address: str
    server_key: str
    proxy: str
    previous_hostname: str
    hostname: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, generation: _Optional[int] = ..., local_address: _Optional[str] = ..., remote_address: _Optional[str] = ..., server_key: _Optional[str] = ..., proxy: _Optional[str] = ..., previous_hostname: _Optional[str] = ..., hostname: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class Registered(_message.Message):
    __slots__ = ("generation", "machine_authorized", "user")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MACHINE_AUTHORIZED_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    generation: int
    machine_authorized: bool
    user: str
    def __init__(self, generation: _Optional[int] = ..., machine_authorized: bool = ..., user: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("generation", "session", "stage", "silent_for", "reason")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SILENT_FOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    generation: int
    session: int
    stage: str
    silent_for: float
    reason: str
    def __init__(self, generation: _Optional[int] = ..., session: _Optional[int] = ..., stage: _Optional[str] = ..., silent_for: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("token", "reason", "timeout")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    token: int
    reason: str
    timeout: float
    def __init__(self, token: _Optional[int] = ..., reason: _Optional[str] = ..., timeout: _Optional[float] = ...) -> None: ...

class ProbeResult(_message.Message):
    __slots__ = ("token", "generation", "answered", "round_trip")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    ROUND_TRIP_FIELD_NUMBER: _ClassVar[int]
    token: int
    generation: int
    answered: bool
    round_trip: float
    def __init__(self, token: _Optional[int] = ..., generation: _Optional[int] = ..., answered: bool = ..., round_trip: _Optional[float] = ...) -> None: ...

class Resync(_message.Message):
    __slots__ = ("reason", "generation")
    REASON_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    reason: str
    generation: int
    def __init__(self, reason: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class TruthProbe(_message.Message):
    __slots__ = ("generation", "outcome", "detail", "wake")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    WAKE_FIELD_NUMBER: _ClassVar[int]
    generation: int
    outcome: str
    detail: str
    wake: int
    def __init__(self, generation: _Optional[int] = ..., outcome: _Optional[str] = ..., detail: _Optional[str] = ..., wake: _Optional[int] = ...) -> None: ...

class ConnectionStarted(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: int
    def __init__(self, generation: _Optional[int] = ...) -> None: ...

class Freeze(_message.Message):
    __slots__ = ("seconds",)
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    def __init__(self, seconds: _Optional[float] = ...) -> None: ...

class BlackHole(_message.Message):
    __slots__ = ("seconds",)
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    def __init__(self, seconds: _Optional[float] = ...) -> None: ...

class DevCommand(_message.Message):
    __slots__ = ("token", "json")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    token: int
    json: bytes
    def __init__(self, token: _Optional[int] = ..., json: _Optional[bytes] = ...) -> None: ...

class DevReply(_message.Message):
    __slots__ = ("token", "ok", "json")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    token: int
    ok: bool
    json: bytes
    def __init__(self, token: _Optional[int] = ..., ok: bool = ..., json: _Optional[bytes] = ...) -> None: ...

class Occurred(_message.Message):
    __slots__ = ("at", "event", "fields", "number", "opened")
    AT_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    at: float
    event: str
    fields: bytes
    number: int
    opened: int
    def __init__(self, at: _Optional[float] = ..., event: _Optional[str] = ..., fields: _Optional[bytes] = ..., number: _Optional[int] = ..., opened: _Optional[int] = ...) -> None: ...

class OccurrencesKept(_message.Message):
    __slots__ = ("number", "opened")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    number: int
    opened: int
    def __init__(self, number: _Optional[int] = ..., opened: _Optional[int] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: int
    def __init__(self, token: _Optional[int] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("token", "json")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    token: int
    json: bytes
    def __init__(self, token: _Optional[int] = ..., json: _Optional[bytes] = ...) -> None: ...

class AdminRequest(_message.Message):
    __slots__ = ("command", "arguments")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    command: str
    arguments: bytes
    def __init__(self, command: _Optional[str] = ..., arguments: _Optional[bytes] = ...) -> None: ...

class AdminReply(_message.Message):
    __slots__ = ("ok", "json")
    OK_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    json: bytes
    def __init__(self, ok: bool = ..., json: _Optional[bytes] = ...) -> None: ...
