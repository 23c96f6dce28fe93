"""The names of a node, and which node a word means: one rule for every command, page and program.

A node goes by its full name, its addresses, its stable id and its node key; only a node of our own tailnet also by the
first label of its name. One that is shared in has its full name alone (tailscale issue 976), or it could take the place
of ours. Two nodes behind one word are an error, never a choice.

Not here: the index of many nodes (`peer_index`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from netmap_actors.errors import Disposition, NetmapError, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "AmbiguousName",
    "Named",
    "NoSuchNode",
    "address_of",
    "first_label",
    "folded_name",
    "has_address",
    "has_key",
    "has_name",
    "host_address",
    "is_meant",
    "own_suffix",
    "resolve_node",
    "short_name",
]

_MAX_LISTED: Final = 10
"""Nodes listed in an error; of the others it gives the number."""
_MAX_WORD: Final = 80
_MAX_NAME: Final = 255


class Named(Protocol):
    """A node, as far as its names go; `subscriber.Peer` is one."""

    @property
    def stable_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def short_name(self) -> str | None: ...
    @property
    def addresses(self) -> Sequence[str]: ...
    @property
    def key(self) -> str: ...


Node = TypeVar("Node", bound=Named)


class NoSuchNode(NetmapError, LookupError):
    """No node is called that."""

    disposition = Disposition.GIVE_UP

    def __init__(self, word: str, strangers: Iterable[Named] = ()) -> None:
        """`strangers`: nodes that would go by this word if they were of our own tailnet."""
        text = f"cannot find {_quoted(word)}: no node has this name, address, stable id or node key"
        full = [escape(node.name, _MAX_NAME) for node in strangers]
        if full:
            text += f"; a node of another tailnet has its full name only: {_listed(full)}"
        super().__init__(text)


class AmbiguousName(NetmapError, LookupError):
    """Several nodes are called that."""

    disposition = Disposition.GIVE_UP

    def __init__(self, word: str, candidates: Iterable[Named]) -> None:
        self.word = word
        self.candidates: tuple[Named, ...] = tuple(candidates)
        """The nodes it could mean."""
        nodes = _listed([_described(node) for node in self.candidates])
        super().__init__(
            f"cannot tell which node {_quoted(word)} is: {nodes}; "
            "use what only one of them has: a full name, an address or a stable id"
        )


def own_suffix(own_name: str, domain: str) -> str | None:
    """What the names of our own tailnet end with, without a dot before or after it; "" where names have one label.

    It is what follows the first label of our own node's name (tailscale: types/netmap/netmap.go, MagicDNSSuffix).
    `domain`, MapResponse's, is the same with headscale and a name for people with Tailscale; so it counts only while
    our own node has no name. None: not known, and no node has a short name.
    """
    name = folded_name(own_name)
    return name.partition(".")[2] if name else folded_name(domain) or None


def short_name(name: str, sharer_id: int, suffix: str | None) -> str | None:
    """The first label, if it names a node of our own tailnet; `suffix` comes from `own_suffix`.

    `sharer_id`: the user who shares the node into our tailnet, 0 for none.
    """
    label, _, rest = name.rstrip(".").partition(".")
    return label if label and not sharer_id and suffix is not None and folded_name(rest) == suffix else None


def is_meant(word: str, node: Named) -> bool:
    """Whether this node is called that, in any of the ways there are."""
    return word == node.stable_id or has_name(word, node) or has_address(word, node) or has_key(word, node)


def resolve_node(word: str, nodes: Iterable[Node], meant: Callable[[str, Node], bool] = is_meant) -> Node:
    """The node with this name. Raises NoSuchNode, or AmbiguousName for several.

    `meant(word, node)`: what counts as its name; by default any of them.
    """
    known = list(nodes)
    found = [node for node in known if meant(word, node)]
    if len(found) > 1:
        raise AmbiguousName(word, found)
    if not found:
        raise NoSuchNode(word, [node for node in known if first_label(node.name) == folded_name(word)])
    return found[0]


def has_name(word: str, node: Named) -> bool:
    """Whether this is its full or its short name, in large or small letters, with or without a dot at the end."""
    wanted = folded_name(word)
    return bool(wanted) and wanted in {folded_name(node.name), folded_name(node.short_name or "")}


def has_address(word: str, node: Named) -> bool:
    """Whether this is one of its addresses, however it is written."""
    try:
        address = address_of(word)
    except ValueError:
        return False
    return any(host_address(prefix) == address for prefix in node.addresses)


def has_key(word: str, node: Named) -> bool:
    """Whether this is its node key ("nodekey:" and 64 hex digits)."""
    return bool(word) and word.lower() == node.key.lower()


def first_label(name: str) -> str:
    """As it is compared: what a node would go by if it were of our own tailnet."""
    return folded_name(name).partition(".")[0]


def folded_name(name: str) -> str:
    """A name as it is compared: without the dot at the end, ASCII letters small, all else as it is (RFC 4343)."""
    bare = name.rstrip(".")
    if bare.isascii():
        return bare.lower()
    return "".join(c.lower() if c.isascii() else c for c in bare)


def address_of(text: str) -> str:
    """The one way to write an IP address: "fd7a:0::1" is fd7a::1, "::ffff:100.64.0.1" is 100.64.0.1.

    Brackets around it and the /32 or /128 of a single address are part of no other. Raises ValueError.
    """
    bare, slash, bits = text.partition("/")
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    address = ipaddress.ip_address(bare)
    if slash and bits != str(address.max_prefixlen):
        raise ValueError(f"{text!r} is a network and no address")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def host_address(prefix: str) -> str | None:
    """The address of one of Node.Addresses; None for a network, or what is no address.

    There is only one way to write an IPv4 address, and writing it again takes most of the time: it is left as it is.
    """
    if ":" not in prefix:
        bare = prefix.removesuffix("/32")
        return None if "/" in bare else bare
    try:
        return address_of(prefix)
    except ValueError:
        return None


def _described(node: Named) -> str:
    about = [address for address in map(host_address, node.addresses) if address is not None]
    words = ", ".join(escape(word, _MAX_WORD) for word in (*about[:1], node.stable_id))
    return f"{escape(node.name, _MAX_NAME) or 'a node without a name'} ({words})"


def _listed(items: list[str]) -> str:
    more = len(items) - _MAX_LISTED
    return ", ".join(sorted(items)[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _quoted(word: str) -> str:
    return repr(escape(word, _MAX_WORD))
