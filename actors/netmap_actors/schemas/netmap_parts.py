"""The shapes of `netmap dns|users|filter --json`, as `shapes` has those of the whole netmap."""

from __future__ import annotations

from netmap_actors.schemas.shapes import Document, TailnetUser, Trusted

__all__ = ["DnsAnswer", "PacketFilterAnswer", "UsersAnswer"]


class DnsAnswer(Trusted):
    """The settings for DNS: `netmap dns --json`."""

    dns: Document
    """DNSConfig of the control server; null: none."""


class UserWithNodes(TailnetUser):
    """A user and what it owns. One without a profile has its id and empty texts."""

    nodes: list[str]
    """Stable ids."""


class UsersAnswer(Trusted):
    """The users, our own node's included: `netmap users --json`."""

    users: list[UserWithNodes]
    """By login name."""


class PacketFilterAnswer(Trusted):
    """Who may reach what on this node: `netmap filter --json`."""

    packet_filter: Document
    """Named lists of FilterRule; null: everything is denied."""
