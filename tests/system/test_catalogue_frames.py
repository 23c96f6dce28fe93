"""The fault catalogue: frames of the map stream and the JSON in them (docs/explanation/fault-catalogue.md).

The same decisions as pure functions: `tests/unit/protocol/test_map_framing.py`, `tests/unit/protocol/test_stack.py`,
`tests/unit/tailcfg/test_tailcfg.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netmap_actors.boot import MAX_MAP_RESPONSE
from netmap_actors.protocol.map_framing import encode_frame
from tests.support.processes.catalogue_facts import (
    BUSY,
    KINDS_OF_PEERS,
    MEMORY,
    PeakMemory,
    changes_seen,
    ended_after,
    ended_counts,
)
from tests.support.proxies.wire_proxy import Trickle

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.dev_control.operator.commands import Commands
    from tests.support.histories.history import Scenes
    from tests.support.proxies.wire_proxy import WireProxy
    from tests.support.servers.scripted import Control

REFUSED = 0.1
"""Seconds within which a bad length is refused."""
DEEP = 100_000


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("input/oversized-frame", {"length": 0xFFFF_FFFF}),
        ("input/oversized-frame", {"length": MAX_MAP_RESPONSE + 1}),
        ("input/zero-frame", {}),
    ],
    ids=["four_gigabytes", "one_too_many", "zero"],
)
def test_f18_a_bad_length_is_refused_at_once_and_costs_no_memory(
    fault: str, arguments: dict[str, int], recorded: Scenes
) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    with PeakMemory(before["connection"]["pid"]) as memory:
        line, took = ended_after(scene.daemon, lambda: scene.control.fault(fault, **arguments))
    assert took <= 10 * REFUSED, "a process ends as well in this time"
    assert line["reason"] == "error"
    assert line["detail"].startswith("cannot read a map frame")
    assert 0 < memory.peak <= MEMORY / 4
    scene.control.heal()
    after = scene.wait_back(before)
    assert ended_counts(after) == {"error": 1}
    assert not KINDS_OF_PEERS & {*changes_seen(scene)}


def test_f20_a_session_that_comes_byte_by_byte_is_the_same_session(
    proxied: Callable[[], tuple[Control, WireProxy]], recorded: Scenes
) -> None:
    control, proxy = proxied()
    proxy.harm = Trickle
    scene = recorded(control=control)
    before = scene.daemon.wait_fresh()
    assert before["netmap"]["peers"] == 5
    control.server.tailnet.add_node("newcomer")
    control.server.tailnet.set_tags("newcomer", ["tag:web"])
    # That it is what was sent, to the last field, is for the checker of the history.
    after = scene.daemon.wait_status(lambda status: status["netmap"]["peers"] == 6, what="the newcomer")
    assert ended_counts(after) == {}


def nested(depth: int) -> str:
    return '{"Peers":' + "[" * depth + "]" * depth + "}"


NO_MAP_RESPONSE: dict[str, str] = {
    "nested_too_deep": nested(DEEP),
    "nested_too_deep_in_an_unknown_field": '{"X":' + "[" * DEEP + "]" * DEEP + "}",
    "a_number_of_5000_digits": '{"PeersRemoved":[' + "9" * 5000 + "]}",
    "not_a_number": '{"Node":{"X":NaN}}',
    "a_lone_surrogate": '{"Peers":[{"Name":"\\ud800"}]}',
    "removals_by_name": '{"PeersRemoved":["1"]}',
    "a_list": "[]",
}


@pytest.mark.parametrize("document", NO_MAP_RESPONSE.values(), ids=NO_MAP_RESPONSE)
def test_f22_what_is_no_map_response_ends_the_session_and_nothing_else(
    document: str, recorded: Scenes
) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    line, took = ended_after(scene.daemon, lambda: scene.control.server.raw(document))
    assert took <= BUSY, took
    assert line["reason"] == "error"
    assert line["detail"].startswith("cannot read MapResponse")
    after = scene.wait_back(before)
    assert ended_counts(after) == {"error": 1}
    others = {row["name"]: row["restarts"] for row in after["actors"] if row["name"] != "control_connection"}
    assert not any(others.values()), others
    assert not scene.daemon.events("child_output"), "no traceback"
    assert not scene.daemon.events("actor_failed")
    assert not KINDS_OF_PEERS & {*changes_seen(scene)}


def send_large_text(it: Commands) -> None:
    """Past the recording: what nobody reads need not be kept."""
    text = b'{"Unknown":"' + b"a" * 100_000_000 + b'"}'
    (stream,) = it._control.streams.values()
    stream.send_raw(encode_frame(text, compress=stream.compress))


@pytest.mark.slow
def test_f22_a_hundred_megabytes_of_text_are_taken_and_thrown_away(recorded: Scenes) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    with PeakMemory(before["connection"]["pid"]) as memory:
        scene.control.server.call(send_large_text)
        # A later change is there: so what came before it has been taken in.
        scene.control.server.raw('{"Domain":"later.example"}')
        after = scene.daemon.wait_status(
            lambda status: status["netmap"]["domain"] == "later.example", 30.0, "what came behind the text"
        )
    print(f"peak of the connection: {memory.peak >> 20} MiB")
    assert memory.peak <= MEMORY
    assert after["connection"]["pid"] == before["connection"]["pid"]
    assert ended_counts(after) == {}


def test_f22_the_last_of_two_equal_keys_counts(recorded: Scenes) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    scene.control.server.raw('{"Domain":"first.example","Domain":"second.example"}')
    after = scene.daemon.wait_status(
        lambda status: status["netmap"]["domain"] == "second.example", what="the domain"
    )
    assert after["connection"]["pid"] == before["connection"]["pid"]
