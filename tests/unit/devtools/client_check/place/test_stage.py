"""What the check does in a step, on a server without a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.dev_control.tailnet.tailnet import TailnetError
from netmap_supervisor.devtools.client_check.place.client import environment
from netmap_supervisor.devtools.client_check.place.stage import CannotAct, act, filled, others_of
from netmap_supervisor.devtools.client_check.scenarios.steps import Cut, Edit, Inject, ServerAway
from netmap_supervisor.devtools.client_check.verdicts.beliefs import short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netmap_actors.dev_control.operator.commands import Commands
    from netmap_supervisor.devtools.client_check.place.place import Place


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=0) as running:
        running.tailnet.add_node("ash")
        running.tailnet.add_node("birch", online=False)
        yield running


class _Stage:
    """A place without a client."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server


def place(server: RunningServer) -> Place:
    return cast("Place", _Stage(server))


def test_names_in_arguments_are_filled_in_wherever_they_stand(server: RunningServer) -> None:
    ash, birch = server.nodes()
    given = {"PeersRemoved": ["{id:birch}", 7], "OnlineChange": {"{id:me}": False}, "x": "{me} and {you}"}
    assert server.call(lambda commands: filled(given, commands, ash)) == {
        "PeersRemoved": [birch.id, 7],
        "OnlineChange": {str(ash.id): False},
        "x": "ash and {you}",
    }
    peer = server.call(lambda commands: filled("{node:birch}", commands, ash))
    assert (peer["ID"], peer["Name"], peer["Addresses"]) == (
        birch.id,
        birch.name,
        list(birch.addresses),
    )
    with pytest.raises(CannotAct):
        server.call(lambda commands: filled("{id:me}", commands, None))
    with pytest.raises(TailnetError):
        server.call(lambda commands: filled("{id:elm}", commands, ash))


def test_an_edit_and_the_peers_that_are_right_behind_it(server: RunningServer) -> None:
    ash, _ = server.nodes()
    act((Edit("rename", {"node": "birch", "name": "elm"}),), place(server), ash)
    [elm] = others_of(place(server), ash)
    assert (elm.name, elm.online) == ("elm", False)
    assert all("/" not in address for address in elm.addresses)
    assert len(others_of(place(server), None)) == 2


def test_what_the_server_does_not_take_says_nothing_about_the_client(server: RunningServer) -> None:
    with pytest.raises(TailnetError):
        act((Edit("remove_node", {"node": "elm"}),), place(server), None)
    act((Inject("register/null"),), place(server), None)
    with pytest.raises(CannotAct):
        act((ServerAway(1.0),), place(server), None)


class _Counting:
    """Counts how often the server's thread is asked."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.calls = 0

    def call(self, function: Callable[[Commands], object]) -> object:
        self.calls += 1
        return self._server.call(function)


def test_no_client_comes_back_between_a_cut_and_the_edits_behind_it(server: RunningServer) -> None:
    counting = _Counting(server)
    actions = (Cut(), Edit("remove_node", {"node": "birch"}), Edit("add_node", {"name": "elm"}))
    act(actions, place(cast("RunningServer", counting)), None)
    assert counting.calls == 1
    assert [short_name(node.name) for node in server.nodes()] == ["ash", "elm"]


def test_a_client_has_no_proxy_outside_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    monkeypatch.setenv("KEPT", "yes")
    made = environment({"url": "http://127.0.0.1:1", "auth_key": "k"})
    assert not any("proxy.example" in value for value in made.values())
    assert (made["KEPT"], made["NETMAP_CHECK_URL"], made["NETMAP_CHECK_AUTH_KEY"]) == (
        "yes",
        "http://127.0.0.1:1",
        "k",
    )
