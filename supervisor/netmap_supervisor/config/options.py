"""The table of options: one row gives a flag, a variable, a TOML key, a default, a check and its documentation.

Not here: reading the layers and deciding which one wins (`config.layers`).
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.boot import MAX_MAP_RESPONSE, MAX_PEERS, SILENCE_TIMEOUT
from netmap_actors.runtime_paths import default_runtime_dir
from netmap_supervisor.config import kinds, network_kinds
from netmap_supervisor.config.settings import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ENVIRONMENT_PREFIX",
    "OPTIONS",
    "SERVICE_VARIABLES",
    "TABLES",
    "Option",
    "default_path",
    "default_state_dir",
    "user_directory",
]

ENVIRONMENT_PREFIX = "NETMAP_SUPERVISOR_"
DIRECTORY_NAME = "netmap-supervisor"
"""Of ours below /etc, /var/lib and a user's directories."""
# The directory of one run and the longest socket name in it, as single_instance and the endpoints name them.
_SOCKET_ROOM = len("/r-xxxxxxxx/control_connection.sock")


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of the daemon."""

    name: str
    """`silence_timeout`: the flag --silence-timeout and the variable NETMAP_SUPERVISOR_SILENCE_TIMEOUT."""
    table: str
    key: str = ""
    """TOML: `key` in [table]; by default the name."""
    kind: kinds.OptionKind[Any]
    default: Any = ""
    help: str
    """One sentence, without a full stop."""
    more: str = ""
    """What the documentation and config.toml say beyond it."""
    default_text: str = ""
    """How the default is shown when it depends on the machine."""

    def __post_init__(self) -> None:
        if not self.key:
            msgspec.structs.force_setattr(self, "key", self.name)

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def path(self) -> str:
        """`liveness.silence_timeout`."""
        return f"{self.table}.{self.key}"

    @property
    def shown_default(self) -> str:
        """The default as documentation shows it."""
        return self.default_text or self.kind.show(self.default) or "(not set)"


TABLES: dict[str, str] = {
    "control": "The control server.",
    "node": "What this node is in the tailnet.",
    "liveness": "When a connection counts as dead.",
    "paths": "Where things lie.",
    "subscribers": "Who may read the netmap.",
    "http": "The netmap for programs that speak HTTP.",
    "history": "What the daemon remembers of what it lived through.",
    "limits": "Bounds of what the control server may send.",
    "processes": "How the daemon's processes are started.",
    "log": "What the daemon says.",
    "dev_control": 'The embedded control server (only with control.url = "embedded").',
}

_ROWS = (
    Option(
        name="control_url",
        table="control",
        key="url",
        kind=network_kinds.ControlUrlKind(embedded=EMBEDDED),
        default=EMBEDDED,
        help="Control server to join, or `embedded` for one of our own",
        more="Tailscale's own is https://controlplane.tailscale.com. State is kept per URL: going back to a server "
        "goes back to the node one was there.",
    ),
    Option(
        name="auth_key",
        table="control",
        kind=kinds.SecretSource(),
        help="Where the auth key is read from; the key itself is refused here",
        more="Without one, $CREDENTIALS_DIRECTORY/auth_key is used if it is there (systemd's LoadCredential=); "
        "otherwise a person logs in with the URL that `run` and `status` show. Not used by the embedded server.",
    ),
    Option(
        name="ca_file",
        table="control",
        kind=kinds.File(),
        help="Further CA certificates (PEM) to trust, besides the system's",
    ),
    Option(
        name="proxy",
        table="control",
        kind=network_kinds.ProxyUrl(),
        default="environment",
        help="HTTP or SOCKS5 proxy to reach the control server through",
        more="`environment` reads HTTPS_PROXY or HTTP_PROXY (by the scheme of the control URL), ALL_PROXY and "
        "NO_PROXY, lower case first; a user and a password may stand there and nowhere else. `off` uses none. A "
        "control server on loopback is always reached directly, unless a proxy is named here. `socks5://` and "
        "`socks5h://`, which mean the same here (the proxy looks the name up), need the extra `socks`: "
        "`pip install '.[socks]'`.",
    ),
    Option(
        name="insecure_key_fetch",
        table="control",
        kind=kinds.Boolean(),
        default=False,
        help="Accept a control server's key over plain http from anywhere",
        more="Whoever can change that answer can be your control server. Without this, plain http is believed "
        "only from a loopback or private address that stands in the URL itself, and from localhost: what a name leads "
        "to is up to whoever answers for it. A key that is pinned already is not asked for.",
    ),
    Option(
        name="accept_changed_key",
        table="control",
        kind=kinds.Boolean(),
        default=False,
        help="Pin the control server's key anew when it has changed",
        more="For one start, after you know why it changed; left on, the pin is worth nothing.",
    ),
    Option(
        name="on_removed",
        table="control",
        kind=kinds.Choice(("stop", "register")),
        default="stop",
        help="What to do when an administrator has removed this node",
        more="`register` lets a reusable auth key undo the removal.",
    ),
    Option(
        name="hostname",
        table="node",
        kind=network_kinds.Hostname(),
        help="Name to ask for in the tailnet",
        default_text="the one it has, at first the machine's own",
    ),
    Option(
        name="ephemeral",
        table="node",
        kind=kinds.Boolean(),
        default=False,
        help="Ask the control server to forget this node soon after it has gone",
    ),
    Option(
        name="request_tags",
        table="node",
        kind=kinds.Tags(),
        default=(),
        help="ACL tags to ask for at a login by page, such as tag:netmap-observer; an auth key has its own",
    ),
    Option(
        name="silence_timeout",
        table="liveness",
        kind=kinds.Duration(1.0, 3600.0),
        default=SILENCE_TIMEOUT,
        help="Time without a complete MapResponse after which the connection is dead",
        more="Servers send one every 50 to 60 s; below 110 s a single lost one ends a healthy connection.",
    ),
    Option(
        name="truth_interval",
        table="liveness",
        kind=kinds.Duration(1.0, 86400.0, off=True),
        default=600.0,
        help="How often to ask the control server whether it still knows this node",
        more="A server may go on feeding the stream of a node it has deleted. The question changes nothing there.",
    ),
    Option(
        name="probe_timeout",
        table="liveness",
        kind=kinds.Duration(0.5, 60.0),
        default=5.0,
        help="Time for the answer to a probe, such as those after wake-up or a change of the network",
        more="It runs only while there is a route and the connection is read. A reload changes it for the next "
        "connection.",
    ),
    Option(
        name="probe_interval",
        table="liveness",
        kind=kinds.Duration(1.0, 3600.0, off=True),
        default=0.0,
        help="Probe regularly too, to notice a dead connection sooner than by its silence",
        more="Costs a packet each time, which radios and batteries feel.",
    ),
    Option(
        name="state_dir",
        table="paths",
        kind=kinds.Directory(),
        help="Directory of the node's keys (0700)",
        default_text="for `run` $STATE_DIRECTORY; root: /var/lib/netmap-supervisor; else the user's state directory",
    ),
    Option(
        name="runtime_dir",
        table="paths",
        kind=kinds.Directory(room=_SOCKET_ROOM, flag="--runtime-dir"),
        help="Directory of the sockets; commands find the daemon by it",
        default_text="for `run` $RUNTIME_DIRECTORY; root: /run/netmap-supervisor; else the user's runtime directory",
    ),
    Option(
        name="socket_group",
        table="subscribers",
        kind=kinds.Text(metavar="GROUP"),
        help="Group whose members may subscribe",
        default_text="only the daemon's user",
    ),
    Option(
        name="listen",
        table="subscribers",
        kind=network_kinds.SubscriberEndpoint(),
        help="TCP endpoint for subscribers on other machines; snapshots are asked for on the next port",
        default_text="none: only this machine",
        more="Only clients whose CURVE key has been allowed come in: `netmap-supervisor keys`.",
    ),
    Option(
        name="listen_plaintext",
        table="subscribers",
        kind=kinds.Boolean(),
        default=False,
        help="Let everybody on this machine come in over `listen`, without a key and in clear",
        more="Refused for an address that is not loopback.",
    ),
    Option(
        name="http_listen",
        table="http",
        key="listen",
        kind=network_kinds.HttpAddress(),
        help="Address or unix socket of the HTTP endpoint",
        default_text="none: no HTTP endpoint",
        more="It serves a page for browsers at its root, and /sd, /metrics, /netmap, /events, /history, /status and "
        "/healthz, to read only. An address that other machines reach needs `tls_cert` and `tls_key`, or `plaintext`, "
        "and its clients a token: `netmap-supervisor tokens`.",
    ),
    Option(
        name="http_tls_cert",
        table="http",
        key="tls_cert",
        kind=kinds.File(),
        help="Certificate of the HTTP endpoint (PEM), those above it behind it",
        more="It and its key are read again when they are renewed.",
    ),
    Option(
        name="http_tls_key",
        table="http",
        key="tls_key",
        kind=kinds.File(),
        help="Private key of `tls_cert` (PEM, not encrypted)",
    ),
    Option(
        name="http_plaintext",
        table="http",
        key="plaintext",
        kind=kinds.Boolean(),
        default=False,
        help="Let other machines ask the HTTP endpoint without TLS",
        more="For a proxy in front that has TLS. Whoever sees the packets reads the netmap and the tokens.",
    ),
    Option(
        name="history_keep",
        table="history",
        key="keep",
        kind=kinds.Duration(3600, 3650 * 86400, off=True),
        default=7 * 86400.0,
        help="How long what happened is remembered, or `off`",
        more="`netmap-supervisor history` shows it.",
    ),
    Option(
        name="history_size",
        table="history",
        key="size",
        kind=kinds.Size(1 << 20, 4 << 30),
        default=64 << 20,
        help="Largest file of the history; the oldest goes first",
    ),
    Option(
        name="max_map_response",
        table="limits",
        kind=kinds.Size(1 << 20, 4 << 30),
        default=MAX_MAP_RESPONSE,
        help="Largest MapResponse to take, decompressed",
    ),
    Option(
        name="max_peers",
        table="limits",
        kind=kinds.Number(1, 100_000_000, whole=True),
        default=MAX_PEERS,
        help="Peers of the largest netmap to take",
        more="With more the session ends, `degraded` says why, and the netmap before stays, as stale.",
    ),
    Option(
        name="nursery",
        table="processes",
        kind=kinds.Choice(("all", "not-connection", "off"), off_and_on=("off", "all")),
        default="all",
        help="Children that are forked from one process which has everything loaded",
        more="A fork starts in a tenth of the time and shares memory; it shares the layout of its address space with "
        "its siblings, too (docs/explanation/confinement.md). `not-connection` starts the one child that reads the "
        "network by exec, `off` (or false) all of them.",
    ),
    Option(
        name="log_format",
        table="log",
        key="format",
        kind=kinds.Choice(("auto", "json", "text")),
        default="auto",
        help="Form of the log on standard error",
        more="`auto`: JSON Lines when standard error is not a terminal; on a terminal text, or nothing where the "
        "view on the same screen tells it anyway.",
    ),
    Option(
        name="log_level",
        table="log",
        key="level",
        kind=kinds.Choice(("debug", "info", "warning", "error")),
        default="info",
        help="Least important log event to write",
    ),
    Option(
        name="view",
        table="log",
        kind=kinds.Choice(("auto", "live", "plain", "off")),
        default="auto",
        help="What to show on standard output",
        more="`live` is a table that changes in place, `plain` one line per change. `auto`: live on a terminal, "
        "off in a systemd unit, plain everywhere else.",
    ),
    Option(
        name="dev_nodes",
        table="dev_control",
        key="nodes",
        kind=kinds.Number(0, 100_000, whole=True),
        default=8,
        help="Nodes of the embedded server's simulated tailnet",
    ),
    Option(
        name="dev_seed",
        table="dev_control",
        key="seed",
        kind=kinds.Number(0, 2**53, whole=True),
        default=1,
        help="Seed of the simulated tailnet: the same one gives the same tailnet",
    ),
    Option(
        name="dev_churn",
        table="dev_control",
        key="churn",
        kind=kinds.Number(0.0, 1000.0),
        default=0.3,
        help="Changes of the simulated tailnet per second",
    ),
)

OPTIONS: dict[str, Option] = {row.name: row for row in _ROWS}
"""Every option by name, in the order of the documentation."""


SERVICE_VARIABLES = (
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
)
"""What systemd sets for the unit of a process (systemd.exec(5)); only `run` is in the daemon's."""


def default_state_dir(environment: Mapping[str, str]) -> Path | None:
    """The state directory if none is named; None for a user without a home."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if os.geteuid() == 0:
        return Path("/var/lib") / DIRECTORY_NAME
    return user_directory(environment, "XDG_STATE_HOME", ".local/state")


def user_directory(environment: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """Our directory below a user's (XDG Base Directory Specification); None for a user without a home."""
    # A relative path is to be ignored, says the specification.
    if Path(given := environment.get(variable, "")).is_absolute():
        return Path(given) / DIRECTORY_NAME
    home = environment.get("HOME", "")
    if not home:
        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            return None  # as in a container
    return Path(home) / below_home / DIRECTORY_NAME if Path(home).is_absolute() else None


def default_path(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """The default of `state_dir` or `runtime_dir`, which depends on the machine, and the variable it is from.

    To be called only where none is named. Raises ConfigurationError.
    """
    if name == "state_dir":
        decided = "$STATE_DIRECTORY" if environment.get("STATE_DIRECTORY") else ""
        return str(default_state_dir(environment) or ""), decided
    if given := environment.get("RUNTIME_DIRECTORY"):
        return given.split(":")[0], "$RUNTIME_DIRECTORY"
    # The variable of the option itself was looked at before: it is another layer.
    rest = {key: value for key, value in environment.items() if key != OPTIONS["runtime_dir"].variable}
    return str(default_runtime_dir(rest)), ""
