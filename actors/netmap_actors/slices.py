"""Long work in slices, so that whoever does it can beat, answer and stop in between.

Work is a generator: where it yields it may go on later, or be dropped. Not here: when it goes on (its caller knows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

__all__ = ["LENGTH", "complete", "each"]

LENGTH = 2000
"""Items in a slice: peers take some tens of milliseconds."""

_T = TypeVar("_T")


def each(items: Iterable[_T], do: Callable[[_T], object]) -> Iterator[None]:
    """Do this with every item. The items must stay as they are meanwhile."""
    for number, item in enumerate(items, start=1):
        do(item)
        if number % LENGTH == 0:
            yield


def complete(work: Generator[None, None, _T]) -> _T:
    """Do the whole work at once."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: _T = done.value
            return result
