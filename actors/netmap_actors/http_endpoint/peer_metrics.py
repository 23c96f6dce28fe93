"""What the metrics page says of each peer. Pure: the netmap is an argument.

Written line by line: for the thousands of lines of a large tailnet prometheus_client takes three times as long. Not
here: figures of the daemon and of the netmap as a whole (`metrics`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from netmap_actors.exports.nodes import is_chosen
from netmap_actors.exports.prometheus_sd import SEPARATOR
from netmap_actors.rfc3339 import unix_seconds
from netmap_actors.shown_json import label
from netmap_actors.slices import each
from netmap_actors.wire.vocabulary import TAILNET

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from netmap_actors.subscriber import Netmap, Peer

__all__ = ["Chosen", "families"]

Chosen: TypeAlias = frozenset[str] | None
"""Of which peers is told: of those with one of these tags as `exports.nodes.shown_tags` makes them, of all when there
are none, of nobody when it is None."""

ONLINE = "netmap_peer_online"
LAST_SEEN = "netmap_peer_last_seen_timestamp_seconds"
KEY_EXPIRY = "netmap_peer_key_expiry_timestamp_seconds"
INFO = "netmap_peer_info"
ABOUT = {
    ONLINE: "1 online, 0 offline; absent while unknown",
    LAST_SEEN: "When the control server last saw the peer",
    KEY_EXPIRY: "When the peer's key expires; absent where it never does",
    INFO: "What is known of the peer; tags with a comma around and between",
}


def families(
    netmap: Netmap, tags: frozenset[str], *, open_metrics: bool = False
) -> Generator[None, None, str]:
    """Four families with at most one sample each for a peer. The text format, or OpenMetrics without its end.

    In slices, if the peers are many.
    """
    lines: dict[str, list[str]] = {name: [] for name in ABOUT}

    def tell(viewed: Peer) -> None:
        peer = viewed.held()
        if is_chosen(peer.tags, peer.online, wanted=tags, online_only=False):
            for name, labels, value in _samples(peer):
                lines[name].append(f"{name}{{{labels}}} {value}\n")

    yield from each(netmap.peers.values(), tell)
    return "".join(_headed(name, lines[name], open_metrics=open_metrics) for name in ABOUT)


def _samples(peer: Peer) -> Iterator[tuple[str, str, float]]:
    """(metric, labels, value)."""
    named = f'stable_id="{_quoted(peer.stable_id)}",name="{_quoted(peer.name)}"'
    here = f'tailnet="{TAILNET}",{named}'
    if peer.online is not None:
        yield ONLINE, named, float(peer.online)
    for name, labels, moment in ((LAST_SEEN, named, peer.last_seen), (KEY_EXPIRY, here, peer.key_expiry)):
        seconds = unix_seconds(moment or "")
        if seconds is not None:
            yield name, labels, seconds
    tags = SEPARATOR.join(tag for tag in peer.tags if tag and SEPARATOR not in tag)
    tags = f"{SEPARATOR}{tags}{SEPARATOR}" if tags else ""
    yield (
        INFO,
        f'{here},os="{_quoted(peer.os)}",user="{_quoted(peer.user or "")}",tags="{_quoted(tags)}"',
        1.0,
    )


def _headed(name: str, lines: list[str], *, open_metrics: bool) -> str:
    # An info is a family of its own in OpenMetrics, named without the ending of its samples.
    family, kind = (name.removesuffix("_info"), "info") if open_metrics and name == INFO else (name, "gauge")
    return f"# HELP {family} {ABOUT[name]}\n# TYPE {family} {kind}\n" + "".join(lines)


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and "\\" not in text and '"' not in text:
        return text
    # A line break is an escape of `label` by now.
    return label(text).replace("\\", "\\\\").replace('"', '\\"')
