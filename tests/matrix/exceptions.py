"""What a taken-over process of the daemon can still do, and why nobody can keep it from that.

The one table: the tests hold the running daemon to it in both directions, and the page is written from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.matrix.inside_orders import ORDERS
from tests.matrix.scene import CHILDREN, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EXCEPTIONS", "Exempt", "allowed", "page"]


@dataclass(frozen=True)
class Exempt:
    """These orders are carried out when they come from inside these processes. `reason`: why that cannot be refused."""

    roles: tuple[str, ...]
    orders: tuple[str, ...]
    reason: str
    root_only: bool = False
    """Nobody but a daemon of root's could do it anyway."""


_CONDITIONS = tuple(
    f"tell the Supervisor {what} in its own name"
    for what in ("a condition", "a condition of liveness", "a condition of the connection")
)

EXCEPTIONS = (
    Exempt(
        CHILDREN,
        ("stop itself",),
        "a signal to itself is any process's right; one that stands still is found as hung, killed and replaced",
    ),
    Exempt(
        ROLES,
        ("abort, and want a core file",),
        "a process may end itself; it is replaced, and there is no core file",
    ),
    Exempt(
        CHILDREN,
        _CONDITIONS,
        "a child's own conditions are its own to say; they are shown under its name, and go with it",
    ),
    Exempt(
        CHILDREN,
        ("tell the Supervisor a hello in its own name",),
        "a child that says that its clock is another one is killed for it, and replaced",
    ),
    Exempt(
        ("control_connection",),
        (
            "tell the Supervisor a page to log in in its own name",
            "tell the Supervisor a removal of the node in its own name",
            "tell the Supervisor a new address in its own name",
        ),
        "it is the connection that knows this, and nobody else",
    ),
    Exempt(
        ("liveness",),
        ("tell the Supervisor a verdict in its own name",),
        "verdicts are its work; a connection that is killed for a wrong one comes back within a second",
    ),
    Exempt(
        ("publisher",),
        ("tell the Supervisor figures in its own name",),
        "the figures of `status` about the netmap are what the publisher says of itself",
    ),
)


def allowed(role: str, *, root: bool) -> dict[str, str]:
    """The orders that come through from inside this process, each with the reason."""
    return {
        order: exempt.reason
        for exempt in EXCEPTIONS
        if role in exempt.roles and (root or not exempt.root_only)
        for order in exempt.orders
    }


def page() -> str:
    """The table as Markdown."""
    rows = [
        f"| {_listed(exempt.orders)}{' (of a daemon of root only)' if exempt.root_only else ''} | {_who(exempt.roles)} "
        f"| {exempt.reason} |"
        for exempt in EXCEPTIONS
    ]
    return "\n".join(["| what it can still do | who | why |", "| --- | --- | --- |", *rows, ""])


def _listed(orders: Iterable[str]) -> str:
    return "; ".join(orders)


def _who(roles: tuple[str, ...]) -> str:
    if set(roles) == set(ROLES):
        return "each of them"
    return "each child" if set(roles) == set(CHILDREN) else ", ".join(f"`{role}`" for role in roles)


def unknown() -> list[str]:
    """Orders of the table that nobody gives."""
    return [order for exempt in EXCEPTIONS for order in exempt.orders if order not in ORDERS]
