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
_documents: Final = operator.attrgetter(*_OBJECTS)
_NO_DOCUMENTS: Final = _documents(MapResponse())


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
    name, number = _longest(response)
    if number > max_peers:
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


def _longest(response: MapResponse) -> tuple[str, int]:
    """Which of the fields that name peers names most, and how many."""
    numbers = [len(field) if field else 0 for field in _of_peers(response)]
    number = max(numbers)
    return _OF_PEERS[numbers.index(number)], number


def check_map_response_shape(data: bytes) -> MapResponseShape:
    """The first gate, for the process that passes the document on: as `decode_map_response`.

    A message of more than MAX_PEERS peers is not examined further: the publisher refuses it.
    """
    response = complete(_decoding(data))
    if _longest(response)[1] <= MAX_PEERS:
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
    documents = _documents(response)
    if documents != _NO_DOCUMENTS:
        for name, value in zip(_OBJECTS, documents, strict=True):
            _check_kind(name, value, b"{")
    _check_kind("packet_filter", response.packet_filter, b"[")
    for chunk in (response.packet_filters or {}).values():
        _check_kind("packet_filters", chunk, b"[")
    for message in (response.display_messages or {}).values():
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
