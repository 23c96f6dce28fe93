"""Coming back to a network, with real processes and real routes: families, VPNs, flaps, orders, holes.

The server's addresses lie behind routes, as on the internet: the wire between the two alone leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.histories.history import boottime
from tests.support.host.dark_scene import PORT
from tests.support.host.scripted_resolver import resolving
from tests.support.processes.daemon import Daemon
from tests.support.processes.dev_server import running_dev_server
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from tests.support.host.netns import Namespace, Pair

pytestmark = pytest.mark.xdist_group("waits")

NAME = "control.test"
FAR4, FAR6 = "198.51.100.7", "2001:db8:88::7"
GATEWAY6, CLIENT6 = "2001:db8:87::1", "2001:db8:87::2"
SOON = 6.0
"""Seconds from a route to an attempt."""
MAP_BYTES = 1500
"""More than a handshake brings, and less than the map."""
NOWHERE = f"""
table inet nowhere {{
  chain output {{
    type filter hook output priority 0;
    ip daddr {FAR4} reject with icmp type net-unreachable
  }}
}}
"""
"""What is sent to the server's address is answered as a router without a route answers."""


def across_namespaces(test: Callable[..., None]) -> Callable[..., None]:
    """What a test needs that makes networks."""
    for mark in (pytest.mark.netns, pytest.mark.timeout(120)):
        test = mark(test)
    return test


@contextlib.contextmanager
def far_away(network: Pair, directory: Path, *addresses: str, url: str = "") -> Iterator[Daemon]:
    """A daemon with a fresh netmap of a server behind default routes. Without `url` it is looked up by its name."""
    server, client = network.server, network.client
    for side, address in ((server, GATEWAY6), (client, CLIENT6)):
        side.run("ip", "-6", "addr", "add", f"{address}/64", "dev", side.link, "nodad")
    server.run("ip", "addr", "add", f"{FAR4}/32", "dev", "lo")
    server.run("ip", "-6", "addr", "add", f"{FAR6}/128", "dev", "lo")
    client.run("ip", "-6", "route", "add", "default", "via", GATEWAY6)
    with contextlib.ExitStack() as running:
        if not url:
            running.enter_context(resolving(server, client, *addresses))
        control = running.enter_context(
            running_dev_server("--nodes=5", "--keep-alive=1s", listen=f"[::]:{PORT}", prefix=server.prefix)
        )
        key = directory / "auth-key"
        key.write_text(control.auth_key)
        key.chmod(0o600)
        daemon = running.enter_context(
            Daemon(
                f"--control-url={url or f'http://{NAME}:{PORT}'}",
                f"--auth-key=file:{key}",
                "--hostname=client",
                "--insecure-key-fetch",
                prefix=client.prefix,
            )
        )
        daemon.wait_fresh(40.0)
        yield daemon


def remote(status: dict[str, Any]) -> str:
    return str(status["connection"]["remote_address"] or "")


def attempts(client: Daemon) -> list[float]:
    """When each process of the connection was started, seconds of CLOCK_BOOTTIME."""
    return [event["boottime"] for event in client.events("actor_started", actor="control_connection")]


def begun(client: Daemon, watch: Stopwatch) -> float:
    """Seconds from the start of this clock, one of CLOCK_BOOTTIME, to the next attempt."""
    at = wait_for(
        lambda: next((at for at in attempts(client) if at > watch.began), None), 2 * SOON, "the next attempt"
    )
    return float(at) - watch.began


def wait_long(client: Daemon) -> None:
    """It has found that there is no route, and waits."""
    waiting = client.wait_status(
        lambda status: (status["connection"]["next_attempt_s"] or 0.0) > 200.0, 20.0, "a long wait"
    )
    assert waiting["connection"]["state"] == "backing_off"


@across_namespaces
def test_a_default_route_that_flaps_costs_seconds(namespaces: Pair, tmp_path: Path) -> None:
    side = namespaces.client
    route = ("default", "via", namespaces.server.address)
    with far_away(namespaces, tmp_path, url=f"http://{FAR4}:{PORT}") as client:
        side.run("ip", "route", "del", *route)
        client.wait_event("link_changed", 10.0, route="none")
        client.signal_actor("control_connection")
        wait_long(client)
        # The route leads nowhere yet: the attempt that it brings fails, however quick it is.
        side.nft(NOWHERE)
        up = Stopwatch(boottime)
        side.run("ip", "route", "add", *route)
        begun(client, up)
        side.run("ip", "route", "del", *route)
        client.wait_event("link_changed", 10.0, after=1, route="none")
        wait_long(client)
        side.run("nft", "flush", "ruleset")
        side.run("ip", "route", "add", *route)
        back = Stopwatch(boottime)
        assert back.began - attempts(client)[-1] < up.allowed(4.0), "too late to be too early"
        took = begun(client, back)
        client.wait_fresh(10.0)
        print(f"an attempt {took:.2f} s after the route came for good")
        assert took <= back.allowed(SOON)


@across_namespaces
def test_a_family_that_goes_leaves_the_other(namespaces: Pair, tmp_path: Path) -> None:
    side = namespaces.client
    with far_away(namespaces, tmp_path, FAR6, FAR4) as client:
        assert remote(client.wait_fresh()) == f"[{FAR6}]:{PORT}"
        side.run("ip", "-6", "route", "del", "default")
        gone = boottime()
        after = client.wait_status(
            lambda status: status["netmap"]["state"] == "fresh" and remote(status) == f"{FAR4}:{PORT}",
            15.0,
            "a fresh netmap over IPv4",
        )
        print(f"fresh over the other family {boottime() - gone:.1f} s after the route went")
        assert after["connection"]["generation"] == 2
        changes = len(client.events("link_changed"))
        # The other way round: IPv6 comes back, IPv4 goes.
        side.run("ip", "-6", "route", "add", "default", "via", GATEWAY6)
        side.run("ip", "route", "del", "default")
        client.wait_status(
            lambda status: status["netmap"]["state"] == "fresh" and remote(status) == f"[{FAR6}]:{PORT}",
            15.0,
            "a fresh netmap over IPv6",
        )
        assert len(client.events("link_changed")) == changes + 1


@across_namespaces
def test_an_operators_order_waits_for_no_route(namespaces: Pair, tmp_path: Path) -> None:
    side = namespaces.client
    with far_away(namespaces, tmp_path, url=f"http://{FAR4}:{PORT}") as client:
        side.run("ip", "route", "del", "default")
        client.wait_event("link_changed", 10.0, route="none")
        ordered = Stopwatch(boottime)
        client.command("reconnect", check=True)
        assert begun(client, ordered) <= ordered.allowed(3.0)


@across_namespaces
def test_a_route_of_a_vpn_that_comes_after_its_interface_is_found(namespaces: Pair, tmp_path: Path) -> None:
    side = namespaces.client
    side.run("ip", "route", "del", "default")
    own = (f"{FAR4}/32", "via", namespaces.server.address)
    side.run("ip", "route", "add", *own)
    with far_away(namespaces, tmp_path, url=f"http://{FAR4}:{PORT}") as client:
        side.run("ip", "link", "set", side.link, "down")
        client.wait_event("link_changed", 10.0, route="none")
        client.signal_actor("control_connection")
        wait_long(client)
        side.run("ip", "link", "set", side.link, "up")
        time.sleep(2.0)  # past what the interface's own notice leads to
        side.run("ip", "route", "add", *own)
        come = Stopwatch(boottime)
        took = begun(client, come)
        client.wait_fresh(10.0)
        print(f"an attempt {took:.2f} s after the route came")
        assert took <= come.allowed(SOON)
        # A route that is there and leads nowhere is none.
        side.run("ip", "route", "replace", "unreachable", own[0])
        client.signal_actor("control_connection")
        wait_long(client)
        side.run("ip", "route", "del", own[0])
        side.run("ip", "route", "add", *own)
        again = Stopwatch(boottime)
        assert begun(client, again) <= again.allowed(SOON)


@across_namespaces
def test_the_servers_other_address_is_no_change_of_the_network(namespaces: Pair, tmp_path: Path) -> None:
    with far_away(namespaces, tmp_path, FAR6, FAR4) as client:
        assert remote(client.wait_fresh()) == f"[{FAR6}]:{PORT}"
        namespaces.server.nft(
            f"""
            table inet no_ipv6 {{
              chain arriving {{
                type filter hook input priority 0; policy accept;
                ip6 daddr {FAR6} tcp dport {PORT} reject with tcp reset
              }}
            }}
            """
        )
        client.wait_status(
            lambda status: status["netmap"]["state"] == "fresh" and remote(status) == f"{FAR4}:{PORT}",
            20.0,
            "a fresh netmap over IPv4",
        )
        namespaces.heal()
        before = client.wait_fresh()
        client.signal_actor("control_connection")
        client.wait_status(
            lambda status: (
                status["netmap"]["state"] == "fresh"
                and status["connection"]["generation"] > before["connection"]["generation"]
            ),
            20.0,
            "a fresh netmap over whatever",
        )
        assert client.events("link_changed") == []
        assert client.events("probe_sent") == []


@pytest.mark.slow
@across_namespaces
def test_a_handshake_that_hangs_on_one_address_is_followed_by_one_with_another(
    namespaces: Pair, tmp_path: Path
) -> None:
    with far_away(namespaces, tmp_path, FAR6, FAR4) as client:
        # A path on which only small packets get through.
        namespaces.server.nft(
            f"""
            table inet hole {{
              chain arriving {{
                type filter hook input priority 0; policy accept;
                ip6 daddr {FAR6} tcp dport {PORT} meta length > 120 counter drop
              }}
            }}
            """
        )
        client.signal_actor("control_connection")
        stuck = client.wait_event("session_ended", 30.0, after=1)
        assert stuck["stage"] == "handshake"
        after = client.wait_status(
            lambda status: status["netmap"]["state"] == "fresh", 10.0, "a fresh netmap over the other address"
        )
        assert remote(after) == f"{FAR4}:{PORT}"
        assert after["connection"]["generation"] == 3


@across_namespaces
def test_a_server_at_a_link_local_address_is_reached_and_found_again(
    namespaces: Pair, tmp_path: Path
) -> None:
    side = namespaces.client
    shown = namespaces.server.run(
        "ip", "-6", "-o", "addr", "show", "dev", namespaces.server.link, "scope", "link"
    )
    address = shown.split("inet6 ")[1].partition("/")[0]
    # Until nobody else is found to have it, our own address is not used, and then it is: a change of the network.
    wait_for(
        lambda: "tentative" not in side.run("ip", "-6", "addr", "show", "dev", side.link),
        10.0,
        "a link-local address of our own",
    )
    with far_away(namespaces, tmp_path, url=f"http://[{address}%25{side.link}]:{PORT}") as client:
        assert remote(client.wait_fresh()) == f"[{address}%{side.link}]:{PORT}"
        assert client.events("link_changed") == []
        side.run("ip", "link", "set", side.link, "down")
        client.wait_event("link_changed", 10.0, route="none")
        client.signal_actor("control_connection")
        wait_long(client)
        side.run("ip", "link", "set", side.link, "up")
        client.wait_fresh(20.0)


@across_namespaces
def test_a_change_that_the_supervisor_slept_through_is_asked_about(namespaces: Pair, tmp_path: Path) -> None:
    side, gateway = namespaces.client, namespaces.server.address
    side.run("ip", "addr", "add", "10.87.0.3/24", "dev", side.link)
    with far_away(namespaces, tmp_path, url=f"http://{FAR4}:{PORT}") as client:
        client.signal_actor("control_connection")
        wait_for(lambda: len(attempts(client)) == 2, 10.0, "the next connection")
        os.kill(client.pid, signal.SIGSTOP)
        try:
            # It comes to its session, the network is another one, and the old way leads nowhere.
            flow = wait_for(lambda: _fed_flow(side), 10.0, "a session")
            side.run("ip", "route", "replace", "default", "via", gateway, "src", "10.87.0.3")
            namespaces.drop_flow(flow)
        finally:
            os.kill(client.pid, signal.SIGCONT)
        client.wait_event("probe_failed", 10.0, reason="link")
        after = client.wait_fresh(10.0)
        assert after["connection"]["generation"] == 3


@across_namespaces
def test_a_route_for_the_servers_port_alone_is_a_route(namespaces: Pair, tmp_path: Path) -> None:
    side = namespaces.client
    side.run("ip", "route", "del", "default")
    side.run("ip", "route", "add", "default", "via", namespaces.server.address, "table", "100")
    side.run("ip", "rule", "add", "ipproto", "tcp", "dport", str(PORT), "lookup", "100")
    with far_away(namespaces, tmp_path, url=f"http://{FAR4}:{PORT}") as client:
        client.signal_actor("control_connection")
        after = client.wait_status(
            lambda status: status["connection"]["generation"] == 2 and status["netmap"]["state"] == "fresh",
            15.0,
            "the next session",
        )
        assert after["connection"]["generation"] == 2


def _fed_flow(side: Namespace) -> int | None:
    """The source port of a connection to the server that has brought more than a handshake does."""
    for line in side.run("ss", "-tniOH", "state", "established").splitlines():
        local, remote_end = line.split()[2:4]
        received = re.search(r"bytes_received:(\d+)", line)
        if remote_end == f"{FAR4}:{PORT}" and received is not None and int(received[1]) > MAP_BYTES:
            return int(local.rpartition(":")[2])
    return None
