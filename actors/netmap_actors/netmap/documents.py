"""The parts of the netmap that are one JSON document each, folded by their own delta rules.

Values stay the bytes they came as, copied out of their message. Rules: tailscale: control/controlclient/map.go,
types/netmap. Not here: nodes and user profiles.
"""

from __future__ import annotations

import hashlib
import operator
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.netmap.changes import Document, DocumentUpdate, DomainUpdate
from netmap_actors.netmap.node_json import members, same_json, with_members
from netmap_actors.rfc3339 import unix_seconds
from netmap_actors.tailcfg.bounds import MAX_HEALTH_TEXT, MAX_MESSAGE_BYTES, MAX_MESSAGES, check_filters
from netmap_actors.tailcfg.go_json import decode, encode, is_set, is_zero_time
from netmap_actors.tailcfg.map_response import DisplayMessage, DisplayMessageAction, MapResponse
from netmap_actors.web_url import BadUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netmap_actors.web_url import UrlPolicy

__all__ = ["SKEW_TOLERANCE", "DocumentState", "Documents"]

SKEW_TOLERANCE: Final = 60.0
"""Seconds of clock skew that are ignored."""

_ALL: Final = "*"
"""The key whose null drops every other."""
_BASE: Final = "base"
"""The chunk that MapResponse.PacketFilter stands for."""
_ACROSS_SESSIONS: Final = ("ControlDialPlan", "ClientVersion")
"""Settings that survive a new session."""
_HEALTH_TITLE: Final = "Coordination server reports an issue"
_HEALTH_TEXT: Final = "The coordination server is reporting a health issue: "

_parts: Final = operator.attrgetter(
    "dns_config", "ssh_policy", "derp_map", "packet_filter", "packet_filters", "health", "display_messages",
    "domain", "control_dial_plan", "client_version", "collect_services", "tka_info",
    "domain_data_plane_audit_log_id", "default_auto_update",
)  # fmt: skip
"""What `fold` reads of a message; nearly all messages have none of it."""
_NO_PARTS: Final = _parts(MapResponse())


class DocumentState(msgspec.Struct, frozen=True):
    """What deltas are folded into. Immutable."""

    dns: bytes = b""
    ssh_policy: bytes = b""
    derp_map: bytes = b""
    filters: dict[str, bytes] | None = None
    """Chunk name -> rules; None before the first message of the first session."""
    health: tuple[str, ...] = ()
    health_left_out: int = 0
    messages: dict[str, bytes] = {}
    messages_left_out: int = 0
    """Since all of them were dropped last."""
    settings: dict[str, bytes] = {}
    domain: str = ""


class Documents:
    """Folds messages into documents. `urls`: which links of messages may be shown."""

    def __init__(self, urls: UrlPolicy) -> None:
        self._urls = urls
        self._state = DocumentState()
        self._shown: dict[Document, bytes] = dict.fromkeys(Document, b"")
        self._domain = ""
        self.control_time = ""
        """The server's last ControlTime, RFC 3339."""
        self._skew = 0.0
        self._wall_base: float | None = None

    @property
    def shown(self) -> Mapping[Document, bytes]:
        """Every document as JSON; b"" for none."""
        return self._shown

    @property
    def clock_skew_s(self) -> float:
        """The server's clock minus ours in seconds, as far as proved; 0 while within SKEW_TOLERANCE."""
        return self._skew if abs(self._skew) > SKEW_TOLERANCE else 0.0

    @property
    def domain(self) -> str:
        """The tailnet's display name."""
        return self._domain

    def fold(self, response: MapResponse, *, first: bool) -> DocumentState:
        """The documents after this message. Nothing changes before `settle`."""
        if not first and _parts(response) == _NO_PARTS:
            return self._state
        state = DocumentState(settings=_kept_settings(self._state), filters={}) if first else self._state
        settings = _settings(state.settings, response)
        if response.keep_alive:
            return msgspec.structs.replace(state, settings=settings)
        messages, messages_left_out = state.messages, state.messages_left_out
        if response.display_messages:
            messages, left_out = self._messages(messages, response.display_messages)
            messages_left_out = left_out + (messages_left_out if _keeps(response.display_messages) else 0)
        health = response.health
        return DocumentState(
            dns=_replaced(state.dns, response.dns_config),
            ssh_policy=_replaced(state.ssh_policy, response.ssh_policy),
            derp_map=_derp_map(state.derp_map, response.derp_map),
            filters=_filters({} if state.filters is None else state.filters, response),
            health=state.health
            if health is None
            else tuple(_shortened(text) for text in health[:MAX_MESSAGES]),
            health_left_out=state.health_left_out if health is None else max(0, len(health) - MAX_MESSAGES),
            messages=messages,
            messages_left_out=messages_left_out,
            settings=settings,
            domain=response.domain or state.domain,
        )

    def settle(self, state: DocumentState) -> list[DocumentUpdate | DomainUpdate]:
        """Adopt the result of `fold`; the true differences."""
        if state is self._state:
            return []
        old, self._state = self._state, state
        updates: list[DocumentUpdate | DomainUpdate] = []
        for document, json in self._rendered(old, state).items():
            if not same_json(self._shown[document], json):
                self._shown[document] = json
                updates.append(DocumentUpdate(document, json))
        if state.domain != self._domain:
            self._domain = state.domain
            updates.append(DomainUpdate(state.domain))
        return updates

    def clock(self, control_time: str, wall: float, waited: float = 0.0) -> None:
        """Process MapResponse.ControlTime at `wall`, our wall clock in UNIX seconds; the zero time is ignored.

        The server wrote it up to `waited` seconds ago, which gives the skew a range. The known skew stays while it is
        in the range; else the smallest one in it is adopted.
        """
        if is_zero_time(control_time):
            return
        theirs = unix_seconds(control_time)
        if theirs is None:
            return
        self.control_time = control_time
        least, most = theirs - wall, theirs - wall + max(0.0, waited)
        if not least <= self._skew <= most:
            self._skew = min(max(0.0, least), most)

    def wall_clock(self, wall: float, boottime: float) -> None:
        """Our clocks now, UNIX and CLOCK_BOOTTIME seconds: when the first is set, the skew follows."""
        base = wall - boottime
        if self._wall_base is not None and self.control_time:
            self._skew -= base - self._wall_base
        self._wall_base = base

    def _rendered(self, old: DocumentState, new: DocumentState) -> dict[Document, bytes]:
        """The documents that may have changed: only replaced parts are encoded again."""
        out: dict[Document, bytes] = {}
        if new.dns is not old.dns:
            out[Document.DNS] = new.dns
        if new.ssh_policy is not old.ssh_policy:
            out[Document.SSH_POLICY] = new.ssh_policy
        if new.derp_map is not old.derp_map:
            out[Document.DERP_MAP] = new.derp_map
        if new.filters is not old.filters:
            out[Document.PACKET_FILTER] = _object(new.filters or {})
        if new.settings is not old.settings:
            out[Document.SETTINGS] = _object(new.settings) if new.settings else b""
        if new.messages is not old.messages or new.health is not old.health:
            shown = new.messages or _as_messages(new.health)
            out[Document.HEALTH] = _object(shown) if shown else b""
        return out

    @property
    def left_out(self) -> int:
        """Messages not shown: too many, or too long."""
        return self._state.health_left_out + self._state.messages_left_out

    def _messages(
        self, old: dict[str, bytes], patch: Mapping[str, msgspec.Raw]
    ) -> tuple[dict[str, bytes], int]:
        """Messages after a patch, and how many of it are left out; those shown remain."""
        dropped = {name: value for name, value in patch.items() if not is_set(value)}
        kept = _patched(old, dropped)
        left_out = 0
        added: dict[str, msgspec.Raw] = {}
        for name, value in patch.items():
            if name == _ALL or not is_set(value):
                continue
            new = name not in kept and name not in added
            too_long = len(name) > MAX_HEALTH_TEXT or len(memoryview(value)) > MAX_MESSAGE_BYTES
            if too_long or (new and len(kept.keys() | added.keys()) >= MAX_MESSAGES):
                left_out += 1
            else:
                added[name] = value
        return _patched(kept, added, self._checked), left_out

    def _checked(self, message: bytes) -> bytes:
        action = decode(DisplayMessage, message).primary_action
        if action is None:
            return message
        try:
            shown = self._urls.shown(action.url)
        except BadUrl:
            return with_members(message, {"PrimaryAction": None})
        if shown == action.url:
            return message
        clear = encode(DisplayMessageAction(url=shown, label=action.label))
        return with_members(message, {"PrimaryAction": clear})


def _as_messages(health: tuple[str, ...]) -> dict[str, bytes]:
    return {
        "health-" + hashlib.sha256(text.encode()).hexdigest(): encode(
            DisplayMessage(title=_HEALTH_TITLE, text=_HEALTH_TEXT + text, severity="medium")
        )
        for text in health
    }


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_HEALTH_TEXT else text[:MAX_HEALTH_TEXT] + "…"


def _keeps(patch: Mapping[str, msgspec.Raw]) -> bool:
    """Whether this patch keeps the previous values."""
    return _ALL not in patch or is_set(patch[_ALL])


def _object(values: Mapping[str, bytes]) -> bytes:
    return encode({name: msgspec.Raw(values[name]) for name in sorted(values)})


def _replaced(old: bytes, new: msgspec.Raw) -> bytes:
    return bytes(new) if is_set(new) else old


def _patched(
    old: dict[str, bytes], patch: Mapping[str, msgspec.Raw] | None, check: Callable[[bytes], bytes] = bytes
) -> dict[str, bytes]:
    """Named values after a patch: `*` null drops all first, another null drops one."""
    if not patch:
        return old
    drop_all = _ALL in patch and not is_set(patch[_ALL])
    out = {} if drop_all else dict(old)
    for name, value in patch.items():
        if is_set(value):
            if name != _ALL:
                out[name] = check(bytes(value))
        else:
            out.pop(name, None)
    return out


def _filters(old: dict[str, bytes], response: MapResponse) -> dict[str, bytes]:
    if is_set(response.packet_filter):
        old = {**old, _BASE: bytes(response.packet_filter)}
    new = _patched(old, response.packet_filters)
    if new is not old:
        check_filters(new)
    return new


def _derp_map(old: bytes, delta: msgspec.Raw) -> bytes:
    if not is_set(delta):
        return old
    new = members(delta)
    before = members(old) if old else {}
    merged = {**before, **new}
    if "Regions" in new:
        merged["Regions"] = msgspec.Raw(encode(members(new["Regions"])))
        if "omitDefaultRegions" not in new:
            merged.pop("omitDefaultRegions", None)
    elif "omitDefaultRegions" in before:
        merged["omitDefaultRegions"] = before["omitDefaultRegions"]
    elif old:
        # The previous map, even an empty one, decides.
        merged.pop("omitDefaultRegions", None)
    if "HomeParams" in new and "HomeParams" in before:
        merged["HomeParams"] = msgspec.Raw(
            encode({**members(before["HomeParams"]), **members(new["HomeParams"])})
        )
    return encode(merged)


def _settings(old: dict[str, bytes], response: MapResponse) -> dict[str, bytes]:
    new: dict[str, bytes] = {}
    if is_set(response.control_dial_plan):
        new["ControlDialPlan"] = bytes(response.control_dial_plan)
    if is_set(response.client_version):
        new["ClientVersion"] = bytes(response.client_version)
    if not response.keep_alive:
        if response.collect_services is not None:
            new["CollectServices"] = encode(response.collect_services)
        if is_set(response.tka_info):
            new["TKAInfo"] = bytes(response.tka_info)
        if response.domain_data_plane_audit_log_id:
            new["DomainDataPlaneAuditLogID"] = encode(response.domain_data_plane_audit_log_id)
        # Only the first one counts; later the user's choice would override it.
        if response.default_auto_update is not None and "DefaultAutoUpdate" not in old:
            new["DefaultAutoUpdate"] = encode(response.default_auto_update)
    return {**old, **new} if new else old


def _kept_settings(state: DocumentState) -> dict[str, bytes]:
    return {name: state.settings[name] for name in _ACROSS_SESSIONS if name in state.settings}
