"""Changes of the netmap, events of the daemon and what is waited for, each as one line of text.

Pure. Text from outside is escaped here, so that every view can print it as it is.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from netmap_actors.errors import escape
from netmap_actors.wire.vocabulary import EndReason, Trust

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netmap_actors.subscriber import Event, Peer
    from netmap_actors.wire.status import ConnectionStatus, StatusReport

__all__ = [
    "address",
    "ago",
    "contact",
    "daemon_event",
    "marks",
    "netmap_change",
    "online",
    "peer_changes",
    "peer_label",
    "span",
    "tailnet_name",
    "trust",
    "waiting_for",
]

_LISTS = ("addresses", "allowed_ips", "tags", "routes", "endpoints")
_QUIET = frozenset({"last_seen", "sharer", "node.Hostinfo", "node.ComputedName", "node.ComputedNameWithHost"})
"""Fields whose change alone is not shown: it means little, or another field shows it; --json has them."""
_MARKS = {"shared_in": "shared-in", "jailed": "jailed", "wireguard_only": "wireguard-only"}
_MAX_LISTED = 4
_MAX_VALUE = 60
_MAX_NAME = 255
_MAX_DETAIL = 1000
"""Characters of a reason: its end says what to do."""
_MAX_URL = 1000


def span(seconds: float) -> str:
    """A rounded duration: "0.8 s", "75 s", "12 min", "3 h", "4 d"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def ago(seconds: float | None) -> str:
    """How old something is."""
    return "never" if seconds is None else f"{span(seconds)} ago"


def trust(state: str, age_s: float | None) -> str:
    """How far the netmap can be trusted."""
    if state == Trust.NONE:
        return "no netmap yet"
    return f"{escape(state, 20)}, last MapResponse {ago(age_s)}"


def online(value: bool | None) -> str:
    """Contact with the control server; never guessed."""
    return {True: "online", False: "offline", None: "unknown"}[value]


def contact(peer: Peer, *, now: bool) -> str:
    """Whether a node is online, and when it was last if it is not. `now`: the netmap is fresh."""
    seen = f", last seen {escape(peer.last_seen, _MAX_VALUE)}" if peer.last_seen and not peer.online else ""
    how = "of unknown state" if peer.online is None else online(peer.online)
    return f"{escape(peer.name or peer.stable_id, _MAX_NAME)} {'is' if now else 'was'} {how}{seen}"


def peer_label(peer: Peer) -> str:
    """Its shortest name: the short name, else all of its name, its host name or its id."""
    return escape(peer.short_name or peer.name or peer.hostname or peer.stable_id, _MAX_NAME)


def marks(peer: Peer) -> list[str]:
    """Its special properties, one word each."""
    return [word for name, word in _MARKS.items() if getattr(peer, name)]


def address(peer: Peer) -> str:
    """Its IPv4 address if it has one, else the first address."""
    ips = peer.ips
    found = next((ip for ip in ips if _is_ipv4(ip)), ips[0] if ips else "")
    return escape(found, _MAX_VALUE)


def tailnet_name(own_name: str, domain: str) -> str:
    """The tailnet's name: the MagicDNS suffix, which follows the first label of our own name.

    `domain`, of the MapResponse, is for display only, and headscale puts the host of its own URL there (headscale:
    hscontrol/mapper/builder.go): it is used where a server gives names without a suffix.
    """
    return escape(own_name.rstrip(".").partition(".")[2] or domain, _MAX_VALUE)


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


# The netmap


def netmap_change(event: Event) -> str | None:
    """One event of a subscriber as a line; None for one that is not shown."""
    details: Any = event
    match event.kind:
        case "snapshot":
            netmap = details.netmap
            count = len(netmap.peers)
            up = sum(1 for peer in netmap.peers.values() if peer.online)
            name = tailnet_name("" if netmap.self_node is None else netmap.self_node.name, netmap.domain)
            domain = f" of {name}" if name else ""
            if event.state == Trust.NONE:
                return None
            return f"netmap{domain}: {count} peers, {up} online ({trust(event.state, event.age_s)})"
        case "peer_upserted":
            return _peer_change(details.peer, details.previous)
        case "peer_removed":
            return f"{peer_label(details.peer)} {address(details.peer)} left"
        case "self_changed":
            if details.node is None:
                return "this node: the control server shows none"
            changes = peer_changes(details.node, details.previous or {})
            return f"this node is {peer_label(details.node)} {address(details.node)}" + (
                f": {changes}" if changes else ""
            )
        case "state_changed":
            return f"netmap {trust(event.state, event.age_s)} ({_word(details.reason)})"
        case "domain_changed":
            return f"the control server calls the tailnet {escape(details.domain, _MAX_VALUE)}"
        case "user_profiles_changed":
            return f"users: {len(details.upserted)} came or changed, {len(details.removed)} left"
        case kind:
            return f"{_word(kind.removesuffix('_changed'))} changed"


def _peer_change(peer: Peer, previous: Mapping[str, Any] | None) -> str | None:
    who = f"{peer_label(peer)} {address(peer)}"
    if previous is None:
        tags = (escape(tag, _MAX_VALUE) for tag in peer.tags[:_MAX_LISTED])
        more = ", ".join((online(peer.online), *marks(peer), *tags))
        return f"{who} joined ({more})"
    changes = peer_changes(peer, previous)
    return f"{who} {changes}" if changes else None


def peer_changes(peer: Peer, previous: Mapping[str, Any]) -> str:
    """The changes of the fields whose old values these are; empty if none is shown."""
    return ", ".join(
        text for name, old in previous.items() if name not in _QUIET and (text := _field(peer, name, old))
    )


def _field(peer: Peer, name: str, old: Any) -> str:
    """The change of one field."""
    if name == "online":
        return f"is {online(peer.online)}" if peer.online is not None else "is of unknown state"
    if name == "expired":
        return "key has expired" if peer.expired else "key is valid again"
    if name == "key":
        return "new node key"
    if name == "sharer_id":
        who = escape(peer.sharer or f"user {peer.sharer_id}", _MAX_VALUE)
        return f"is shared in by {who}" if peer.shared_in else "is no longer shared in"
    if name in _MARKS:
        return f"is {'' if getattr(peer, name) else 'no longer '}{_MARKS[name]}"
    if name == "decoded":
        return "is readable again" if peer.decoded else "is not readable: only its ids can be relied on"
    if name in _LISTS:
        return f"{_word(name)} {_difference(old or (), getattr(peer, name))}"
    new = getattr(peer, name, None) if not name.startswith("node.") else None
    if isinstance(new, str | int) and not name.startswith(("machine", "disco")):
        return f"{_word(name)} {_value(old)} → {_value(new)}"
    return f"{_word(name.removeprefix('node.'))} changed"


def _difference(old: Sequence[Any], new: Sequence[str]) -> str:
    signed = [f"+{item}" for item in new if item not in old] + [f"-{item}" for item in old if item not in new]
    if not signed:
        return "in another order"
    shown = " ".join(escape(item, _MAX_VALUE) for item in signed[:_MAX_LISTED])
    return shown + (f" and {len(signed) - _MAX_LISTED} more" if len(signed) > _MAX_LISTED else "")


def _value(value: Any) -> str:
    return "none" if value in (None, "") else escape(str(value), _MAX_VALUE)


def _word(name: object) -> str:
    return escape(str(name), _MAX_VALUE).replace("_", " ")


# The daemon

_EVENTS: dict[str, str] = {
    "actor_ready": "{actor} is up (pid {pid})",
    "actor_exited": "{actor} (pid {pid}) ended: {reason} ({detail})",
    "child_killed": "{actor} (pid {pid}) killed: {reason}",
    "remote_subscribers_welcome": "subscribers on other machines may come to {updates}",
    "subscriber_refused": "a subscriber was refused: {detail} ({address})",
    "subscriber_key_revoked": "a key was revoked: remote subscribers connect again",
    "history_broken": "the history could not be read ({detail}): another begins, that one is kept as {kept_as}",
    "history_not_written": "the history is not written: {detail}",
    "http_certificate_renewed": "HTTP endpoint: the certificate was renewed",
    "http_endpoint_open": "HTTP endpoint open on {listen}",
    "http_endpoint_plaintext": "HTTP endpoint WITHOUT TLS on {listen}: a proxy with TLS has to be in front",
    "http_tls_refused": "HTTP endpoint: a connection was refused: {detail} ({address})",
    "http_login": "HTTP endpoint: {address} logged in with the token {client}",
    "http_token_refused": "HTTP endpoint: a request was refused: {detail} ({address})",
    "webhook_failed": "webhook {webhook} was not reached: {detail}; it is tried again",
    "webhook_delivers": "webhook {webhook} is reached again",
    "webhook_forgotten": "webhook {webhook} is gone from the settings: what it was not told is forgotten",
    "webhook_gave_up": "WEBHOOK {webhook}: {events} events are given up, it is not told of them",
    "webhook_standing_broken": "the standing of webhook {webhook} could not be read ({detail}): it begins anew",
    "map_session_started": "map session {session} on connection {generation}: waiting for the netmap",
    "first_netmap": "whole netmap after {took_s} s: {peers} peers",
    "silence_detected": "SILENCE: no MapResponse for {silent_for} s, the connection is dead",
    "session_ended": "connection {generation} ended: {reason} ({detail})",
    "wake_detected": "the machine has slept",
    "link_changed": "the network has changed",
    "probe_sent": "probing the connection ({reason})",
    "probe_answered": "the connection lives: the probe was answered",
    "probe_failed": "the probe was not answered",
    "hostname_changed": "this node asks to be called {hostname}, no longer {previous}: every peer sees it",
    "login_needed": "LOGIN NEEDED: open {url}",
    "node_removed": "NODE REMOVED: the control server no longer knows this node ({detail})",
    "degraded": "degraded: {text}",
    "healed": "healed: {code}",
    "reloaded": "settings read again{changes}",
    "runtime_dir_removed": "SOMEBODY REMOVED {runtime_dir}: everything is started anew, to be reachable again",
    "stopping": "stopping: {reason}",
    "begins_anew": "begins anew, with the directory {runtime_dir}",
    "stopped": "stopped",
    "daemon_died": "THE DAEMON IS GONE: nobody keeps this netmap any more",
}
"""Sentences for log events; what is missing here is shown only when it is a warning or an error."""
_LOUD = frozenset({"warning", "error", "critical"})
_ORDERLY = "normal"


def daemon_event(level: str, event: str, fields: Mapping[str, Any]) -> str | None:
    """One log event as a line; None for one that is not shown."""
    # A URL that is cut off cannot be opened.
    known = {
        key: escape(str(value), _MAX_URL if key == "url" else _MAX_DETAIL)
        for key, value in fields.items()
        if value is not None
    }
    if event == "reloaded":
        known["changes"] = _changes(fields)
    if event == "actor_exited" and fields.get("reason") == _ORDERLY:
        return None
    form = _EVENTS.get(event)
    if form is not None:
        return form.format_map(_Blank(known)).replace(" ()", "")
    if level not in _LOUD:
        return None
    about = ", ".join(
        f"{escape(key, 40)} {value}" for key, value in known.items() if key not in {"timestamp", "level"}
    )
    return f"{level}: {_word(event)}" + (f" ({about})" if about else "")


def _changes(fields: Mapping[str, Any]) -> str:
    """The result of a reload, option by option."""
    when = (
        ("applied", "now"),
        ("with_next_connection", "from the next connection on"),
        ("needs_restart", "only after a restart"),
    )
    parts = [
        f"{escape(', '.join(map(str, fields[name])), _MAX_DETAIL)} {holds}"
        for name, holds in when
        if fields.get(name)
    ]
    return f": {'; '.join(parts)}" if parts else ", nothing has changed"


class _Blank(dict[str, str]):
    """A missing field is left out."""

    def __missing__(self, key: str) -> str:
        return ""


_WAITING: dict[str, str] = {
    "starting": "the connection is being started",
    "resolving": "looking up the address of {url}",
    "connecting": "connecting to {url}",
    "handshaking": "waiting for the handshake with {url}",
    "registering": "waiting for the registration at {url}",
    "login_needed": "somebody has to log in: open {auth_url}",
    "awaiting_approval": "an administrator has to approve this node",
    "map_session": "waiting for the first netmap from {url}",
    "backing_off": "the next attempt at {url} comes {next}",
    "stopped": "the connection is stopped",
}


def waiting_for(report: StatusReport) -> str | None:
    """What keeps the netmap from being fresh; None if nothing does."""
    if report.netmap.state == Trust.FRESH:
        return None
    slow = [actor.name for actor in report.actors if actor.state != "active"]
    connection = report.connection
    if slow and connection.attempts == 0:
        return f"{', '.join(slow)} to come up"
    form = _WAITING.get(connection.state, "the connection is {state}")
    following = "soon" if connection.next_attempt_s is None else f"in {span(connection.next_attempt_s)}"
    fields = {
        "url": "the embedded server" if report.control.embedded else escape(report.control.url),
        "auth_url": escape(connection.auth_url or "the URL that `status` shows", _MAX_URL),
        "next": following,
        "state": escape(connection.state, 40),
    }
    return form.format_map(fields) + _last_end(connection)


def _last_end(connection: ConnectionStatus) -> str:
    """Why the last connection ended, if that is of use while waiting."""
    last = connection.last_end
    if last is None or connection.state in {"map_session", "awaiting_approval"}:
        return ""
    where = f" in {last.stage}" if last.stage and last.reason == EndReason.ERROR else ""
    detail = f": {escape(last.detail, _MAX_DETAIL)}" if last.detail else ""
    return (
        f" (attempt {connection.attempts}; the last one ended with {escape(last.reason, 40)}{where}{detail})"
    )
