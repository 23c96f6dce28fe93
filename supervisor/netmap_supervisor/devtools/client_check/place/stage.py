"""What the check does in a step: edits, messages, faults; the names in their arguments filled in."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, assert_never

from netmap_actors.errors import NetmapError
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    Cut,
    Edit,
    Heal,
    Inject,
    Raw,
    RestartClient,
    ServerAway,
)
from netmap_supervisor.devtools.client_check.verdicts.beliefs import BelievedPeer, short_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_actors.dev_control.operator.commands import Commands
    from netmap_actors.dev_control.operator.listings import NodeView
    from netmap_supervisor.devtools.client_check.place.place import Place
    from netmap_supervisor.devtools.client_check.scenarios.steps import Action
    from netmap_supervisor.devtools.client_check.verdicts.observations import Session

__all__ = ["CannotAct", "act", "filled", "others_of", "own_node"]

_PLACEHOLDER = re.compile(r"\{(id|node):([^}]+)\}")


class CannotAct(NetmapError):
    """A step cannot be taken, or its outcome not be seen: says nothing about the client."""


def own_node(place: Place, sessions: Sequence[Session]) -> NodeView | None:
    """The client's own node; None: it has none that is registered."""
    streams = [stream for view in place.clients() for stream in view.map_streams]
    ids = {stream.node_id for stream in streams} if sessions else set()
    nodes = place.server.nodes()
    return next((node for node in nodes if node.id in ids), None) or next(
        (node for node in nodes if node.registered), None
    )


def others_of(place: Place, me: NodeView | None) -> tuple[BelievedPeer, ...]:
    """The nodes that a client has as peers, where no policy hides any."""
    return tuple(
        BelievedPeer(
            short_name(node.name), frozenset(one.partition("/")[0] for one in node.addresses), node.online
        )
        for node in place.server.nodes()
        if me is None or node.id != me.id
    )


def act(actions: Sequence[Action], place: Place, me: NodeView | None) -> None:
    """Do them. What the server does is done at once: nothing that the client does comes between.

    Raises NetmapError for what the server does not take: a mistake in the row.
    """

    def do(commands: Commands) -> None:
        for action in held:
            _do(action, commands, me)

    for of_client, group in itertools.groupby(actions, lambda action: isinstance(action, RestartClient)):
        held = [*group]
        if of_client:
            place.restart_client()
        else:
            place.server.call(do)


def _do(action: Action, commands: Commands, me: NodeView | None) -> None:
    """One action of the server."""
    match action:
        case Edit(command, arguments):
            getattr(commands, command)(**filled(dict(arguments), commands, me))
        case Raw(message):
            commands.raw(filled(message, commands, me))
        case Inject(fault, given):
            commands.fault(fault, **given)
        case Heal(fault):
            commands.heal(fault=fault)
        case Cut(reset):
            commands.drop_all(reset)
        case ServerAway() | RestartClient():
            raise CannotAct("cannot do this at once: it takes time")
        case _:
            assert_never(action)


def filled(given: Any, commands: Commands, me: NodeView | None) -> Any:
    """With `{me}`, `{id:NAME}` and `{node:NAME}` replaced, in lists and mappings too. Raises NetmapError."""
    if isinstance(given, str):
        if "{me}" in given and me is not None:
            given = given.replace("{me}", short_name(me.name))
        found = _PLACEHOLDER.fullmatch(given)
        if found is None:
            return given
        if found[2] == "me" and me is None:
            raise CannotAct(f"cannot fill in {given}: the client has no node")
        name = me.id if found[2] == "me" and me is not None else found[2]
        return commands.node(name).id if found[1] == "id" else commands.peer(name)
    if isinstance(given, dict):
        # Keys of a MapResponse may be IDs, as those of PeerSeenChange.
        return {str(filled(key, commands, me)): filled(value, commands, me) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [filled(one, commands, me) for one in given]
    return given
