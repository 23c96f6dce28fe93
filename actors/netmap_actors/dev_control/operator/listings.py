"""Snapshots of the nodes and clients of a control server, for display.

Not here: who asks for them (`commands`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netmap_actors.dev_control.http.connection import ClientConnection
    from netmap_actors.dev_control.tailnet.tailnet import Entry

__all__ = ["ClientView", "NodeView", "StreamView", "view_of_client", "view_of_node"]


class NodeView(msgspec.Struct, frozen=True):
    """A node of the tailnet, for display."""

    id: int
    stable_id: str
    name: str
    addresses: tuple[str, ...]
    tags: tuple[str, ...]
    routes: tuple[str, ...]
    online: bool | None
    key: str
    registered: bool
    ephemeral: bool
    expired: bool
    authorized: bool


class StreamView(msgspec.Struct, frozen=True):
    """A live map stream."""

    node_id: int
    node: str
    """Label of the node; empty when it has been deleted."""
    age: float
    """Seconds."""
    began_at: float
    """When it was asked for, seconds of CLOCK_BOOTTIME: the same whenever it is looked at."""
    messages: int
    compress: bool
    held: bool


class ClientView(msgspec.Struct, frozen=True):
    """A connection and what came in on it."""

    number: int
    names: tuple[str, ...]
    """Words that faults may use for it: connection:N, host:port, and what its node is called."""
    remote_address: str
    """host:port of the client's end."""
    machine: str
    version: int
    age: float
    """Seconds."""
    bytes_received: int
    bytes_sent: int
    registers: int
    maps: int
    """Streaming map requests."""
    lite_updates: int
    reads: int
    faults: tuple[str, ...]
    map_streams: tuple[StreamView, ...]


def view_of_node(entry: Entry) -> NodeView:
    node = entry.node
    return NodeView(
        id=node.id,
        stable_id=node.stable_id,
        name=node.name,
        addresses=node.addresses,
        tags=node.tags,
        routes=tuple(dict.fromkeys((*entry.routes, *entry.approved))),
        online=node.online,
        key=node.key,
        registered=entry.real,
        ephemeral=entry.ephemeral,
        expired=node.expired,
        authorized=node.machine_authorized,
    )


def view_of_client(connection: ClientConnection, entries: Mapping[int, Entry], now: float) -> ClientView:
    link, counts = connection.link, connection.api.counts
    streams = [
        StreamView(
            node_id=stream.node_id,
            node=entries[stream.node_id].label if stream.node_id in entries else "",
            age=now - stream.began_at,
            began_at=stream.began_at,
            messages=stream.messages,
            compress=stream.compress,
            held=stream.held,
        )
        for stream in link.streams.values()
    ]
    return ClientView(
        number=link.number,
        names=tuple(sorted(link.names())),
        remote_address=link.remote,
        machine="" if link.machine is None else str(link.machine),
        version=connection.version,
        age=now - connection.opened_at,
        bytes_received=connection.bytes_received,
        bytes_sent=connection.bytes_sent,
        registers=counts.register,
        maps=counts.map,
        lite_updates=counts.lite,
        reads=counts.read,
        faults=tuple(connection.injector.injected),
        map_streams=tuple(streams),
    )
