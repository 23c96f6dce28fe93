"""Scripted tailnets: checked when read, their events run in order."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.dev_control.operator.scenario import (
    FIRST_MAP,
    START,
    ScenarioEvent,
    ScenarioSchedule,
    TailnetScenario,
    command_names,
    parse_scenario,
    place,
)
from netmap_actors.dev_control.tailnet.tailnet import Tailnet
from netmap_actors.errors import ConfigurationError
from tests.support.clients.control_client import ControlClient, Node
from tests.support.waiting import wait_for

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples" / "scenarios"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nodes = 3", "nodes is not known: a scenario has from"),
        ('from = "noon"', "from is 'noon'"),
        ("event = 3", "event is not a list of tables; write"),
        ("event = [3]", "event is not a list of tables; write"),
        ("[[node]]\nuser = 'bob'", "node 1: .*name"),
        ("[[node]]\nname = 'a'\ncolour = 'red'", "node 1: .*colour"),
        ("[[node]]\nname = 'a'\ntags = 'tag:x'", "node 1: .*tags"),
        ("[[event]]\nat = 1", "event 1: do is 'None', it can be add_auth_key, "),
        ("[[event]]\nat = 1\ndo = 'explode'", "event 1: do is 'explode'"),
        ("[[event]]\nat = 1\ndo = '_edited'", "event 1: do is '_edited'"),
        ("[[event]]\nat = 1\ndo = 'execute'\ndocument='{}'", "event 1: do is 'execute'"),
        ("[[event]]\nat = 1\ndo = 'nodes'", "event 1: do is 'nodes'"),
        ("[[event]]\ndo = 'heal'", "event 1: at is None"),
        ("[[event]]\nat = -1\ndo = 'heal'", "event 1: at is -1, it must be seconds, a number from 0"),
        ("[[event]]\nat = nan\ndo = 'heal'", "event 1: at is nan"),
        ("[[event]]\nat = true\ndo = 'heal'", "event 1: at is True"),
        ("[[event]]\nat = 1\nrepeat = 0\ndo = 'heal'", "event 1: repeat is 0"),
        ("[[event]]\nat = 1\ndo = 'heal'\nnode = 'a'", "event 1: heal takes client, fault, not node"),
        (
            "[[event]]\nat = 1\ndo = 'set_policy'\npolicy = {acls = 5}",
            "event 1: cannot use the policy: acls: it is not a list",
        ),
        ("[[event]]\nat = 1\ndo = 'rename'\nnode = 'a'", "event 1: rename needs name"),
        ("[[event]]\nat = 1\ndo = 'set_tags'\nnode = 'a'\ntags = 'x'", "event 1: tags of set_tags: Expected"),
        (
            "[[event]]\nat = 1\ndo = 'heal'\n[[event]]\nat = 2\ndo = 'fault'\nname = 'x'",
            "event 2: cannot commit",
        ),
        (
            "[[event]]\nat = 2\ndo = 'fault'\nname = 'liveness/silence'\nsize = 3",
            "event 1: cannot commit liveness/silence with size",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^cannot use the scenario: {why}"):
        parse_scenario(tomllib.loads(text))


def test_an_event_may_do_all_that_changes_something() -> None:
    names = command_names()
    assert {"fault", "heal", "set_online", "set_tags", "remove_node", "churn", "raw", "drop_all"} <= names
    assert not names & {"seen", "nodes", "clients", "execute"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_can_be_read(path: Path) -> None:
    scenario = parse_scenario(tomllib.loads(path.read_text()))
    assert scenario.events
    tailnet = Tailnet()
    place(scenario.nodes, tailnet, random.Random(1), 0.0)
    assert {entry.label for entry in tailnet.entries.values()} == {node.name for node in scenario.nodes}


def test_the_same_seed_makes_the_same_keys() -> None:
    scenario = parse_scenario({"node": [{"name": "a"}, {"name": "b"}]})
    one, other = Tailnet(), Tailnet()
    place(scenario.nodes, one, random.Random(7), 0.0)
    place(scenario.nodes, other, random.Random(7), 0.0)
    assert [entry.node for entry in one.entries.values()] == [entry.node for entry in other.entries.values()]


def course(*times: tuple[float, float | None]) -> ScenarioSchedule:
    return ScenarioSchedule(
        TailnetScenario(
            (),
            tuple(ScenarioEvent(n, at, "heal", {}, repeat) for n, (at, repeat) in enumerate(times, 1)),
            START,
        )
    )


def test_events_come_in_the_order_of_their_times_then_of_the_file() -> None:
    made = course((8.0, None), (5.0, None), (5.0, None))
    assert made.deadline() is None
    assert made.due(1000.0) == []
    made.begin(100.0)
    made.begin(200.0)
    assert made.deadline() == 105.0
    assert [event.number for event in made.due(104.9)] == []
    assert [event.number for event in made.due(105.0)] == [2, 3]
    assert made.deadline() == 108.0
    assert [event.number for event in made.due(500.0)] == [1]
    assert made.deadline() is None


def test_one_that_repeats_and_was_slept_through_comes_once() -> None:
    made = course((1.0, 10.0))
    made.begin(0.0)
    assert len(made.due(1.0)) == 1
    assert made.deadline() == 11.0
    assert len(made.due(45.0)) == 1
    assert made.deadline() == 51.0


@given(
    times=st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(0.5, 20)), max_size=6),
    steps=st.lists(st.floats(0, 30), max_size=20),
)
def test_nothing_is_early_lost_or_done_twice(
    times: list[tuple[float, float | None]], steps: list[float]
) -> None:
    made, now, done = course(*times), 0.0, []
    made.begin(0.0)
    for step in steps:
        due = made.deadline()
        now += step
        events = made.due(now)
        assert bool(events) == (due is not None and due <= now)
        done += events
        assert made.deadline() is None or made.deadline() > now
    for number, (at, repeat) in enumerate(times, 1):
        count = sum(event.number == number for event in done)
        if repeat is None:
            assert count == (at <= now and bool(steps))
        else:
            assert count <= max(0.0, (now - at) / repeat + 1)


def test_a_server_plays_it_from_the_first_map_on_and_outlives_what_cannot_be_done() -> None:
    from netmap_actors.dev_control.standalone import running_server

    told: list[tuple[str, dict]] = []
    scenario = {
        "from": FIRST_MAP,
        "node": [{"name": "web-1", "tags": ["tag:web"]}],
        "event": [
            {"at": 0.05, "do": "set_online", "node": "web-1", "online": False},
            {"at": 0.1, "do": "rename", "node": "nobody", "name": "x"},
            {"at": 0.15, "do": "set_tags", "node": "web-1", "tags": ["tag:db"]},
            {"at": 0.2, "do": "fault", "name": "session/eof"},
        ],
    }
    with running_server(
        scenario=scenario, log=lambda event, **fields: told.append((event, fields))
    ) as server:
        client = ControlClient(server.url, Node("watcher"))
        client.register(server.auth_key)
        assert told == [], "nothing happens before somebody looks"
        client.message(client.map(), 0)
        wait_for(lambda: len(told) == 4, 5.0, "all of it")
        client.close()
        (node,) = [one for one in server.nodes() if not one.registered]
    assert [event for event, _ in told] == [
        "scenario_event",
        "scenario_event_failed",
        "scenario_event",
        "scenario_event",
    ]
    assert "nobody" in told[1][1]["detail"]
    assert (node.online, node.tags) == (False, ("tag:db",))
