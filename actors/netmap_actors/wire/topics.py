"""The topics of the public bus.

A topic is `netmap/1/<kind>`; the number is the version of the schema, and changes only when an old subscriber could
misread a message.
"""

from __future__ import annotations

import enum

__all__ = ["PART_BYTES", "PREFIX", "SCHEMA", "Kind", "kind_of", "topic_of"]

SCHEMA = 1
PREFIX = b"netmap/1/"
PART_BYTES = 256 * 1024
"""Bytes at which a part of an answer closes; one piece larger than that makes a part of its own size."""


class Kind(enum.Enum):
    """The kinds of messages; the value is the name of the field of BusMessage.body."""

    PEER_UPSERTED = "peer_upserted"
    PEER_REMOVED = "peer_removed"
    SELF_CHANGED = "self_changed"
    DNS_CHANGED = "dns_changed"
    PACKET_FILTER_CHANGED = "packet_filter_changed"
    DERP_MAP_CHANGED = "derp_map_changed"
    USER_PROFILES_CHANGED = "user_profiles_changed"
    SSH_POLICY_CHANGED = "ssh_policy_changed"
    DOMAIN_CHANGED = "domain_changed"
    HEALTH_CHANGED = "health_changed"
    SETTINGS_CHANGED = "settings_changed"
    STATE_CHANGED = "state_changed"
    COMMIT = "commit"
    HEARTBEAT = "heartbeat"


_TOPIC = {kind: PREFIX + kind.value.encode() for kind in Kind}
_KIND = {topic: kind for kind, topic in _TOPIC.items()}


def topic_of(kind: Kind) -> bytes:
    """First frame of a message of this kind."""
    return _TOPIC[kind]


def kind_of(topic: bytes) -> Kind | None:
    """The kind behind a topic frame; None for one that a newer publisher may have added."""
    return _KIND.get(topic)
