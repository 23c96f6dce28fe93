"""The options of a control server for tests, for type checkers, and with a hint for a mistyped name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

__all__ = ["DevControlOptions", "UnknownOption", "check_names"]


class UnknownOption(TypeError):
    """An option that no control server has."""


class DevControlOptions(TypedDict, total=False):
    """The options of `dev_control_server` and of the marker; each may be left out. Durations in seconds."""

    host: str
    """Where it listens; 127.0.0.1."""
    port: int
    """0, the default, takes a free one."""
    tls: bool
    """Serves TLS, too, with a certificate of a CA made for this server; False."""
    nodes: int
    """Simulated peers; none."""
    seed: int
    """The same one, the same peers; 1."""
    churn: float
    """Changes of the simulated peers per second; 0, none."""
    state_dir: str
    """Where keys and nodes are kept, so that a second server is the same to its clients; nowhere."""
    domain: str
    """Of the tailnet; dev.netmap.example."""
    auth_key: str
    """The auth key; a new one."""
    user: str
    """To whom that key belongs, and who completes logins; alice."""
    policy: dict[str, Any]
    """Who sees whom, as in a policy file: acls, grants, groups, hosts, tagOwners; everybody sees everybody."""
    derp_map: dict[str, Any]
    """DERP map, `{"Regions": {…}}`; three that do not answer."""
    scenario: dict[str, Any]
    """Nodes, and what happens to them at which second, as in a scenario file; nothing."""
    replay: str
    """A file of `netmap-supervisor record`, whose sessions every client gets instead; nothing."""
    replay_pace: float
    """How many times as fast as they were, `math.inf` as fast as clients take them; 1."""
    replay_loop: bool
    """Whether they begin again after the last one; False."""
    require_auth: bool
    """False admits nodes without a key; True."""
    require_approval: bool
    """A new node waits for an administrator (`tailnet.authorize`); False."""
    key_lifetime: float | None
    """After so long a node key expires; None, never."""
    keep_alive: float
    """Between two keep-alives; 50."""
    keep_alive_jitter: float
    """Added once per stream, a random share of it; 18 % of `keep_alive`, as on headscale."""
    batch_delay: float
    """Changes of so long become one message; 0.05."""
    offline_grace: float
    """After the end of a node's stream, until its peers hear that it is offline; 10."""
    ephemeral_grace: float
    """The same, until an ephemeral node is deleted; 120."""
    minimum_version: int
    """Capability versions below are refused; 60."""
    early_payload: str
    """`split` over three records as headscale sends it (the default), `whole` or `off`."""
    half_open_limit: float
    """For the HTTP request and the upgrade of a new connection; 15."""
    idle_limit: float
    """For a connection on which nothing waits; 300."""
    stalled_limit: float
    """For a client that does not read; 60."""
    trace: bool
    """Whether `seen` holds what was sent, too; False."""


def check_names(given: Iterable[str], *types: type[msgspec.Struct]) -> None:
    """Raises UnknownOption for a name that is neither above nor a field of these types."""
    known = {name for one in types for name in one.__struct_fields__} | {"host", "port", "tls"}
    known.discard("options")
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise UnknownOption(
                f"cannot start a control server: it has no option {name!r}{meant} "
                f"The options are {', '.join(sorted(known))}."
            )
