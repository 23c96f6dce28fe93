"""Words in the place of words, numbered as they come, and where originals stand in a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netmap_actors.errors import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Words"]

_WORD: Final = re.compile(r"\w+")
_CUT: Final = "…"
"""What this project writes where it cuts a text."""
_SHORTEST_CUT: Final = 3
"""Characters: less of an original says nothing."""


class Words:
    """Originals and their pseudonyms; upper and lower case are one."""

    def __init__(self) -> None:
        self._pseudonyms: dict[str, str] = {}
        self._given: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._begin: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        """By the first word of an original: its pattern from there on, the longest first."""
        self._odd: list[tuple[str, str]] = []
        """Originals that begin with something else."""

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

    def _next(self, kind: str) -> str:
        while True:
            number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
            # A pseudonym that somebody has as a name would be read as that.
            if not self.knows(name := f"{kind}-{number}"):
                return name

    def _look_for(self, spelling: str, pseudonym: str) -> None:
        first = _WORD.match(spelling)
        if first is None:
            self._odd.append((spelling, pseudonym))
            self._odd.sort(key=lambda one: -len(one[0]))
            return
        end = r"(?!\w)" if _WORD.match(spelling[-1]) else ""
        pattern = re.compile(re.escape(spelling) + end, re.IGNORECASE)
        others = self._begin.setdefault(first[0].casefold(), [])
        others.append((pattern, pseudonym))
        others.sort(key=lambda one: -len(one[0].pattern))

    def replaced(self, text: str) -> str:
        """The text with a pseudonym for each original in it."""
        return "".join(self._pieces(text, self._between))

    def _pieces(self, text: str, between: Callable[[str], str]) -> Iterator[str]:
        done = 0
        for token in _WORD.finditer(text):
            start = token.start()
            if start < done:
                continue
            found = self._at(text, token)
            if found is None:
                continue
            end, pseudonym = found
            yield between(text[done:start])
            yield pseudonym
            done = end
        yield between(text[done:])

    def _at(self, text: str, token: re.Match[str]) -> tuple[int, str] | None:
        """Where the original that begins there ends, and its pseudonym."""
        start, end = token.span()
        for pattern, pseudonym in self._begin.get(token[0].casefold(), ()):
            if (found := pattern.match(text, start)) is not None:
                return found.end(), pseudonym
        cut = text.find(_CUT, end)
        if cut - start < _SHORTEST_CUT:
            return None
        beginning = text[start:cut].casefold()
        for original, pseudonym in self._pseudonyms.items():
            if original.startswith(beginning):
                return cut, pseudonym
        return None

    def _between(self, text: str) -> str:
        for original, pseudonym in self._odd:
            text = text.replace(original, pseudonym)
        return text
