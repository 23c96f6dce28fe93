"""Names of peers for a shell that completes a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from netmap_actors.errors import NetmapError
from netmap_supervisor.cli.parameters.followed_daemon import daemon_of_completion

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

    from netmap_actors.subscriber import Netmap

__all__ = ["complete_peer"]

_LIMIT = 2.0
"""Seconds that a person waits at most."""
_MOST = 500


def complete_peer(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The nodes whose name begins like that, as they are called in commands; none without a daemon."""
    daemon = daemon_of_completion(ctx)
    if daemon is None:
        return []
    try:
        with daemon.subscriber() as subscriber:
            subscriber.wait_for_answer(_LIMIT)
            netmap = subscriber.store.netmap
    except NetmapError:
        return []
    return [CompletionItem(name) for name in sorted(_called(netmap, begun.lower()))[:_MOST]]


def _called(netmap: Netmap, begun: str) -> Iterator[str]:
    own = netmap.self_node
    for node in (*netmap.peers.values(), *(() if own is None else (own,))):
        name = node.name if node.short_name is None or "." in begun else node.short_name
        # What a shell would read as something else is not offered.
        if (
            name.lower().startswith(begun)
            and name.isascii()
            and name.replace(".", "").replace("-", "").isalnum()
        ):
            yield name
