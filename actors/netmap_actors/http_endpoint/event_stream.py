"""The netmap's events as server-sent events (HTML Living Standard, 9.2), each with the object `watch --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors import shown_json
from netmap_actors.http_endpoint.json_parts import json_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.subscriber import Event, Snapshot

__all__ = ["COMMENT", "CONTENT_TYPE", "HEADERS", "encode_event", "error", "snapshot_event"]

CONTENT_TYPE = "text/event-stream; charset=utf-8"
HEADERS = [("X-Accel-Buffering", "no"), ("Cache-Control", "no-store, no-transform")]
"""Without the first nginx keeps events to itself until it has a page of them (ngx_http_proxy_module, proxy_buffering);
without `no-transform` HAProxy does, where it compresses: its compression has no flush (`compression`)."""
COMMENT = b":\n\n"
"""Keeps proxies from taking a quiet stream for a dead one."""


def encode_event(event: Event) -> bytes:
    """One event; its JSON has no line break, so it is one `data` line."""
    data = shown_json.encode(event.to_json())
    return b"id: %d:%d\nevent: %s\ndata: %s\n\n" % (event.epoch, event.seq, event.kind.encode(), data)


def snapshot_event(event: Snapshot) -> Iterator[bytes]:
    """The snapshot as one event, made in parts: of a large tailnet it has tens of megabytes."""
    netmap = event.netmap
    head = {
        "type": event.kind,
        "epoch": event.epoch,
        "seq": event.seq,
        "state": event.state,
        "age_s": event.age_s,
    }
    yield b'id: %d:%d\nevent: snapshot\ndata: %s,"netmap":' % (
        event.epoch,
        event.seq,
        shown_json.encode(head)[:-1],
    )
    yield from json_parts(netmap)
    yield b"}\n\n"


def error(why: str) -> bytes:
    """The last event of a stream that cannot go on: a name has several nodes behind it, or the token was revoked."""
    return b"event: error\ndata: %s\n\n" % shown_json.encode({"type": "error", "error": why})
