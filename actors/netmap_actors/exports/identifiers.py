"""Words as identifiers: what programs take as the name of a group, a set or a backend."""

from __future__ import annotations

import collections
import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["identifier", "identifiers"]

_MAX: Final = 60
_DIGITS: Final = 8
_OTHER: Final = re.compile(r"[^a-z0-9_]")


def identifier(word: str) -> str:
    """The word in small letters, digits and underscores, which stand for everything else; never empty.

    It begins with a letter or an underscore. Two words may have the same one.
    """
    plain = _OTHER.sub("_", word.lower())[:_MAX]
    return plain if plain[:1].isalpha() or plain.startswith("_") else f"_{plain}"


def identifiers(words: Iterable[str]) -> dict[str, str]:
    """An identifier for each word, all different; the same words have the same ones in any order.

    Where several words have one, it belongs to the word that is written like it, if there is one; to the others a part
    of their SHA-256 is added.
    """
    given = dict.fromkeys(sorted(words))
    bearers = collections.Counter(map(identifier, given))
    found = {word: plain for word in given if bearers[plain := identifier(word)] == 1 or plain == word}
    taken = set(found.values())
    for word in given:
        if word not in found:
            digest = hashlib.sha256(word.encode(errors="surrogatepass")).hexdigest()
            length = _DIGITS
            while (name := f"{identifier(word)}_{digest[:length]}") in taken:
                length += 1
            found[word] = name
            taken.add(name)
    return found
