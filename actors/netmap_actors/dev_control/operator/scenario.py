"""A scripted tailnet: which nodes it has at first, and which command runs at which second.

Not here: the clock, and who performs the commands (`scenario_player`). A scenario is checked as a
whole when it is read. Not a scenario of `check-client`, which is a test of one client.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.dev_control.faults.catalogue import BadFault, make_fault
from netmap_actors.dev_control.operator.arguments import BadArgument, check_arguments
from netmap_actors.dev_control.operator.commands import Commands
from netmap_actors.dev_control.tailnet.policy import BadPolicy, parse_policy, read_policy_text
from netmap_actors.errors import ConfigurationError, escape
from netmap_actors.finite import is_number

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from netmap_actors.dev_control.tailnet.tailnet import Tailnet

__all__ = [
    "FIRST_MAP",
    "START",
    "ScenarioEvent",
    "ScenarioSchedule",
    "ScriptedNode",
    "TailnetScenario",
    "parse_scenario",
    "place",
]

START, FIRST_MAP = "start", "first_map"
"""What the seconds of a scenario count from: the server's start, or the first map a client gets."""
MAX_SCENARIO_EVENTS = 100_000
_LEAST_REPEAT = 0.01
"""Seconds."""
_MOST = 1e7
"""Seconds, some months."""
_LOOKS = frozenset({"clients", "execute", "faults", "logins", "node", "nodes", "peer", "pong", "seen"})
"""Commands that change nothing."""


class ScriptedNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node that is there from the start."""

    name: str
    user: str = "alice"
    tags: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    online: bool = True
    endpoints: tuple[str, ...] = ()


class ScenarioEvent(msgspec.Struct, frozen=True):
    """One command at its time."""

    number: int
    """Its place in the file, 1 for the first."""
    at: float
    """Seconds."""
    command: str
    arguments: dict[str, Any]
    repeat: float | None = None
    """Seconds until it happens again; None: once."""


class TailnetScenario(msgspec.Struct, frozen=True):
    """All of it."""

    nodes: tuple[ScriptedNode, ...] = ()
    events: tuple[ScenarioEvent, ...] = ()
    counted_from: str = START


def parse_scenario(document: Mapping[str, Any]) -> TailnetScenario:
    """A scenario as its TOML file has it. Raises ConfigurationError, which names what and which one."""
    unknown = set(document) - {"from", "node", "event"}
    if unknown:
        raise _bad(f"{', '.join(sorted(unknown))} is not known: a scenario has from, [[node]] and [[event]]")
    counted_from = document.get("from", START)
    if counted_from not in (START, FIRST_MAP):
        raise _bad(f'from is {escape(str(counted_from), 40)!r}, it can be "{START}" or "{FIRST_MAP}"')
    nodes = [_node(number, given) for number, given in enumerate(_list(document, "node"), 1)]
    events = _list(document, "event")
    if len(events) > MAX_SCENARIO_EVENTS:
        raise _bad(f"it has {len(events)} events, {MAX_SCENARIO_EVENTS} are the most")
    return TailnetScenario(
        tuple(nodes), tuple(_event(number, given) for number, given in enumerate(events, 1)), counted_from
    )


def place(nodes: tuple[ScriptedNode, ...], tailnet: Tailnet, rng: random.Random, wall: float) -> None:
    """Put the nodes of a scenario into the tailnet, with keys from the generator. `wall`: UNIX seconds.

    Raises TailnetError for routes that are none, or when there is no room.
    """
    for node in nodes:
        entry = tailnet.add_node(
            node.name,
            key=f"nodekey:{rng.randbytes(32).hex()}",
            machine=f"mkey:{rng.randbytes(32).hex()}",
            disco_key=f"discokey:{rng.randbytes(32).hex()}",
            wall=wall,
            user=node.user,
            tags=node.tags,
            online=node.online,
            endpoints=node.endpoints,
            hostinfo_raw=msgspec.Raw(msgspec.json.encode({"OS": "linux", "Hostname": node.name})),
        )
        if node.routes:
            tailnet.set_routes(entry.node.id, node.routes)


class ScenarioSchedule:
    """The events of a running scenario by time. `now`: seconds of a clock that does not step."""

    def __init__(self, scenario: TailnetScenario) -> None:
        self._scenario = scenario
        self._waiting: list[tuple[float, int, ScenarioEvent]] = []
        self._begun = False

    def begin(self, now: float) -> None:
        """The seconds count from now on. A second call does nothing."""
        if self._begun:
            return
        self._begun = True
        self._waiting = [(now + event.at, event.number, event) for event in self._scenario.events]
        heapq.heapify(self._waiting)

    def deadline(self) -> float | None:
        """When `due` has something; None before the beginning and after the end."""
        return self._waiting[0][0] if self._waiting else None

    def due(self, now: float) -> list[ScenarioEvent]:
        """The events whose time has come, in the order of their times, then of the file.

        A repeated one comes once, however many of its times have passed.
        """
        events = []
        while self._waiting and self._waiting[0][0] <= now:
            at, number, event = heapq.heappop(self._waiting)
            events.append(event)
            if event.repeat is not None:
                missed = max(0.0, (now - at) // event.repeat)
                heapq.heappush(self._waiting, (at + (missed + 1) * event.repeat, number, event))
        return events


def _bad(why: str) -> ConfigurationError:
    return ConfigurationError(f"cannot use the scenario: {why}")


def _list(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = document.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _bad(f"{name} is not a list of tables; write [[{name}]]")
    return value


def _node(number: int, given: dict[str, Any]) -> ScriptedNode:
    try:
        return msgspec.convert(given, ScriptedNode)
    except msgspec.ValidationError as error:
        raise _bad(f"node {number}: {escape(str(error))}") from None


def _event(number: int, given: dict[str, Any]) -> ScenarioEvent:
    where = f"event {number}"
    arguments = dict(given)
    at = _seconds(arguments.pop("at", None), f"{where}: at", least=0.0)
    repeat = arguments.pop("repeat", None)
    if repeat is not None:
        repeat = _seconds(repeat, f"{where}: repeat", least=_LEAST_REPEAT)
    command = arguments.pop("do", None)
    method = getattr(Commands, command, None) if isinstance(command, str) else None
    if method is None or command.startswith("_") or command in _LOOKS:
        raise _bad(
            f"{where}: do is {escape(str(command), 40)!r}, it can be {', '.join(sorted(command_names()))}"
        )
    if command == "fault":
        try:
            make_fault(str(arguments.get("name", "")), **{k: v for k, v in arguments.items() if k != "name"})
        except BadFault as error:
            raise _bad(f"{where}: {error}") from None
    else:
        try:
            arguments = check_arguments(method, arguments)
            if command == "set_policy" and arguments.get("policy") is not None:
                parse_policy(arguments["policy"])
            elif command == "load_policy":
                read_policy_text(**{"toml": False, **arguments})
        except (BadArgument, BadPolicy) as error:
            raise _bad(f"{where}: {error}") from None
    return ScenarioEvent(number, at, command, arguments, repeat)


def command_names() -> frozenset[str]:
    """Names an event may do."""
    return frozenset(name for name in vars(Commands) if not name.startswith("_")) - _LOOKS


def _seconds(value: object, what: str, *, least: float) -> float:
    if not is_number(value) or not least <= value <= _MOST:
        raise _bad(f"{what} is {escape(str(value), 40)}, it must be seconds, a number from {least:g}")
    return float(value)
