"""One map session: the request that opens it, and the documents of its stream, numbered. Pure.

Not here: what the documents do to the netmap, and when a session begins or ends (`session`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.control_connection.client.capability import CAPABILITY_VERSION
from netmap_actors.control_connection.client.events import MapDocument, MapText
from netmap_actors.errors import BadMapResponse, RemoteProtocolError
from netmap_actors.protocol.map_framing import MapFrameReader
from netmap_actors.tailcfg import MapRequest, check_map_response_shape, encode

if TYPE_CHECKING:
    from netmap_actors.protocol.keys import DiscoKey, NodeKey
    from netmap_actors.tailcfg import Hostinfo, MapResponseShape

__all__ = ["TEXT_PART", "MapSession", "map_request"]

TEXT_PART = 2 * 1024 * 1024
"""Bytes of a document after which they are told although it is still coming; a smaller one comes whole."""

_SLICE = 16 * 1024
"""Bytes of the stream taken at a time: after each, the documents so far are counted against the limit."""


def map_request(node_key: NodeKey, disco_key: DiscoKey, hostinfo: Hostinfo) -> bytes:
    """The body of the long poll. The same node sends the same bytes each time."""
    return encode(
        MapRequest(
            version=CAPABILITY_VERSION,
            compress="zstd",
            keep_alive=True,
            node_key=str(node_key),
            disco_key=str(disco_key),
            stream=True,
            hostinfo=hostinfo,
        )
    )


class MapSession:
    """One map request and the stream of its answer."""

    def __init__(self, session: int, stream_id: int, since: float, max_decoded: int) -> None:
        self.session = session
        self.stream_id = stream_id
        self.since = since
        """When the request was made."""
        self.last_number = 0
        self.last_received_at = since
        """When the last complete document arrived; the time of the request before the first."""
        self.had_map = False
        """Whether the first map, with our own node, has come."""
        self._max_decoded = max_decoded
        self._frames = MapFrameReader(max_decoded)
        self._decoded = 0
        self._octets = 0
        self._told = 0
        """Bytes told of the document that is coming."""

    @property
    def partial(self) -> bool:
        """Whether the stream so far ends inside a document."""
        return self._frames.partial

    def moved(self, octets: int) -> bool:
        """Whether more of the stream has come than at the last call; `octets`: all that has come."""
        before, self._octets = self._octets, max(octets, self._octets)
        return octets > before

    def begin_read(self) -> None:
        """A read begins: the documents of each are bounded together."""
        self._decoded = 0

    def receive(self, data: bytes, now: float) -> list[tuple[MapDocument, MapResponseShape] | MapText]:
        """Every document completed by `data`, and parts of a large one that is not.

        Raises BadMapResponse, and RemoteProtocolError for a stream that does not begin with a map.
        """
        documents: list[tuple[MapDocument, MapResponseShape] | MapText] = []
        view = memoryview(data)
        for start in range(0, len(view), _SLICE):
            for json in self._frames.receive(view[start : start + _SLICE]):
                self._decoded += len(json)
                if self._decoded > self._max_decoded:
                    raise BadMapResponse(
                        f"cannot read map frames: one read from the network holds over {self._max_decoded} bytes"
                    )
                documents.append(self._document(json, now))
            if self._frames.decoded - self._told >= TEXT_PART:
                text = self._frames.text_from(self._told)
                documents.append(MapText(self.session, self.last_number + 1, self._told, text))
                self._told += len(text)
        return documents

    def _document(self, json: bytes, now: float) -> tuple[MapDocument, MapResponseShape]:
        shape = check_map_response_shape(json)
        if not shape.keep_alive and not self.had_map:
            if not shape.has_node:
                raise RemoteProtocolError("cannot use the map session: its first map has no Node")
            self.had_map = True
        self.last_number += 1
        self.last_received_at = now
        told, self._told = self._told, 0
        return MapDocument(self.session, self.last_number, json, now, shape.keep_alive, told), shape
