"""Decodes what clients send inside Noise: register and map requests, JSON keys in upper or lower case.

Not here: what is done with them (`registrar`, `map_stream`). Go decodes keys without regard to case, and
tailscale-rs relies on it (`HostInfo`, `Os`, `RoutableIps`).
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import msgspec

from netmap_actors.errors import RemoteProtocolError, escape
from netmap_actors.protocol.keys import BadKey, DiscoKey, NodeKey

__all__ = [
    "MAX_ENDPOINTS",
    "BadRequest",
    "IncomingMapRequest",
    "IncomingRegisterRequest",
    "decode_map",
    "decode_register",
    "host_words",
    "hostname_of",
    "register_document",
    "requested_tags",
]

MAX_ENDPOINTS = 64
"""Endpoints kept of one node."""
MAX_LIST = 256
"""Tags kept of one node."""
MAX_HOSTINFO = 64 << 10
"""Bytes of JSON one host may say about itself."""
_BRIEF_HOSTINFO = 4096
"""Bytes of it that are kept with a login."""
_OF_A_LOGIN = ("Hostname", "OS", "RequestTags", "RoutableIPs")
MAX_CAPABILITY_VERSION = 0xFFFF
MAX_FIELD_TEXT = 512
"""Characters of one text field that is kept."""

_HOSTINFO_FIELDS = """
    IPNVersion FrontendLogID BackendLogID OS OSVersion Container Env Distro DistroVersion
    DistroCodeName App Desktop Package DeviceModel PushDeviceToken Hostname ShieldsUp ShareeNode
    NoLogsNoSupport RemoteConfig WireIngress IngressEnabled AllowsUpdate Machine GoArch GoArchVar
    GoVersion RoutableIPs RequestTags WoLMACs Services NetInfo sshHostKeys Cloud Userspace
    UserspaceRouter AppConnector ServicesHash PeerRelay ExitNodeID Location TPM StateEncrypted
"""
_HOSTINFO_NAMES = {name.lower(): name for name in _HOSTINFO_FIELDS.split()}
"""tailscale: tailcfg/tailcfg.go, type Hostinfo; anything else is dropped, as a Go server does."""


class BadRequest(RemoteProtocolError):
    """A request that cannot be read or answered; `status`: of the response, which says the text."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class IncomingRegisterRequest(msgspec.Struct, frozen=True):
    """What `/machine/register` asks for. `auth_key` is a secret and not shown."""

    version: int
    node_key: NodeKey
    old_node_key: NodeKey | None
    auth_key: str
    followup: str
    expiry: float | None
    """UNIX seconds; None for absent and for Go's zero time."""
    hostinfo: dict[str, Any] | None
    ephemeral: bool

    def __repr__(self) -> str:
        return f"<register request of {self.node_key}, version {self.version}>"


class IncomingMapRequest(msgspec.Struct, frozen=True):
    """What `/machine/map` asks for. None: the field was absent."""

    version: int
    node_key: NodeKey
    disco_key: DiscoKey | None
    compress: bool
    stream: bool
    omit_peers: bool
    read_only: bool
    keep_alive: bool
    endpoints: tuple[str, ...] | None
    hostinfo: dict[str, Any] | None


def decode_register(body: bytes) -> IncomingRegisterRequest:
    """Raises BadRequest."""
    fields = _fields(body)
    auth = _object(fields.get("auth"), "Auth")
    return IncomingRegisterRequest(
        version=_version(fields.get("version")),
        node_key=_node_key(fields.get("nodekey"), "NodeKey"),
        old_node_key=_optional_node_key(fields.get("oldnodekey"), "OldNodeKey"),
        auth_key=_text(_lowered(auth).get("authkey") if auth else None, "Auth.AuthKey"),
        followup=_text(fields.get("followup"), "Followup"),
        expiry=_time(fields.get("expiry"), "Expiry"),
        hostinfo=_hostinfo(fields.get("hostinfo")),
        ephemeral=bool(fields.get("ephemeral")),
    )


def register_document(request: IncomingRegisterRequest) -> dict[str, Any]:
    """What `decode_register` would read this request from, but for the auth key, which is kept nowhere.

    A large Hostinfo is reduced to what a login needs: a thousand of them are saved together.
    """
    return {
        "Version": request.version,
        "NodeKey": str(request.node_key),
        "OldNodeKey": None if request.old_node_key is None else str(request.old_node_key),
        "Followup": request.followup,
        "Hostinfo": _brief(request.hostinfo),
        "Ephemeral": request.ephemeral,
    }


def decode_map(body: bytes) -> IncomingMapRequest:
    """Raises BadRequest."""
    fields = _fields(body)
    endpoints = fields.get("endpoints")
    return IncomingMapRequest(
        version=_version(fields.get("version")),
        node_key=_node_key(fields.get("nodekey"), "NodeKey"),
        disco_key=_disco_key(fields.get("discokey")),
        compress=bool(_text(fields.get("compress"), "Compress")),
        stream=bool(fields.get("stream")),
        omit_peers=bool(fields.get("omitpeers")),
        read_only=bool(fields.get("readonly")),
        keep_alive=bool(fields.get("keepalive")),
        endpoints=None if endpoints is None else _texts(endpoints, "Endpoints", MAX_ENDPOINTS),
        hostinfo=_hostinfo(fields.get("hostinfo")),
    )


def hostname_of(hostinfo: dict[str, Any] | None) -> str:
    """The host's own name; empty when it has none."""
    name = (hostinfo or {}).get("Hostname")
    return name[:MAX_FIELD_TEXT] if isinstance(name, str) else ""


def host_words(hostinfo: dict[str, Any] | None) -> list[str]:
    """For the log: `host:NAME` as one word; nothing when the request says nothing of the host."""
    if hostinfo is None:
        return []
    return ["host:" + "_".join(escape(hostname_of(hostinfo), 80).split())]


def requested_tags(hostinfo: dict[str, Any] | None) -> tuple[str, ...]:
    """Tags a node asks for itself."""
    return _lenient((hostinfo or {}).get("RequestTags"))


def _lenient(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(item[:MAX_FIELD_TEXT] for item in value[:MAX_LIST] if isinstance(item, str))


def _fields(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadRequest(f"cannot read the request: {escape(str(error))}") from None
    if not isinstance(value, dict):
        raise BadRequest("cannot read the request: it is not a JSON object")
    return _lowered(value)


def _lowered(fields: dict[str, Any]) -> dict[str, Any]:
    # null means absent everywhere in this protocol.
    return {name.lower(): value for name, value in fields.items() if value is not None}


def _hostinfo(value: object) -> dict[str, Any] | None:
    fields = _object(value, "Hostinfo")
    if fields is None:
        return None
    named = {_HOSTINFO_NAMES.get(name): value for name, value in _lowered(fields).items()}
    kept = {name: value for name, value in named.items() if name is not None}
    try:
        size = len(msgspec.json.encode(kept))
    except (msgspec.EncodeError, ValueError, OverflowError, RecursionError) as error:
        raise BadRequest(f"cannot keep Hostinfo: {escape(str(error))}") from None
    if size > MAX_HOSTINFO:
        raise BadRequest(f"cannot keep Hostinfo: {size} bytes, limit is {MAX_HOSTINFO}")
    return kept


def _brief(hostinfo: dict[str, Any] | None) -> dict[str, Any] | None:
    """The whole, or if it is large what a login needs; the map request that follows repeats it all."""
    kept = hostinfo
    for names in (_OF_A_LOGIN, _OF_A_LOGIN[:2], ()):
        if len(msgspec.json.encode(kept)) <= _BRIEF_HOSTINFO:
            break
        kept = {name: value for name, value in (hostinfo or {}).items() if name in names}
    return kept


def _object(value: object, name: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadRequest(f"cannot read {name}: it is not an object")
    return value


def _version(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_CAPABILITY_VERSION:
        raise BadRequest(f"cannot read Version: it is not an integer from 0 to {MAX_CAPABILITY_VERSION}")
    return value


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"cannot read {name}: it is not a string")
    if len(value) > MAX_FIELD_TEXT:
        raise BadRequest(f"cannot read {name}: it is longer than {MAX_FIELD_TEXT} characters")
    return value


def _texts(value: object, name: str, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadRequest(f"cannot read {name}: it is not a list of strings")
    return tuple(item[:MAX_FIELD_TEXT] for item in value[:most])


def _node_key(value: object, name: str) -> NodeKey:
    key = _optional_node_key(value, name)
    if key is None:
        raise BadRequest(f"cannot read the request: {name} is missing")
    return key


def _optional_node_key(value: object, name: str) -> NodeKey | None:
    text = _text(value, name)
    if not text:
        return None
    try:
        key = NodeKey.parse(text)
    except BadKey as error:
        raise BadRequest(str(error)) from None
    return None if key.is_zero else key


def _disco_key(value: object) -> DiscoKey | None:
    text = _text(value, "DiscoKey")
    if not text:
        return None
    try:
        key = DiscoKey.parse(text)
    except BadKey as error:
        raise BadRequest(str(error)) from None
    return None if key.is_zero else key


_RFC3339 = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)"


def _time(value: object, name: str) -> float | None:
    text = _text(value, name)
    if not text:
        return None
    match = re.fullmatch(_RFC3339, text)
    if match is None:
        raise BadRequest(f"cannot read {name}: it is not an RFC 3339 time")
    if match[1].startswith("0001-"):
        return None
    try:
        moment = datetime.datetime.fromisoformat(match[1] + match[2].replace("Z", "+00:00"))
    except ValueError:
        raise BadRequest(f"cannot read {name}: there is no such time") from None
    return moment.timestamp()
