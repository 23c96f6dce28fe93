"""Long work in slices, so that its process can send heartbeats, answer and stop in between.

Work is a generator that may be resumed or dropped where it yields. Not here: when it is resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator

__all__ = ["LENGTH", "complete", "each"]

LENGTH = 2000
"""Items in a slice: peers take some tens of milliseconds."""

_T = TypeVar("_T")


def each(items: Collection[_T], do: Callable[[_T], object]) -> Iterable[None]:
    """Call `do` with every item. The items must not change meanwhile."""
    if len(items) < LENGTH:
        for item in items:
            do(item)
        return ()
    return _each(items, do)


def _each(items: Iterable[_T], do: Callable[[_T], object]) -> Iterator[None]:
    for number, item in enumerate(items, start=1):
        do(item)
        if number % LENGTH == 0:
            yield


def complete(work: Generator[None, None, _T]) -> _T:
    """Run the whole work at once."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: _T = done.value
            return result
