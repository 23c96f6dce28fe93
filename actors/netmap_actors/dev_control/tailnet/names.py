"""The first label of a node's name, and the words people call nodes by.

Not here: which node has which (`tailnet`).
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from netmap_actors.dev_control.tailnet.entry import TailnetError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from netmap_actors.dev_control.tailnet.entry import Entry

__all__ = ["find_entry", "free_label", "stable_id_of"]

_LABEL = re.compile(r"[^a-z0-9-]+")
_MAX_LABEL = 63
_NODE_ID = re.compile(r"-?[0-9]{1,19}")
_STABLE_ID = re.compile(r"n(-?[0-9A-F]{1,16})DEV")


def free_label(name: str, taken: Container[str]) -> str:
    """A label like this name; with a number when it is taken."""
    label = _LABEL.sub("-", name.partition(".")[0].lower()).strip("-")[:_MAX_LABEL] or "node"
    chosen, number = label, 0
    while chosen in taken:
        number += 1
        chosen = f"{label[: _MAX_LABEL - 8]}-{number}"
    return chosen


def stable_id_of(node_id: int) -> str:
    """The stable id that a node of this id is given."""
    return f"n{node_id:X}DEV"


def find_entry(
    word: str | int,
    entries: Mapping[int, Entry],
    by_key: Mapping[str, int],
    by_label: Mapping[str, int],
    domain: str,
) -> Entry:
    """The node that a word means, as Tailnet.find has it. Raises TailnetError, also for a word that matches two."""
    if isinstance(word, int) and word in entries:
        return entries[word]
    text = str(word)
    label, _, suffix = text.rstrip(".").lower().partition(".")
    ids = [by_key.get(text), int(text) if _NODE_ID.fullmatch(text) else None, _of_stable_id(text, entries)]
    if suffix in {"", domain.lower()}:
        ids.append(by_label.get(label))
    found = {node_id for node_id in ids if node_id is not None and node_id in entries}
    if not found:
        host = _host_prefix(text)
        nodes = (entry.node for entry in entries.values())
        found = {node.id for node in nodes if node.stable_id == text or host in node.addresses}
    if len(found) > 1:
        raise TailnetError(f"cannot tell which node {text!r} is: one has that name, another that id")
    if not found:
        raise TailnetError(f"cannot find a node {text!r}: no id, name, key or address is like that")
    return entries[found.pop()]


def _of_stable_id(text: str, entries: Mapping[int, Entry]) -> int | None:
    """The node that was given this stable id; one that brought its own is looked for among all."""
    match = _STABLE_ID.fullmatch(text)
    entry = entries.get(int(match[1], 16)) if match else None
    return entry.node.id if entry is not None and entry.node.stable_id == text else None


def _host_prefix(text: str) -> str:
    """An address as a node has it; "" for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return f"{address}/{address.max_prefixlen}"
