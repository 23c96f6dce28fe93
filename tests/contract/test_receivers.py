"""Receivers: each place where a process of the run reads messages is known, with its check of the sender."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.contract.test_house import modules, name_of, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

ACTORS, SUPERVISOR = "actors/netmap_actors", "supervisor/netmap_supervisor"
PROVED = {
    f"{ACTORS}/liveness/actor.py:Liveness._take_in": "self._inbox.open",
    f"{ACTORS}/process/actor_base.py:ActorBase._from_supervisor": "self.codec.open",
    f"{ACTORS}/publisher/actor.py:Publisher._on_map_responses": "self._inbox.open",
    f"{SUPERVISOR}/daemon/children.py:Children.take": "codec.open",
}
"""Receives messages between processes -> what opens each before it is read."""
LATER = {"Publisher._on_map_responses": "Publisher._take", "Children.take": "Children._proved"}
"""Receives, and leaves the opening to this function, which is called with nothing else."""
OF_ANYBODY = {
    f"{ACTORS}/history/questions.py:QuestionLine.told": "the history, whose socket's directory is its user's",
    f"{ACTORS}/history_writer/actor.py:HistoryKeeper._on_question": "who may read the netmap: they ask what happened",
    f"{ACTORS}/bus/monitor.py:next_event": "the process's own libzmq",
    f"{ACTORS}/bus/zap.py:ZapHandler._answer": "the process's own libzmq",
    f"{ACTORS}/publisher/front.py:Front._on_subscriptions": "subscribers: they ask for what they are to be sent",
    f"{ACTORS}/publisher/front.py:Front._on_requests": "subscribers: they ask for what they are to be sent",
    f"{ACTORS}/subscriber/client.py:Subscriber._turn": "the publisher, whose socket's directory is its user's",
}
"""Receives what is no order of a process of the run -> from whom."""


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from (
                (f"{node.name}.{one.name}", one) for one in node.body if isinstance(one, ast.FunctionDef)
            )


def calls(tree: ast.AST) -> Iterator[str]:
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def receivers() -> dict[str, ast.FunctionDef]:
    """Every function that takes a message from a ZeroMQ socket: those that ask for zmq.DONTWAIT, or `receive_now`."""
    return {
        f"{name_of(path)}:{name}": function
        for path in modules()
        for name, function in functions(parsed(path))
        if any(isinstance(node, ast.Call) and _receives(node) for node in ast.walk(function))
    }


def _receives(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(attr=name):
            return name.startswith("recv") and ("zmq." in ast.unparse(call) or "_multipart" in name)
        case ast.Name(id=name):
            return name == "receive_now"
    return False


def test_every_place_where_words_come_in_is_known() -> None:
    assert receivers().keys() == PROVED.keys() | OF_ANYBODY.keys()


@pytest.mark.parametrize("place", PROVED)
def test_words_between_processes_are_opened_by_who_checks_the_secret(place: str) -> None:
    path, _, name = place.partition(":")
    (tree,) = (parsed(one) for one in modules() if name_of(one) == path)
    known = dict(functions(tree))
    assert PROVED[place] in set(calls(known[LATER.get(name, name)]))


def test_an_envelope_is_parsed_where_its_proof_is_checked_and_nowhere_else() -> None:
    parses = {"Envelope.FromString", "Envelope.ParseFromString", "Envelope.MergeFromString"}
    found = {
        name_of(path)
        for path in modules()
        for call in calls(parsed(path))
        if any(call.endswith(one) for one in parses)
    }
    assert found == {f"{ACTORS}/wire/codec.py"}


def test_what_arrives_without_a_codec_is_no_envelope() -> None:
    """What else is parsed comes from commands, subscribers or the publisher and is no order to a process of the run."""
    found = {
        (name_of(path), call.removesuffix(".FromString").rpartition(".")[2])
        for path in modules()
        for call in calls(parsed(path))
        if call.rpartition(".")[2] in {"FromString", "ParseFromString"}
    }
    internal = {one for one in found if one[1] in {"Envelope", "AdminRequest", "AdminReply"}}
    assert internal == {
        (f"{ACTORS}/wire/codec.py", "Envelope"),
        (f"{SUPERVISOR}/admin/server.py", "AdminRequest"),
        (f"{SUPERVISOR}/admin/socket.py", "AdminReply"),
    }
    assert {kind for _, kind in found - internal} == {
        "Request",
        "Reply",
        "BusMessage",
        "SnapshotChunk",
        "Peer",
    }
