"""Which siblings are stopped and started with a child that failed, and in which order they stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_supervisor.supervision.child_spec import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netmap_supervisor.supervision.child_spec import ChildSpec

__all__ = ["affected", "start_order", "stop_order"]


def affected(strategy: Strategy, names: Sequence[str], failed: str) -> tuple[str, ...]:
    """The children restarted because `failed` ended, itself included, as specified.

    |              | those before | the failed one | those after |
    | ------------ | ------------ | -------------- | ----------- |
    | one_for_one  |      ✗       |       ✓        |      ✗      |
    | rest_for_one |      ✗       |       ✓        |      ✓      |
    | one_for_all  |      ✓       |       ✓        |      ✓      |
    """
    at = list(names).index(failed)
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return (failed,)
        case Strategy.REST_FOR_ONE:
            return tuple(names[at:])
        case Strategy.ONE_FOR_ALL:
            return tuple(names)


def start_order(specs: Iterable[ChildSpec]) -> list[ChildSpec]:
    """As specified, but for those that are to be first: none waits for another."""
    return sorted(specs, key=lambda spec: not spec.first)


def stop_order(names: Sequence[str]) -> tuple[str, ...]:
    """The reverse of the specification, each when the one before is gone: users before those they use."""
    return tuple(reversed(names))
