"""Names of peers and tags for a shell that completes a command, and the words of a daemon that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from netmap_actors.errors import NetmapError
from netmap_supervisor.cli.parameters.followed_daemon import daemon_of_completion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from netmap_actors.subscriber import Netmap

__all__ = ["complete_peer", "complete_with", "peer_names", "tag_flag"]

_F = TypeVar("_F", bound="Callable[..., Any]")
_LIMIT = 2.0
"""Seconds that a person waits at most."""
_MOST = 500


def complete_peer(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The nodes whose name begins like that, as they are called in commands; none without a daemon."""
    return [CompletionItem(name) for name in peer_names(ctx, begun)]


def complete_with(
    words: Callable[[click.Context], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completion by words that are asked for; none where that fails."""

    def complete(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(word) for word in sorted(words(ctx)) if word.startswith(begun)]
        except (NetmapError, click.ClickException):
            return []

    return complete


class _Tag(click.ParamType):  # type: ignore[type-arg]  # older click has none
    """A tag, with or without `tag:`."""

    name = "tag"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Raises click.BadParameter for an empty one, as from an unset variable: no node has it."""
        if not str(value).removeprefix("tag:"):
            self.fail("a tag such as web or tag:web is expected", param, ctx)
        return str(value)


def _complete_tag(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The tags of the nodes that begin like that."""
    netmap = _netmap(ctx)
    tags = set() if netmap is None else {tag for node in netmap.peers.values() for tag in node.tags}
    shown = (tag if ":" in begun else tag.removeprefix("tag:") for tag in tags)
    return [CompletionItem(tag) for tag in sorted(shown)[:_MOST] if tag.startswith(begun) and _harmless(tag)]


def tag_flag(help_text: str) -> Callable[[_F], _F]:
    """`--tag TAG`, which may be repeated; the command gets them as `tags`."""
    return click.option(
        "--tag",
        "tags",
        multiple=True,
        type=_Tag(),
        shell_complete=_complete_tag,
        metavar="TAG",
        help=f"{help_text}; repeated: with one of them.",
    )


def peer_names(ctx: click.Context, begun: str) -> list[str]:
    """The nodes whose name begins like that, as they are called in commands; none without a daemon."""
    netmap = _netmap(ctx)
    return [] if netmap is None else sorted(_called(netmap, begun.lower()))[:_MOST]


def _netmap(ctx: click.Context) -> Netmap | None:
    daemon = daemon_of_completion(ctx)
    if daemon is None:
        return None
    try:
        with daemon.subscriber() as subscriber:
            subscriber.wait_for_answer(_LIMIT)
            return subscriber.store.netmap
    except NetmapError:
        return None


def _called(netmap: Netmap, begun: str) -> Iterator[str]:
    own = netmap.self_node
    for node in (*netmap.peers.values(), *(() if own is None else (own,))):
        name = node.name if node.short_name is None or "." in begun else node.short_name
        if name.lower().startswith(begun) and _harmless(name):
            yield name


def _harmless(word: str) -> bool:
    """What a shell would read as something else is not offered."""
    return word.isascii() and word.translate({ord(sign): None for sign in ".-_:"}).isalnum()
