"""The boot record of a child process, passed over a private socket and never in argv or environment.

The Supervisor writes a Boot as JSON; `process.bootstrap` reads it. It holds the secrets that authenticate messages, and
for control_connection only, those of the Supervisor's environment.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

__all__ = [
    "BOOT_TYPES",
    "MAX_MAP_RESPONSE",
    "MAX_PEERS",
    "MAX_WEBHOOKS",
    "PAUSE_LIMIT",
    "SILENCE_TIMEOUT",
    "Boot",
    "ConnectionSettings",
    "DevControlSettings",
    "Endpoints",
    "EnvironmentSecrets",
    "HistorySettings",
    "HttpSettings",
    "LivenessSettings",
    "PublisherSettings",
    "Secrets",
    "WebhooksSettings",
    "decode_settings",
]

PAUSE_LIMIT: Final = 30.0
"""Seconds a publisher may accept nothing from the connection before it is restarted."""
MAX_MAP_RESPONSE: Final = 256 << 20
"""Default of `limits.max_map_response`: bytes of a MapResponse, on the wire as well as decoded."""
MAX_PEERS: Final = 1_000_000
"""Default of `limits.max_peers`: a thousand times the largest known tailnets; the netmap takes most of a gigabyte."""
MAX_WEBHOOKS: Final = 16
SILENCE_TIMEOUT: Final = 120.0
"""Default of `liveness.silence_timeout`: seconds without a MapResponse after which a connection is dead."""

_T = TypeVar("_T")


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """ZeroMQ endpoints of one run; the first three lie in the run's own directory (0700)."""

    supervisor: str
    """ROUTER, bound by the Supervisor."""
    liveness: str
    """PULL of liveness."""
    publisher: str
    """PULL of publisher."""
    updates: str
    """XPUB of publisher, for subscribers."""
    requests: str
    """ROUTER of publisher, for subscribers."""
    history: str = ""
    """ROUTER of history, for who may subscribe; empty: there is none."""
    recording: str = ""
    """Where the publisher has the session recorded: a plain unix socket for the owner, which it is handed; empty:
    nowhere."""


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets that authenticate the messages of this process, each as `wire.secret.Secret.text`."""

    supervisor: str
    """Between this process and the Supervisor, both ways."""
    inbox: str = ""
    """liveness and publisher: the secrets of all their connections are derived from it."""
    liveness: str = ""
    """control_connection: between this process and liveness."""
    publisher: str = ""
    """control_connection: between this process and the publisher."""
    sessions: str = ""
    """http_endpoint: proves the sessions of browsers, the same in the whole run."""

    def __repr__(self) -> str:
        return "Secrets(...)"


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """One child's start."""

    run: str
    """16 hex digits, random per Supervisor start."""
    actor: str
    generation: int = msgspec.field(name="incarnation")
    """1 for the first process of this actor in the run, 2 for the next."""
    parent_pid: int
    life_fd: int
    """Read end of a pipe whose write end only the Supervisor holds: end of file means that it is gone."""
    endpoints: Endpoints
    listeners: dict[str, int] = {}
    """By endpoint: descriptors of unix sockets that listen there; what it listens on besides it binds itself."""
    secrets: Secrets
    connect_ports: tuple[int, ...] = ()
    """TCP ports it connects to (`ActorBase.connect_ports`), added by the process itself."""
    locks: tuple[str, ...] = ()
    """Files on which it holds a shared lock: no other daemon uses their directories while it lives."""
    heartbeat_interval: float = 5.0
    memory_limit: int = 0
    """Bytes of address space; 0: no bound."""
    settings: msgspec.Raw = msgspec.Raw(b"{}")
    """The actor's own settings struct, as JSON."""

    def __repr__(self) -> str:
        return f"<boot record of {self.actor}, generation {self.generation}>"


class EnvironmentSecrets(msgspec.Struct, frozen=True):
    """Values of the Supervisor's environment; its repr hides them."""

    values: dict[str, str] = {}
    """By variable: `*_proxy` and the auth key's."""

    def __repr__(self) -> str:
        return f"<{len(self.values)} secrets>"


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of control_connection. Durations in seconds."""

    control_url: str
    """http(s)://host[:port], no path, no trailing slash."""
    state_dir: str
    """Directory of this control URL (0700): node file, registration."""
    embedded: bool = False
    auth_key: str = ""
    """`file:PATH`, `env:NAME` or empty."""
    secrets: EnvironmentSecrets = EnvironmentSecrets()
    hostname: str = ""
    """Empty: the machine's own."""
    ephemeral: bool = False
    request_tags: tuple[str, ...] = ()
    ca_file: str = ""
    """Extra CA certificates (PEM), besides the system's."""
    proxy: str = "environment"
    """`environment`, `off` or the URL of a proxy without user and password."""
    insecure_key_fetch: bool = False
    """Accept /key over plain http from a name or a public address."""
    accept_changed_key: bool = False
    """Pin the server's key anew when it changed."""
    silence_timeout: float = SILENCE_TIMEOUT
    resolve_limit: float = 12.0
    connect_limit: float = 10.0
    handshake_limit: float = 15.0
    register_limit: float = 30.0
    max_map_response: int = MAX_MAP_RESPONSE
    register_first: bool = False
    """Register even though this node key is known to be registered (after removed, expired, a changed key)."""
    on_removed: str = "stop"
    """`register` or `stop`: may an auth key undo an administrator's removal of the node?"""
    had_session: bool = False
    """An earlier process of this run had a map session: a refused auth key or a changed control key no longer ends
    `run`."""
    avoid: tuple[str, ...] = ()
    """Addresses, as this process reports them, that are tried last, as earlier attempts stalled there; oldest first."""


class LivenessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of liveness. Durations in seconds."""

    silence_timeout: float = SILENCE_TIMEOUT
    hung_grace: float = 1.0
    """After the deadline, for the Progress that proves an empty socket buffer."""
    pause_limit: float = PAUSE_LIMIT


class PublisherSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of publisher."""

    silence_timeout: float = SILENCE_TIMEOUT
    heartbeat_interval: float = 2.0
    ring_bytes: int = 16 * 1024 * 1024
    """Bound of the catch-up ring."""
    socket_group: str = ""
    """Group that may reach the subscribers' sockets; empty: only the owner."""
    listen: str = ""
    """tcp://ADDRESS:PORT for subscribers of other machines, the port after it for their requests; empty: none."""
    curve_dir: str = ""
    """Where the CURVE keys of `listen` are; empty: plain TCP."""
    max_remote: int = 1024
    """Connections to each of the two TCP sockets, unauthenticated ones included."""
    max_map_response: int = MAX_MAP_RESPONSE
    max_peers: int = MAX_PEERS
    control_url: str = ""


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of http_endpoint."""

    listen: str
    """ADDRESS:PORT, or unix:PATH."""
    socket_group: str = ""
    """Group that may connect to the unix socket; empty: only the owner."""
    tls_cert: str = ""
    """PEM file of the certificate chain; empty: no TLS."""
    tls_key: str = ""
    """PEM file of its key."""
    token_required: bool = False
    """Requests need a token; so it is wherever another machine can ask."""
    tokens: str = ""
    """Directory of the tokens."""
    tailnet: str = "default"


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of history."""

    directory: str
    """Its own (0700)."""
    keep: float = 7 * 86400.0
    """Seconds for which what ended is kept."""
    max_bytes: int = 64 << 20
    """Of the file; the oldest goes first."""
    socket_group: str = ""
    """Group that may ask; empty: only the owner."""
    server: str = ""
    """The control server's name among those of the state directory: nodes of another one are others."""
    tailnet: str = "default"


class WebhooksSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of webhooks."""

    directory: str
    """Its own (0700)."""
    webhooks: msgspec.Raw
    """A list of `netmap_actors.webhooks.spec.WebhookSpec`, as JSON."""
    files: tuple[str, ...] = ()
    """What these name."""
    templates: tuple[str, ...] = ()
    """Directories of templates, which may include others of theirs."""
    ca_file: str = ""
    """As in ConnectionSettings."""
    proxy: str = "environment"
    """The same."""
    secrets: EnvironmentSecrets = EnvironmentSecrets()
    """The proxies of the environment."""
    tailnet: str = "default"


class DevControlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of dev_control, the embedded control server."""

    state_dir: str
    """Keys and auth key of the embedded server (0700)."""
    listen_fd: int
    """A bound and listening TCP socket."""
    nodes: int = 8
    seed: int = 1
    churn: float = 0.3
    """Changes of the simulated tailnet per second."""
    keep_alive: float = 50.0
    keep_alive_jitter: float = 9.0


BOOT_TYPES: Final = (Boot, ConnectionSettings, LivenessSettings, PublisherSettings, HttpSettings)
"""What the processes decode at their start; of the embedded server's settings there is one process, and one run."""


def decode_settings(boot: Boot, kind: type[_T]) -> _T:
    """The actor's settings. Raises msgspec.ValidationError."""
    return msgspec.json.decode(boot.settings, type=kind)
