"""The fault catalogue: names, address families and links that are slow or uneven (docs/explanation/fault-catalogue.md).

Each test ends with the checker of its recorded history.
"""

from __future__ import annotations

import contextlib
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.histories.history import boottime, recording
from tests.support.host.dark_scene import PORT, joined_across
from tests.support.host.scripted_resolver import Mood, resolving
from tests.support.processes.catalogue_facts import ended_after, ended_counts, port
from tests.support.proxies.wire_proxy import Uneven
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.histories.history import Scenes
    from tests.support.host.netns import Pair
    from tests.support.host.scripted_resolver import ScriptedResolver
    from tests.support.processes.daemon import Daemon
    from tests.support.proxies.wire_proxy import WireProxy
    from tests.support.servers.scripted import Control

pytestmark = pytest.mark.xdist_group("waits")

HICCUPS = 6
"""Late slices after which a line has been uneven for long enough."""
CHANGE_EVERY = 0.5
LOOKUP = 5.0
"""Seconds a lookup may take that the resolver lets fall."""
RESOLVE_LIMIT = 12.0
"""Seconds after which it is given up, however many questions the resolver's settings make of it."""
HEALED = 35.0
"""Seconds from the resolver's recovery to a fresh netmap: the longest wait between two attempts, and the attempt."""
OTHER_FAMILY = 1.0
"""Seconds an address family that swallows packets may cost."""
NAME = "control.test"


# --- names ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def joined_by_name(
    network: Pair, directory: Path, *addresses: str, settings: str = ""
) -> Iterator[tuple[Daemon, ScriptedResolver]]:
    """A daemon that looks its control server up, and the resolver it asks; checked at the end."""
    limit = 10.0
    with (
        resolving(network.server, network.client, *addresses, settings=settings) as resolver,
        joined_across(
            network,
            directory,
            f"--control-url=http://{NAME}:{PORT}",
            "--insecure-key-fetch",
            f"--silence-timeout={limit:g}s",
            server_options=("--keep-alive=1s",),
        ) as (_, client, _),
        recording(client, directory, silence=limit),
    ):
        yield client, resolver


def cut(network: Pair, client: Daemon) -> None:
    """Take the socket of the control connection away."""
    status = client.wait_fresh()
    network.client.run("ss", "-K", "sport", "=", f":{port(status)}")


def next_failure(client: Daemon, before: int) -> dict[str, Any]:
    """The end of the attempt after `before` ends."""
    return client.wait_event("session_ended", 30.0, after=before)


@pytest.mark.parametrize(
    ("mood", "lie", "said"),
    [
        (Mood.DROP, None, "cannot resolve"),
        (Mood.SERVFAIL, None, "cannot resolve"),
        (Mood.NXDOMAIN, None, "cannot resolve"),
        (Mood.WELL, "127.0.0.1", "Connection refused"),
    ],
    ids=["drop", "servfail", "nxdomain", "wrong_address"],
)
@pytest.mark.netns
def test_f38_a_name_that_is_not_found_is_looked_up_anew_at_each_attempt(
    mood: Mood, lie: str | None, said: str, namespaces: Pair, tmp_path: Path
) -> None:
    right = namespaces.server.address
    with joined_by_name(namespaces, tmp_path, right) as (client, resolver):
        before = client.wait_fresh()
        resolver.mood, resolver.addresses = mood, (lie or right,)
        ended_after(client, lambda: cut(namespaces, client))
        asked = len(resolver.questions)
        failed = next_failure(client, 1)
        assert said in failed["detail"]
        assert failed["reason"] == "error"
        first = resolver.questions[asked]
        assert first.name == NAME
        assert failed["boottime"] - first.at <= LOOKUP
        asked = len(resolver.questions)
        next_failure(client, 2)
        assert len(resolver.questions) > asked, "nobody believes the answer of the attempt before"
        resolver.mood, resolver.addresses = Mood.WELL, (right,)
        healed_at = boottime()
        after = client.wait_fresh(HEALED)
        print(f"fresh {boottime() - healed_at:.1f} s after the resolver")
        assert after["netmap"]["peers"] == before["netmap"]["peers"]
        assert client.events("child_killed") == [], "a slow lookup holds no heartbeat up"


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.netns
def test_f38_a_lookup_without_end_is_left_behind_after_twelve_seconds(
    namespaces: Pair, tmp_path: Path
) -> None:
    # Four seconds for each server and each name that is looked for: the C library would take twenty-four.
    settings = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch other.test\n"
    right = namespaces.server.address
    with joined_by_name(namespaces, tmp_path, right, settings=settings) as (client, resolver):
        resolver.mood = Mood.DROP
        watch = Stopwatch()
        ended_after(client, lambda: cut(namespaces, client))
        failed = next_failure(client, 1)
        took = failed["boottime"] - client.events("actor_started", actor="control_connection")[1]["boottime"]
        assert RESOLVE_LIMIT <= took <= RESOLVE_LIMIT + watch.allowed(2.0), took
        assert failed["reason"] == "error"
        resolver.mood = Mood.WELL
        client.wait_fresh(HEALED)
        killed = {event["reason"] for event in client.events("child_killed")}
        assert killed <= {"error"}, "whoever waits for a lookup is not hung"


@pytest.mark.netns
def test_f39_a_family_that_swallows_packets_costs_a_second_at_most(namespaces: Pair, tmp_path: Path) -> None:
    # Addresses as on the internet: private ones would come behind IPv4 (RFC 6724).
    server, client_side = "2001:db8:87::1", "2001:db8:87::2"
    for side, address in ((namespaces.server, server), (namespaces.client, client_side)):
        side.run("ip", "-6", "addr", "add", f"{address}/64", "dev", side.link, "nodad")
    namespaces.server.nft(
        f"""
        table inet no_ipv6 {{
          chain arriving {{
            type filter hook input priority 0; policy accept;
            ip6 daddr {server} tcp dport {PORT} counter drop
          }}
        }}
        """
    )
    watch = Stopwatch()
    with joined_by_name(namespaces, tmp_path, server, namespaces.server.address) as (client, resolver):
        begun = client.wait_event("map_session_started")
        took = begun["boottime"] - resolver.questions[0].at
        status = client.wait_fresh()
        print(f"a map session {took:.2f} s after the first question")
        assert "packets 0" not in namespaces.server.run("nft", "list", "ruleset"), "IPv6 is tried first"
        assert {1, 28} <= {question.kind for question in resolver.questions}
        assert status["connection"]["remote_address"] == f"{namespaces.server.address}:{PORT}"
        assert took <= watch.allowed(
            2 * OTHER_FAMILY
        )  # all of it, with handshake, registration and map request
        assert status["connection"]["generation"] == 1


# --- links ----------------------------------------------------------------------------------------------------


def test_f42_a_line_with_hiccups_is_late_and_nobody_is_killed(
    proxied: Callable[[], tuple[Control, WireProxy]], recorded: Scenes
) -> None:
    seed = int(os.environ.get("NETMAP_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"NETMAP_TEST_SEED={seed}")
    control, proxy = proxied()
    line = Uneven(seed)
    proxy.harm = lambda: line
    scene = recorded(control=control, direct=False, silence=12.0)
    before = scene.daemon.wait_fresh(60.0)
    added, change_at = 0, boottime()

    def enough() -> bool:
        nonlocal added, change_at
        if boottime() >= change_at:
            change_at += CHANGE_EVERY
            added += 1
            control.server.call(lambda it: it.add_node(f"late-{added}"))
        return len(line.delays) >= HICCUPS

    wait_for(enough, 60.0, f"{HICCUPS} late slices")
    line.heal()
    after = scene.daemon.wait_status(
        lambda status: status["netmap"]["peers"] == before["netmap"]["peers"] + added, 10.0, "every change"
    )
    print(f"{added} changes, {sum(line.delays):.1f} s late")
    assert after["connection"]["generation"] == 1, "late is not silent"
    assert ended_counts(after) == {}
    assert after["netmap"]["state"] == "fresh"


@pytest.mark.timeout(90)
@pytest.mark.netns
def test_f41_a_netmap_too_large_for_its_line_is_silence_and_said_each_time(
    namespaces: Pair, tmp_path: Path
) -> None:
    limit = 6.0
    server = namespaces.server
    with (
        joined_across(
            namespaces,
            tmp_path,
            f"--silence-timeout={limit:g}s",
            server_options=("--keep-alive=1s", "--nodes=3000", "--churn=0"),
        ) as (_, client, _),
        recording(client, tmp_path, silence=limit),
    ):
        before = client.wait_fresh()
        slow = ("rate", "64kbit", "burst", "4kb", "latency", "1s")
        server.run("tc", "qdisc", "add", "dev", server.link, "root", "tbf", *slow)
        ended_after(client, lambda: cut(namespaces, client))
        client.wait_event("silence_detected", 40.0, after=1)
        stale = client.wait_status(
            lambda status: ended_counts(status).get("silence") == 2, 5.0, "the end by silence"
        )
        assert stale["netmap"]["state"] == "stale"
        assert stale["netmap"]["peers"] == before["netmap"]["peers"], "what is known is kept"
        assert ended_counts(stale) == {"closed": 1, "silence": 2}, "bytes that complete no netmap are no food"
        client.wait_event("degraded", 5.0, code="no_first_map")
        server.run("tc", "qdisc", "del", "dev", server.link, "root")
        after = client.wait_fresh(HEALED)
        assert after["netmap"]["peers"] == before["netmap"]["peers"]
        client.wait_event("healed", 5.0, code="no_first_map")
