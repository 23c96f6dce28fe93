"""The gate of the map stream: a document either becomes a MapResponse or raises BadMapResponse.

Not here: framing and decompression before it (`protocol.map_framing`), peers and their quarantine after it
(`netmap.delta`). A document passed here can be applied without failing.
"""

from __future__ import annotations

import codecs
import operator
import re
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.boot import MAX_PEERS
from netmap_actors.errors import BadMapResponse, escape
from netmap_actors.slices import complete
from netmap_actors.tailcfg.bounds import check_bounds, check_number_of_values
from netmap_actors.tailcfg.go_json import GoStruct, Int64, NotGoJson, decode, go_name, is_set
from netmap_actors.tailcfg.map_response import Debug, DisplayMessage, MapResponse
from netmap_actors.tailcfg.nesting import MAX_NESTING, looking_deeper_than
from netmap_actors.tailcfg.peer_change import PeerChangeHead
from netmap_actors.tailcfg.ping import PingRequest  # noqa: TC001 - msgspec reads the annotations when it decodes

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = [
    "DERPMapDelta",
    "MapResponseShape",
    "check_map_response_shape",
    "decode_map_response",
    "decoding_map_response",
]

ONE_SLICE: Final = 1 << 20
"""Bytes of a document that passes at once, in a millisecond or two."""
UTF8_SLICE: Final = 1 << 20
"""Bytes checked at a time: a document of 200 MB must not need 200 MB more."""

_OF_PEERS: Final = (
    "peers",
    "peers_changed",
    "peers_changed_patch",
    "peers_removed",
    "peer_seen_change",
    "online_change",
    "user_profiles",
)
_of_peers: Final = operator.attrgetter(*_OF_PEERS)

_OBJECT_BEGINS: Final = re.compile(rb"[ \t\r\n]*\{")

_OBJECTS: Final = (
    "node",
    "derp_map",
    "dns_config",
    "ssh_policy",
    "tka_info",
    "control_dial_plan",
    "client_version",
)
_parts: Final = operator.attrgetter(*_OBJECTS, "packet_filter", "packet_filters", "display_messages")
_NO_PARTS: Final = _parts(MapResponse())
"""Nearly all messages have none of them."""


class MapResponseShape(msgspec.Struct, frozen=True):
    """What the connection reads of a message it passes on."""

    keep_alive: bool
    has_node: bool
    ping_request: PingRequest | None
    pop_browser_url: str
    debug: Debug | None


class DERPMapDelta(GoStruct, frozen=True):
    """A DERPMap with raw parts; None or absent means unchanged."""

    home_params: dict[str, msgspec.Raw] | None = None
    regions: dict[Int64, msgspec.Raw] | None = None
    omit_default_regions: bool = msgspec.field(default=False, name="omitDefaultRegions")


def decode_map_response(data: bytes, *, max_peers: int = MAX_PEERS) -> MapResponse:
    """The message in one JSON document: UTF-8, syntax, depth and top-level types are checked, peers stay raw.

    `max_peers`: how many one field may name. Raw fields are views into `data`. Raises BadMapResponse only.
    """
    return complete(decoding_map_response(data, max_peers=max_peers))


def decoding_map_response(data: bytes, *, max_peers: int) -> Generator[None, None, MapResponse]:
    """As `decode_map_response`, a small one at once and a large one in slices: the longest is the decoder's own."""
    response = yield from _decoding(data)
    number = _most_named(response)
    if number > max_peers:
        name = next(name for name in _OF_PEERS if len(getattr(response, name) or ()) == number)
        raise BadMapResponse(
            f"cannot use MapResponse: its {go_name(name)} names {number}, and limits.max_peers is {max_peers}"
        )
    if len(data) > ONE_SLICE:
        yield
    return _checked(response)


def _decoding(data: bytes) -> Generator[None, None, MapResponse]:
    try:
        _check_utf8(data)
        if not _OBJECT_BEGINS.match(data):
            raise NotGoJson("cannot read MapResponse: it is not an object")
        check_number_of_values(data)
        if len(data) > ONE_SLICE:
            yield
        response = decode(MapResponse, data)
        if len(data) > ONE_SLICE:
            yield
        if (yield from looking_deeper_than(MAX_NESTING, data)):
            raise NotGoJson(f"cannot read MapResponse: it is nested more than {MAX_NESTING} deep")
        return response
    except UnicodeDecodeError as e:
        raise BadMapResponse(f"cannot read MapResponse: not UTF-8: {e.reason}") from None
    except NotGoJson as e:
        raise BadMapResponse(escape(str(e))) from None


def _most_named(response: MapResponse) -> int:
    """How many the field that names most peers names."""
    return max(map(len, filter(None, _of_peers(response))), default=0)


def check_map_response_shape(data: bytes) -> MapResponseShape:
    """The first gate, for the process that passes the document on: as `decode_map_response`.

    A message of more than MAX_PEERS peers is not examined further: the publisher refuses it.
    """
    response = complete(_decoding(data))
    if _most_named(response) <= MAX_PEERS:
        response = _checked(response)
    return MapResponseShape(
        keep_alive=response.keep_alive,
        has_node=response.has_node,
        ping_request=response.ping_request,
        pop_browser_url=response.pop_browser_url,
        debug=response.debug,
    )


def _check_utf8(data: bytes) -> None:
    # The JSON parser does not check the encoding of strings in raw parts.
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    for start in range(0, len(view), UTF8_SLICE):
        decoder.decode(view[start : start + UTF8_SLICE])
    decoder.decode(b"", final=True)


def _checked(response: MapResponse) -> MapResponse:
    try:
        _check_fields(response)
    except NotGoJson as e:
        raise BadMapResponse(escape(str(e))) from None
    return response


def _check_fields(response: MapResponse) -> None:
    """The JSON type of every raw field, and what makes a message ambiguous."""
    check_bounds(response)
    if (parts := _parts(response)) != _NO_PARTS:
        *objects, packet_filter, packet_filters, display_messages = parts
        for name, value in zip(_OBJECTS, objects, strict=True):
            _check_kind(name, value, b"{")
        _check_kind("packet_filter", packet_filter, b"[")
        for chunk in (packet_filters or {}).values():
            _check_kind("packet_filters", chunk, b"[")
        for message in (display_messages or {}).values():
            if is_set(message):
                decode(DisplayMessage, message)
        if is_set(response.derp_map):
            decode(DERPMapDelta, response.derp_map)
    for patch in response.peers_changed_patch or ():
        # A patch for an unknown node would leave a netmap that is wrong in an unknown place.
        if is_set(patch):
            decode(PeerChangeHead, patch)


def _check_kind(name: str, value: msgspec.Raw, opening: bytes) -> None:
    if is_set(value) and bytes(memoryview(value)[:1]) != opening:
        kind = "an object" if opening == b"{" else "a list"
        raise NotGoJson(f"cannot read MapResponse: {name} is not {kind}")
