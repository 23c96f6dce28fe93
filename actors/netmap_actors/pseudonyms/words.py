"""NumberedWords in the place of words, numbered as they come, and where originals stand in a text."""

from __future__ import annotations

import bisect
import operator
import re
from typing import Final, NamedTuple

from netmap_actors.errors import escape

__all__ = ["NumberedWords"]

_WORD: Final = re.compile(r"\w+")
_CUT: Final = "…"
"""What this project writes where it cuts a text."""
_SHORTEST_CUT: Final = 3
"""Characters: less of an original says nothing."""
_LONGEST_CUT: Final = 1000
_INSIDE: Final = re.compile(r"\w\w")
"""Between two letters no word ends."""


class _Beginning(NamedTuple):
    """Spellings of originals that begin with the same word."""

    pseudonyms: dict[str, str]
    lengths: list[int]
    """Those that occur, the longest first."""


class NumberedWords:
    """Originals and their pseudonyms; upper and lower case are one."""

    def __init__(self) -> None:
        self._pseudonyms: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._begin: dict[str, _Beginning] = {}
        """By the first word."""
        self._odd: dict[str, str] = {}
        """Spellings that begin with something else."""

    @property
    def counts(self) -> dict[str, int]:
        """How many originals of each kind were replaced."""
        return dict(self._numbers)

    def knows(self, original: str) -> bool:
        """Whether it has a pseudonym."""
        return original.casefold() in self._pseudonyms

    def word(self, original: str, kind: str, shown: str = "{}", *, in_text: bool = True) -> str:
        """The pseudonym: `KIND-NUMBER` in `shown`. `in_text`: it is looked for in texts too."""
        key = original.casefold()
        if (known := self._pseudonyms.get(key)) is None:
            known = shown.format(self._next(kind))
            self._pseudonyms[key] = known
            if in_text:
                for spelling in {original, key, escape(original, 10_000)}:
                    self._look_for(spelling, known)
        return known

    def replaced(self, text: str) -> str:
        """The text with a pseudonym for each original in it."""
        out = []
        done = 0
        for word in _WORD.finditer(text):
            start = word.start()
            if start < done:
                continue
            found = self._at(text, word)
            if found is None:
                continue
            end, pseudonym = found
            out += [self._without_odd(text[done:start]), pseudonym]
            done = end
        out.append(self._without_odd(text[done:]))
        return "".join(out)

    def _next(self, kind: str) -> str:
        while True:
            number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
            # A pseudonym that somebody has as a name would be read as that.
            if not self.knows(name := f"{kind}-{number}"):
                return name

    def _look_for(self, spelling: str, pseudonym: str) -> None:
        first = _WORD.match(spelling)
        if spelling.isascii() and _WORD.search(spelling) is None:
            return  # spaces and signs, which stand in every text, name nobody
        if first is None:
            self._odd[spelling] = pseudonym
            return
        beginning = self._begin.setdefault(first[0].casefold(), _Beginning({}, []))
        beginning.pseudonyms[spelling.casefold()] = pseudonym
        if len(spelling) not in beginning.lengths:
            bisect.insort(beginning.lengths, len(spelling), key=operator.neg)

    def _at(self, text: str, word: re.Match[str]) -> tuple[int, str] | None:
        """Where the original that begins with this word ends, and its pseudonym."""
        start, end = word.span()
        first = word[0].casefold()
        beginning = self._begin.get(first)
        if beginning is not None:
            for length in beginning.lengths:
                stop = start + length
                pseudonym = beginning.pseudonyms.get(text[start:stop].casefold())
                if pseudonym is not None and not _INSIDE.match(text, stop - 1):
                    return min(stop, len(text)), pseudonym
        cut = text.find(_CUT, end, start + _LONGEST_CUT)
        if cut - start < _SHORTEST_CUT:
            return None
        # The word itself may be cut.
        candidates = [
            one for key, one in self._begin.items() if key == first or (cut == end and key.startswith(first))
        ]
        part = text[start:cut].casefold()
        for one in candidates:
            for original, pseudonym in one.pseudonyms.items():
                if original.startswith(part):
                    return cut, pseudonym
        return None

    def _without_odd(self, text: str) -> str:
        for original in sorted(filter(text.__contains__, self._odd), key=len, reverse=True):
            text = text.replace(original, self._odd[original])
        return text
