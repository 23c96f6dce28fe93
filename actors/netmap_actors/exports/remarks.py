"""What an export says of itself: its state, what it leaves out and why, and why it cannot be made at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netmap_actors.errors import Disposition, NetmapError, escape
from netmap_actors.exports.host_names import MAX_NAME
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

__all__ = ["CannotExport", "counted", "heading"]

_TRUST: dict[str, tuple[str, ...]] = {
    Trust.FRESH: (),
    Trust.STALE: (
        "STALE: the control server, or the daemon, has not been heard for too long; this may be out of date.",
    ),
    Trust.NONE: ("NO NETMAP has come yet, so no node is listed.",),
}
UNREADABLE: Final = "unreadable"
NO_NAME: Final = "without a valid host name"
NO_ADDRESS: Final = "without a valid address"
OUTSIDE: Final = "outside the tailnet's domain"
RESERVED: Final = "with a name that is not to be given"
THIS_MACHINE: Final = "with a name of this machine"
TAKEN: Final = "with a name that another node has, too"
RECORDED: Final = "with a name that a DNS record has, too"
SAME_TAG: Final = "with a name that another tag has, too"
EXPIRED: Final = "expired"
OTHER_TYPE: Final = "neither A nor AAAA"
UNASKED: Final = "since nodes were asked for"
TOO_MANY: Final = "with more addresses than a name may have"
REASONS = (
    UNREADABLE, EXPIRED, NO_NAME, NO_ADDRESS, OUTSIDE, RESERVED, THIS_MACHINE, TAKEN, RECORDED, SAME_TAG, TOO_MANY,
    OTHER_TYPE, UNASKED,
)  # fmt: skip


class CannotExport(NetmapError):
    """This netmap, with these options, makes no valid file; the text says why and what to do."""

    disposition = Disposition.GIVE_UP


def heading(domain: str, state: str) -> Iterator[str]:
    """The first lines of a file that has comments. `domain`: the tailnet's name, `state`: none, fresh or stale."""
    name = escape(domain, MAX_NAME) or "(without a name)"
    yield f"Tailnet {name}, by netmap-supervisor; what is changed here is lost."
    yield f"State: {state}."
    yield from _TRUST.get(state, _TRUST[Trust.STALE])


def counted(what: str, left_out: Counter[str]) -> Iterator[str]:
    """A sentence with the number of each reason; nothing when nothing is left out."""
    counts = [f"{left_out[why]} {why}" for why in REASONS if left_out[why]]
    if counts:
        yield f"{what}: {', '.join(counts)}."
