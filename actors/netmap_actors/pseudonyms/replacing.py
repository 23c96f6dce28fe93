"""Replaces the originals in documents, member by member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from netmap_actors.pseudonyms import fields, shapes
from netmap_actors.pseudonyms.originals import Originals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Pseudonyms"]

_LARGE: Final = 1 << 31
"""A number from here on, in a member that is not known, may be the id of somebody."""


class Pseudonyms:
    """The pseudonyms of one file.

    `salt`: random bytes, thrown away with the object: without them no original can be tried out. `harmless`: dotted
    words that are no names of hosts wherever they stand in a text.
    """

    def __init__(self, salt: bytes, harmless: Iterable[str] = ()) -> None:
        self._originals = Originals(salt, frozenset(harmless))

    @property
    def counts(self) -> dict[str, int]:
        """How many different originals were replaced, by kind."""
        return self._originals.counts

    def map_response(self, message: dict[str, Any]) -> dict[str, Any]:
        """A MapResponse, or a MapRequest, as JSON gave it, with pseudonyms; members that are not known too."""
        replaced: dict[str, Any] = self.document(message, "tailcfg")
        return replaced

    def document(self, value: Any, kind: Literal["tailcfg", "report"]) -> Any:
        """Plain JSON values with pseudonyms.

        `kind`: "tailcfg" for what a control server or a node says, where a text in an unknown member is replaced too;
        "report" for what this project says of itself, where it is a sentence.
        """
        if kind == "tailcfg":
            return _Walk(self._originals, fields.TAILCFG, self._originals.anything).value(value, "", "")
        return _Walk(self._originals, fields.OURS, self._originals.text).value(value, "", "")

    def name(self, name: str) -> str:
        """The name of a host; it is replaced in every text from now on."""
        return self._originals.name(name)

    def user(self, user: str) -> str:
        """As `name`, for a person."""
        return self._originals.by_kind["login"](user)

    def text(self, text: str) -> str:
        """Text with pseudonyms for what was seen so far, and for what looks like a key, an address or a name."""
        return self._originals.text(text)


class _Walk:
    """Through one document. `table`: the kinds of its members; `other`: for a text in any other member."""

    def __init__(self, originals: Originals, table: Mapping[str, str], other: Callable[[str], str]) -> None:
        self._originals = originals
        self._table = table
        self._other = other
        self._closed = table is fields.TAILCFG

    def value(self, value: Any, member: str, parent: str) -> Any:
        """`member`: the folded name of what this is the value of, `parent`: of what that is in."""
        if isinstance(value, dict):
            return dict(self._members(value, member))
        if isinstance(value, list | tuple):
            return list(self._items(value, member, parent))
        kind = self._kind(member, parent)
        if isinstance(value, str):
            return (self._other if kind is None else self._originals.by_kind[kind])(value)
        if isinstance(value, bool) or value is None:
            return value
        if kind == "place":
            return 0
        # 1e10 is the same number to a reader of JSON.
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if whole and (kind == "number" or (kind is None and self._closed and abs(value) >= _LARGE)):
            return self._originals.number(int(value))
        return value

    def _kind(self, member: str, parent: str) -> str | None:
        return self._table.get(f"{parent}.{member}") or self._table.get(member)

    def _items(self, values: Iterable[Any], member: str, parent: str) -> Iterator[Any]:
        ranges = self._closed and self._kind(member, parent) == "address"
        for value in values:
            if ranges and isinstance(value, str):
                yield from self._originals.several(value)
            elif self._closed and member == "dstports" and isinstance(value, dict):
                made = self.value(value, member, parent)
                given = value.get("IP")
                for address in self._originals.several(given) if isinstance(given, str) else [None]:
                    yield made if address is None else made | {"IP": address}
            else:
                yield self.value(value, member, parent)

    def _members(self, values: dict[str, Any], member: str) -> Iterator[tuple[str, Any]]:
        named_by = fields.KEYS.get(member) if self._closed else None
        for name, value in values.items():
            if named_by is not None:
                inside = (
                    "?"
                    if member in fields.ARBITRARY
                    else "localuser"
                    if member == "sshusers"
                    else "resolvers"
                )
                yield self._originals.by_kind[named_by](name), self.value(value, inside, member)
            elif self._is_schema(name, member):
                yield name, self.value(value, fields.folded(name), member)
            else:
                yield self._other(name), self.value(value, "?", member)

    def _is_schema(self, name: str, member: str) -> bool:
        """Whether it is the protocol that named this member, not somebody who has a name in it."""
        if not shapes.IDENTIFIER.fullmatch(name):
            return False
        folded = fields.folded(name)
        known = folded in self._table or folded in fields.KEYS or folded in fields.STRUCTS
        return known or not self._closed or member in fields.STRUCTS or member == ""
