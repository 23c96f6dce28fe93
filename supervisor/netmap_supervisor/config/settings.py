"""All settings of one run, as one frozen value.

Not here: where a value came from (flag, environment, file, default) and whether it is allowed; that is `config.layers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from netmap_actors.boot import MAX_MAP_RESPONSE, MAX_PEERS, SILENCE_TIMEOUT
from netmap_actors.wire.vocabulary import TAILNET

__all__ = ["EMBEDDED", "RunSettings"]

EMBEDDED = "embedded"
"""The control URL that means: start a control server of our own (dev_control)."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `run` needs. Durations in seconds, paths absolute, every value already checked."""

    control_url: str = EMBEDDED
    """`embedded`, or http(s)://host[:port] without path and trailing slash."""
    auth_key: str = ""
    """Where the auth key is read from: `file:PATH`, `env:NAME` or empty. Never the key. Unused when embedded."""
    hostname: str = ""
    """Empty: the machine's own."""
    ephemeral: bool = False
    request_tags: tuple[str, ...] = ()
    state_dir: str
    """Holds one directory per control URL, and the lock of this run. Made (0700) when missing."""
    runtime_dir: str
    """Holds the sockets. Made when missing."""
    silence_timeout: float = SILENCE_TIMEOUT
    truth_interval: float = 600.0
    """0 = off."""
    probe_timeout: float = 5.0
    probe_interval: float = 0.0
    """0 = off."""
    ca_file: str = ""
    """Extra CA certificates (PEM), besides the system's."""
    proxy: str = "environment"
    """`environment` (HTTPS_PROXY and its like), `off`, or http(s)://host:port."""
    insecure_key_fetch: bool = False
    accept_changed_key: bool = False
    on_removed: str = "stop"
    """`register` or `stop`."""
    socket_group: str = ""
    """Group that may reach the subscribers' sockets; empty: only the owner."""
    listen: str = ""
    """tcp://ADDRESS:PORT for subscribers of other machines; empty: none."""
    listen_plaintext: bool = False
    """`listen` is loopback and needs no key."""
    http_listen: str = ""
    """ADDRESS:PORT or unix:PATH of the HTTP endpoint; empty: none."""
    http_tls_cert: str = ""
    """PEM file of its certificate; empty: no TLS."""
    http_tls_key: str = ""
    http_plaintext: bool = False
    """Other machines may ask without TLS."""
    history_keep: float = 7 * 86400.0
    """How long the history goes back; 0 = off."""
    history_size: int = 64 << 20
    """Bytes of the history's file."""
    webhooks: tuple[Any, ...] = ()
    """A `netmap_actors.webhooks.spec.WebhookSpec` each; not named here, where every run would load it."""
    log_format: str = "json"
    """`json` or `text`; on standard error."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""
    view: str = "auto"
    """The view on standard output: `auto`, `live`, `plain` or `off`. The daemon does not use it."""
    max_map_response: int = MAX_MAP_RESPONSE
    """Bytes of one decompressed MapResponse."""
    max_peers: int = MAX_PEERS
    """Of the netmap, and named by one field of a MapResponse."""
    nursery: str = "all"
    """Children that are forked from one process: `all`, `not-connection` or `off`; the others are started by exec."""
    dev_nodes: int = 8
    """Nodes of the embedded server's simulated tailnet."""
    dev_seed: int = 1
    dev_churn: float = 0.3
    """Changes of the simulated tailnet per second."""

    @property
    def curve_dir(self) -> Path:
        """Where the CURVE keys of subscribers are."""
        return Path(self.state_dir) / "curve"

    @property
    def http_tokens(self) -> Path:
        """Where the hashes of HTTP clients' tokens are."""
        return Path(self.state_dir) / "http_tokens" / TAILNET

    @property
    def embedded(self) -> bool:
        """True when the control server is our own."""
        return self.control_url == EMBEDDED
