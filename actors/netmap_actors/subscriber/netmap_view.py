"""The netmap as a subscriber sees it: peers by all they are known by, and everything else the server set.

Contents is what the replica changes, transaction by transaction; Netmap and Peers show it to readers. While one of
them is held, the next transaction changes a copy, so what a reader holds never changes, whatever its thread.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netmap_actors.subscriber.naming import (
    NoSuchNode,
    address_of,
    has_address,
    has_key,
    has_name,
    is_meant,
    own_suffix,
    resolve_node,
)
from netmap_actors.subscriber.peer import Peer, UserProfile, decoded_peer, parse_json
from netmap_actors.subscriber.peer_index import PeerIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["DOCUMENTS", "Contents", "Netmap", "Peers"]

DOCUMENTS = ("dns", "packet_filter", "derp_map", "ssh_policy", "health", "settings")
"""Values kept as the server's JSON, by the name of their attribute."""


class Contents:
    """Encoded peers and documents of one commit."""

    __slots__ = ("_domain", "_index", "_self_node", "_shown", "_suffix", "documents", "peers", "profiles")

    def __init__(self) -> None:
        self.peers: dict[str, bytes] = {}
        """Encoded Peer by stable id."""
        self.documents: dict[str, bytes] = {}
        self.profiles: Mapping[int, UserProfile] = {}
        """Never changed in place: views hold on to the one they were made with."""
        self._self_node = b""
        self._domain = ""
        self._suffix: str | None = None
        self._index: PeerIndex | None = None
        self._shown: weakref.ref[Netmap] | None = None

    @property
    def netmap(self) -> Netmap:
        """These contents for readers; at most one for all of them."""
        held = self._shown() if self._shown is not None else None
        if held is None:
            held = Netmap(self)
            self._shown = weakref.ref(held)
        return held

    def changeable(self) -> Contents:
        """These contents, or a copy while a reader holds them."""
        return self.copy() if self._shown and self._shown() else self

    @property
    def self_node(self) -> bytes:
        """Our own node as an encoded Peer; b"" for none."""
        return self._self_node

    @self_node.setter
    def self_node(self, piece: bytes) -> None:
        self._self_node = piece
        self._suffix = self._own_suffix()

    @property
    def domain(self) -> str:
        """Name of the tailnet, for people."""
        return self._domain

    @domain.setter
    def domain(self, name: str) -> None:
        self._domain = name
        self._suffix = self._own_suffix()

    @property
    def own_suffix(self) -> str | None:
        """What the names of our own tailnet end with (`naming`)."""
        return self._suffix

    def _own_suffix(self) -> str | None:
        return own_suffix(decoded_peer(self._self_node).name, self._domain)

    def view(self, piece: bytes, users: Mapping[int, UserProfile] | None = None) -> Peer:
        """The node behind an encoded Peer, called as it is in this netmap. `users`: others than its own."""
        return Peer(piece, self.profiles if users is None else users, self._suffix)

    @property
    def index(self) -> PeerIndex:
        """By what peers are found; made at the first lookup, and kept current while no reader holds an older netmap."""
        index = self._index
        if index is None:
            index = PeerIndex()
            for stable_id, piece in self.peers.items():
                index.add(stable_id, piece)
            self._index = index  # complete: readers may be in several threads
        return index

    def resolve(self, word: str, meant: Callable[[str, Peer], bool] = is_meant) -> Peer:
        """The one node, ourselves included, that is called that. Raises NoSuchNode or AmbiguousName."""
        stable_ids = dict.fromkeys(self.index.called(word))
        if word in self.peers:
            stable_ids[word] = None
        nodes = [self.view(self.peers[stable_id]) for stable_id in stable_ids]
        if self.self_node:
            nodes.append(self.view(self.self_node))
        return resolve_node(word, nodes, meant)

    def copy(self) -> Contents:
        """Another one for later transactions, which leave this one alone. Its index is yet to be made."""
        other = Contents()
        other.peers = dict(self.peers)
        other.documents = dict(self.documents)
        other.self_node = self.self_node
        other.domain = self.domain
        other.profiles = self.profiles
        return other

    def peer(self, stable_id: str) -> Peer | None:
        """The peer with this stable id."""
        piece = self.peers.get(stable_id)
        return self.view(piece) if piece is not None else None

    def upsert(self, stable_id: str, piece: bytes) -> bytes | None:
        """Put a peer in; what stood in its place."""
        old = self.peers.get(stable_id)
        self.peers[stable_id] = piece
        if self._index is not None:
            if old is not None:
                self._index.discard(stable_id, old)
            self._index.add(stable_id, piece)
        return old

    def remove(self, stable_id: str) -> bytes | None:
        """Take a peer out; None when it was not there."""
        old = self.peers.pop(stable_id, None)
        if old is not None and self._index is not None:
            self._index.discard(stable_id, old)
        return old


class Peers(Mapping[str, Peer]):
    """The peers by stable id; our own node is not among them."""

    __slots__ = ("_contents", "_netmap")

    def __init__(self, contents: Contents, netmap: Netmap) -> None:
        self._contents = contents
        self._netmap = netmap
        """Held, so that the contents do not change."""

    def __getitem__(self, stable_id: str) -> Peer:
        return self._contents.view(self._contents.peers[stable_id])

    def __iter__(self) -> Iterator[str]:
        yield from self._contents.peers  # holds us, and so the contents

    def __len__(self) -> int:
        return len(self._contents.peers)

    def by_name(self, name: str) -> Peer | None:
        """The peer with this full name, or this short one of our own tailnet. Raises AmbiguousName."""
        return self._one(name, has_name)

    def by_address(self, address: str) -> Peer | None:
        """The peer that has this IP address. Raises AmbiguousName, and ValueError for what is no address."""
        return self._one(address_of(address), has_address)

    def by_key(self, key: str) -> Peer | None:
        """The peer with this node key ("nodekey:…"). Raises AmbiguousName."""
        return self._one(key, has_key)

    def by_tag(self, tag: str) -> list[Peer]:
        """The peers with this tag ("tag:web", or "web")."""
        return self._those(self._contents.index.tagged(tag))

    def by_user(self, login_name: str) -> list[Peer]:
        """The peers this user owns."""
        ids = [p.id for p in self._contents.profiles.values() if p.login_name == login_name]
        return [peer for user in ids for peer in self._those(self._contents.index.owned(user))]

    def _those(self, stable_ids: Iterable[str]) -> list[Peer]:
        return [self[stable_id] for stable_id in stable_ids]

    def find(self, word: str) -> Peer | None:
        """The peer with this name, address, stable id or node key. Raises AmbiguousName."""
        return self._one(word, is_meant)

    def _one(self, word: str, meant: Callable[[str, Peer], bool]) -> Peer | None:
        # Our own node is asked, too: a word that means it and a peer is ambiguous.
        try:
            found = self._contents.resolve(word, meant)
        except NoSuchNode:
            return None
        return found if self.get(found.stable_id) == found else None

    def __repr__(self) -> str:
        return f"<Peers: {len(self)}>"


class Netmap:
    """The whole netmap of one commit; it never changes.

    Documents are plain values of the control server's JSON, None where it set none.
    """

    __slots__ = ("__weakref__", "_contents")

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    @property
    def peers(self) -> Peers:
        """The peers: a mapping by stable id, with `by_name`, `by_address`, `by_tag`, `by_user` and `find`."""
        return Peers(self._contents, self)

    @property
    def self_node(self) -> Peer | None:
        """Our own node."""
        piece = self._contents.self_node
        return self._contents.view(piece) if piece else None

    @property
    def domain(self) -> str:
        """Name of the tailnet, for people."""
        return self._contents.domain

    @property
    def own_suffix(self) -> str | None:
        """What the names of our own tailnet's nodes end with: "example.ts.net"; "" for bare names, None: not known."""
        return self._contents.own_suffix

    @property
    def user_profiles(self) -> Mapping[int, UserProfile]:
        """Users by id."""
        return self._contents.profiles

    @property
    def dns(self) -> Any:
        """DNSConfig."""
        return self._document("dns")

    @property
    def packet_filter(self) -> Any:
        """Named lists of FilterRule; no list: everything is denied."""
        return self._document("packet_filter")

    @property
    def derp_map(self) -> Any:
        """DERPMap."""
        return self._document("derp_map")

    @property
    def ssh_policy(self) -> Any:
        """SSHPolicy."""
        return self._document("ssh_policy")

    @property
    def health(self) -> Any:
        """What the control server reports to be wrong."""
        return self._document("health")

    @property
    def settings(self) -> Any:
        """What else the server set, as one object."""
        return self._document("settings")

    def resolve(self, word: str) -> Peer:
        """The node, ourselves included, with this name, address, stable id or node key.

        Raises NoSuchNode or AmbiguousName, whose texts are for people.
        """
        return self._contents.resolve(word)

    def has(self, stable_id: str) -> bool:
        """Whether there is such a node, ourselves included."""
        own = self.self_node
        return stable_id in self._contents.peers or (own is not None and own.stable_id == stable_id)

    def find(self, word: str) -> Peer | None:
        """The same, and None for no such node. Raises AmbiguousName."""
        try:
            return self._contents.resolve(word)
        except NoSuchNode:
            return None

    def to_json(self) -> dict[str, Any]:
        """The netmap as plain values."""
        rest = self.rest_json()
        head = {name: rest.pop(name) for name in ("domain", "self")}
        return head | {"peers": [peer.to_json() for peer in self.peers.values()]} | rest

    def rest_json(self) -> dict[str, Any]:
        """Everything but the peers as plain values."""
        node = self.self_node
        return {
            "domain": self.domain,
            "self": node.to_json() if node is not None else None,
            "user_profiles": [profile.to_json() for profile in self.user_profiles.values()],
            **{name: self._document(name) for name in DOCUMENTS},
        }

    def _document(self, name: str) -> Any:
        return parse_json(self._contents.documents.get(name, b""))
