"""Changes of the keys of remote subscribers: orders in, plain values out, and never a file of another user.

The daemon carries the orders out for the command line, which does it itself without a daemon. Not here: which of the
two it is (`cli.access`), and the files (`curve_keys`).
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netmap_actors.curve_keys import AllowList, load_server_pair
from netmap_actors.errors import ConfigurationError, escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["carry_out", "somebody_elses", "user_name", "why"]


def carry_out(directory: Path, order: Mapping[str, Any]) -> dict[str, Any]:
    """Do what `order` says to the keys in `<state>/curve`. Raises ConfigurationError, OSError.

    `do`: allow, revoke, list or server; `name` and `public_key`: of the client. The answer has `name` of the client,
    `clients` and `problems` for the list, `public_key` of the server.
    """
    name, key = str(order.get("name", "")), str(order.get("public_key", ""))
    allowed = AllowList(directory)
    match order.get("do"):
        case "allow":
            return {"name": allowed.allow(name, key).name}
        case "revoke":
            allowed.revoke(name)
            return {"name": name}
        case "list":
            clients = [{"name": one.name, "public_key": one.public} for one in allowed.clients()]
            return {"clients": clients, "problems": list(allowed.problems())}
        case "server":
            return {"public_key": load_server_pair(directory).public}
        case other:
            raise ConfigurationError(f"cannot do {escape(str(other), 40)!r} to the keys: no such order")


def why(error: OSError, directory: Path) -> str:
    """Why the daemon could not do it, for the operator."""
    path = directory if error.filename is None else Path(os.fsdecode(error.filename))
    # Of a file that cannot be reached the directory says whose it is.
    owner = next((owner for place in (path, *path.parents) if (owner := _owner(place)) is not None), None)
    strange = owner is not None and owner != os.geteuid()
    advice = f"; it belongs to user {owner}: give it back with chown" if strange else ""
    return f"cannot use {path}: {error.strerror or type(error).__name__}{advice}"


def somebody_elses(places: Sequence[Path], above: Path) -> int | None:
    """The user whose directory a new file of ours would be in the way of; None where it may be made.

    Root can write everywhere, and would leave files behind that the daemon of that directory cannot read. Which of
    `places` are there have to be ours; where none is, the first directory that is, from `above` upwards, may be the
    system's, too.
    """
    us = os.geteuid()
    found = [owner for place in places if (owner := _owner(place)) is not None]
    strangers = [owner for owner in found if owner != us]
    if not found and us == 0:
        nearest = next(
            (owner for place in (above, *above.parents) if (owner := _owner(place)) is not None), 0
        )
        strangers = [nearest] if nearest else []
    return strangers[0] if strangers else None


def user_name(uid: int) -> str | None:
    """The name of a user; None when he has none, as with systemd's DynamicUser= while the unit does not run."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _owner(place: Path) -> int | None:
    try:
        return place.stat().st_uid
    except OSError:
        return None  # not there, or not to be seen: then the kernel lets us write nothing, either
