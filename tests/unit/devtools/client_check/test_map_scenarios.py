"""Each scenario of maps in one process: a sound client passes it, and one with the flaw that it is about does not."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_supervisor.devtools.client_check.place.stage import act, others_of
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, CheckScenario
from netmap_supervisor.devtools.client_check.verdicts.beliefs import parse_peers
from netmap_supervisor.devtools.client_check.verdicts.expectations import StepStanding, StepView, judge
from netmap_supervisor.devtools.client_check.verdicts.observations import Session
from tests.support.clients.control_client import Closed, ControlClient, Node
from tests.support.clients.flaws import MAP_FLAWS, Beliefs, BrokenByFlaw

if TYPE_CHECKING:
    from netmap_supervisor.devtools.client_check.place import Place

ROWS = {name: row for name, row in SCENARIOS.items() if row.group == "map" and row.steps}
FLAW_OF = {
    "map/full-is-authoritative": "merges-full",
    "map/full-ignores-deltas": "deltas-beside-full",
    "map/empty-peers-change-nothing": "empty-is-full",
    "map/null-is-absent": "no-null",
    "map/peers-removed": "keeps-removed",
    "map/last-peer-removed": "keeps-removed",
    "map/changed-while-away": "merges-full",
    "map/last-peer-gone-while-away": "keeps-old-session",
    "map/unknown-node": "no-unknown-node",
    "map/peers-changed": "known-by-name",
    "map/node-renamed": "known-by-name",
    "map/address-reused": "known-by-address",
    "map/all-kinds-at-once": "no-patches",
    "map/patch-endpoints": "no-patched-endpoints",
    "map/patch-online": "no-patches",
    "map/online-change": "no-online-change",
    "map/peer-seen-change": "seen-is-gone",
    "map/sparse-node": "no-sparse-node",
    "map/nothing-new": "each-is-whole",
    "map/keep-alive-says-nothing-else": "keep-alive-is-map",
    "map/other-fields-alone": "each-is-whole",
    "map/unknown-fields": "no-unknown-field",
    "map/large": "small-buffer",
}


class Player:
    """A client in the thread of the test, and the steps of one scenario."""

    def __init__(self, server: RunningServer, flaws: frozenset[str]) -> None:
        self._server = server
        self._node = Node("check-client")
        self._beliefs = Beliefs(flaws)
        self._registered = False
        self._sessions: list[Session] = []
        self._now = 0.0
        self._begin()

    def play(self, scenario: CheckScenario) -> list[str]:
        """What was not as expected, of the first step where something was not."""
        place = cast("Place", self)
        me = next(view for view in self._server.nodes() if view.registered)
        for number, step in enumerate(scenario.steps, start=1):
            self._now = float(number)
            act(step.actions, place, me)
            self._read(f"step-{number}.example")
            view = StepView(
                float(number),
                (),
                self._sessions,
                self._node.key,
                me=me.name,
                nodes=others_of(place, me),
                peers=parse_peers(json.dumps(self._beliefs.peers())),
            )
            judged = [judge(one, view) for one in step.expects]
            wrong = [one.said for one in judged if one.standing is not StepStanding.MET]
            if wrong:
                return [f"{step.does}: {words}" for words in wrong]
        return []

    @property
    def server(self) -> RunningServer:
        """As a Place has it."""
        return self._server

    def close(self) -> None:
        self._client.close()

    def _begin(self) -> None:
        self._client = ControlClient(self._server.url, self._node)
        if not self._registered:
            assert self._client.register(self._server.auth_key)["MachineAuthorized"]
            self._registered = True
        self._stream = self._client.map()
        self._read_count = 0
        self._beliefs.begin_session()
        began = self._now + 0.5 if self._sessions else self._now - 1.0
        self._sessions.append(Session(began, len(self._sessions) + 1, began))

    def _read(self, mark: str) -> None:
        """Everything up to a change of the domain, which is no part of any scenario."""
        self._server.call(lambda commands: commands.set_aspect("Domain", json.dumps(mark)))
        for _ in range(10):
            try:
                self._read_until(mark)
            except (Closed, BrokenByFlaw):
                self._client.close()
                self._begin()
            else:
                return
        pytest.fail(f"no session lasts until {mark}")

    def _read_until(self, mark: str) -> None:
        for number in itertools.count(self._read_count):
            message: dict[str, Any] = self._client.message(self._stream, number)
            self._read_count = number + 1
            marked = message.get("Domain") == mark
            if not marked or message.keys() - {"Domain", "ControlTime"}:
                self._beliefs.apply(message)
            if marked:
                return


def play(scenario: CheckScenario, *flaws: str) -> list[str]:
    nodes = 3 if scenario.nodes is None else scenario.nodes
    with running_server(nodes=nodes, keep_alive=50.0) as server:
        player = Player(server, frozenset(flaws))
        player._read("beginning.example")
        try:
            return player.play(scenario)
        finally:
            player.close()


@pytest.mark.parametrize("name", ROWS)
def test_a_sound_client_passes(name: str) -> None:
    assert play(ROWS[name]) == []


@pytest.mark.parametrize("name", ROWS)
def test_a_client_with_the_flaw_it_is_about_does_not(name: str) -> None:
    assert play(ROWS[name], FLAW_OF[name])


def test_each_flaw_is_found_by_a_scenario() -> None:
    assert set(FLAW_OF) == set(ROWS)
    assert set(FLAW_OF.values()) == set(MAP_FLAWS)
