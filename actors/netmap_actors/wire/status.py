"""What `status --json` and /status show: frozen values, one to one with the documented JSON, and what StatusReply has.

Not here: where the figures come from, which is the Supervisor.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "ActorStatus",
    "ConnectionStatus",
    "ControlStatus",
    "DegradedStatus",
    "HttpStatus",
    "LastEnd",
    "LivenessStatus",
    "NetmapStatus",
    "NurseryStatus",
    "SelfStatus",
    "StatusReport",
    "WebhookStatus",
]


class ControlStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The control server."""

    url: str
    embedded: bool
    server_key: str | None
    """Its public machine key (`mkey:…`), once a connection knows it."""


class SelfStatus(msgspec.Struct, frozen=True, kw_only=True):
    """This node in the netmap."""

    name: str
    stable_id: str
    addresses: tuple[str, ...]


class NetmapStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The netmap the publisher holds."""

    state: str
    """none, fresh or stale."""
    age_s: float | None
    """CLOCK_BOOTTIME seconds since the last complete MapResponse; None: there was none."""
    state_since: str | None = None
    """When the publisher's state became this one, RFC 3339, by the wall clock of now; None: it is none, or not the
    publisher's."""
    epoch: int
    seq: int
    peers: int
    peers_online: int
    peers_unknown: int
    domain: str
    self_node: SelfStatus | None = msgspec.field(name="self")


class LastEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How the last connection ended."""

    reason: str
    stage: str
    detail: str
    at: str
    """RFC 3339, wall clock."""
    generation: int


class ConnectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The control connection."""

    state: str
    """starting, resolving, connecting, handshaking, registering, login_needed, awaiting_approval, map_session,
    backing_off or stopped."""
    generation: int
    pid: int | None
    local_address: str | None
    remote_address: str | None
    proxy: str | None
    """scheme://host:port of the HTTP proxy, which is then at `remote_address`."""
    session_age_s: float | None
    sessions: int
    """Map sessions since the start of the run."""
    attempts: int
    """Processes since the start of the run."""
    ended: dict[str, int]
    """Connections by the reason of their end."""
    last_end: LastEnd | None
    next_attempt_s: float | None
    auth_url: str | None
    """Where a person has to log in; only for who may give orders: see StatusReport.for_readers."""


class LivenessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The silence deadline."""

    silence_timeout_s: float
    silent_s: float | None
    deadline_in_s: float | None


class DegradedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that needs attention."""

    code: str
    text: str
    since: str
    """RFC 3339, wall clock."""


class ActorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process."""

    name: str
    pid: int | None
    state: str
    """active, backoff, error or inactive."""
    generation: int
    restarts: int
    last_exit: str | None
    uptime_s: float | None
    rss_bytes: int | None
    """Resident memory; None until the process has sent its first heartbeat, soon after it is active."""
    system_calls: str | None = None
    """How it is held to the system calls it needs: counted (refusals are), refused or off; None: it is not up."""
    refused_calls: dict[str, int] = {}
    """System calls refused to its processes in this run, by name."""
    confinement: dict[str, int] = {}
    """What holds the process to what it needs: `landlock` (its version, 0: none), `capabilities` (how many it kept).
    Empty until it has reported."""


class HttpStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP endpoint, as it is set up."""

    listen: str
    """ADDRESS:PORT or unix:PATH."""
    tls: bool
    token_required: bool
    """Other machines reach it. Without `tls` what they ask and are told is in clear, tokens included."""


class WebhookStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook. Counts are since it was new."""

    tailnet: str
    name: str
    delivered: int
    """Events."""
    attempts: int
    """Requests."""
    failed: int
    """Of these, what delivered nothing."""
    given_up: int
    """Events that got older than its `retry_for`."""
    suppressed: int
    """Events of states that were over within its `hold_down`."""
    lost: int
    """What the history no longer had when it was to be told."""
    pending: int
    """Events that wait."""
    last_success: str | None
    """RFC 3339, wall clock; None: never."""
    failure: str
    """Why the last request failed; empty after one that delivered."""


class NurseryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The process that forks the children."""

    pid: int
    generation: int
    forked: int
    """Children it and those before it have forked."""


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report."""

    version: str
    pid: int
    uptime_s: float
    control: ControlStatus
    netmap: NetmapStatus
    connection: ConnectionStatus
    liveness: LivenessStatus
    degraded: tuple[DegradedStatus, ...]
    actors: tuple[ActorStatus, ...]
    subscribers: int
    log_lines_suppressed: int = 0
    """Lines of the log that were one too many of their kind, since the start of the run."""
    webhooks: tuple[WebhookStatus, ...] = ()
    """As their process has reported them; empty without any."""
    nursery: NurseryStatus | None = None
    """None: there is none now; children are started by exec."""
    http: HttpStatus | None = None
    """None: there is no HTTP endpoint."""

    def for_readers(self) -> StatusReport:
        """For who may read and give no orders: who opens the address of a login decides whose node this is."""
        connection = msgspec.structs.replace(self.connection, auth_url=None)
        return msgspec.structs.replace(self, connection=connection)
