"""A decoded policy file gone through value by value, each with its place; and the error of one that cannot be used.

Not here: the decoding (`hujson`), and what the values mean (`rules`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import ConfigurationError, escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.dev_control.tailnet.policy.hujson import Step

__all__ = ["BadPolicy", "Part"]


class BadPolicy(ConfigurationError):
    """A policy that cannot be used; the text names the place in it."""

    def __init__(self, why: str, path: tuple[Step, ...] = (), *, name: bool = False) -> None:
        """`path`: to the value that is wrong; `name`: what is wrong is its name."""
        super().__init__(f"cannot use the policy: {why}")
        self.why = why
        self.path = path
        self.name = name

    def at(self, line: int, column: int) -> BadPolicy:
        """The same, with the place in the file."""
        return BadPolicy(f"line {line}, column {column}: {self.why}", self.path, name=self.name)


class Part(msgspec.Struct, frozen=True):
    """A value of the document. What has not the form that is asked for raises BadPolicy."""

    value: Any
    path: tuple[Step, ...] = ()

    def wrong(self, why: str, *, name: bool = False) -> BadPolicy:
        """The error that this value, or its name, is not as it has to be."""
        where = ""
        for step in self.path:
            where += f"[{step}]" if isinstance(step, int) else f".{escape(step, 40)}"
        return BadPolicy(f"{where.lstrip('.') or 'the policy'}: {why}", self.path, name=name)

    def members(self) -> dict[str, Part]:
        """Of an object, by their names."""
        if not isinstance(self.value, dict):
            raise self.wrong("it is not an object")
        return {key: Part(value, (*self.path, key)) for key, value in self.value.items()}

    def fields(self, known: Iterable[str], why: str, **others: str) -> dict[str, Part]:
        """Of an object with fixed names; small and capital letters are the same, as in Go's encoding/json.

        `why`: what is said of another name; `others`: older names of fields. What is null is absent.
        """
        names = {name.lower(): name for name in known} | others
        found: dict[str, Part] = {}
        for key, part in self.members().items():
            name = names.get(key.lower())
            if name is None:
                raise part.wrong(why, name=True)
            if name in found:
                raise part.wrong(f"it is {name} again, which stands there already", name=True)
            if part.value is not None:
                found[name] = part
        return found

    def items(self) -> list[Part]:
        """Of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("it is not a list")
        return [Part(value, (*self.path, index)) for index, value in enumerate(self.value)]

    def words(self) -> list[Part]:
        """Of a list of texts, none of them empty."""
        found = self.items()
        for part in found:
            if not isinstance(part.value, str) or not part.value:
                raise part.wrong("it is not a list of words: this is none")
        return found

    @property
    def shown(self) -> str:
        """As it may stand in an error."""
        return repr(escape(str(self.value), 80))
