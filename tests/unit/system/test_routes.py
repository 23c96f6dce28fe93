"""Whether the kernel would reach the control server: asked of all its addresses, believed for one network."""

from __future__ import annotations

import errno
import io
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.bus.loop import Loop
from netmap_supervisor.system import route_watch
from netmap_supervisor.system.route_watch import RouteWatch, rest_of_the_world, route_in, route_to
from netmap_supervisor.system.routes import ControlRoutes, Route
from tests.support.waiting import Stopwatch

V6, V4, VPN = "2001:db8::1", "192.0.2.1", "10.8.0.1"
BOTH = (f"[{V6}]:443", f"{V4}:443")
ROOT = "198.41.0.4"


class Kernel(dict[str, str | None]):
    """Address -> the way there; `asked` lists the questions."""

    def __init__(self, **_: object) -> None:
        super().__init__()
        self.asked: list[str] = []

    def ask(self, host: str) -> str | None:
        self.asked.append(host)
        return self.get(host)


@pytest.fixture
def kernel() -> Kernel:
    made = Kernel()
    made.update({V6: "eth0 via fe80::1", V4: "eth0 via 192.0.2.254", ROOT: "eth0 via 192.0.2.254"})
    return made


@pytest.fixture
def routes(kernel: Kernel) -> ControlRoutes:
    return ControlRoutes(kernel.ask, lambda: [ROOT])


def test_one_address_that_can_be_reached_is_enough(routes: ControlRoutes, kernel: Kernel) -> None:
    assert routes.aim(1, BOTH, BOTH[0]) == Route("eth0 via fe80::1", aimed=True)
    assert routes.look() is None
    kernel[V6] = None
    assert routes.look() == Route("eth0 via 192.0.2.254")
    kernel[V4] = None
    assert routes.look() == Route(None)
    kernel[V4] = "eth0 via 192.0.2.254"
    assert routes.look() == Route("eth0 via 192.0.2.254")


def test_the_address_in_use_is_the_one_whose_way_counts(routes: ControlRoutes, kernel: Kernel) -> None:
    routes.aim(1, BOTH, BOTH[1])
    kernel[V6] = "wlan0 via fe80::2"
    assert routes.look() is None
    kernel.asked.clear()
    assert routes.look() is None
    assert kernel.asked == [V4], "while it can be reached nothing else is asked"


def test_another_address_of_the_server_is_no_change_of_the_network(routes: ControlRoutes) -> None:
    routes.aim(1, BOTH, BOTH[0])
    told = routes.aim(2, BOTH, BOTH[1])
    assert told is None or told.aimed
    assert routes.look() is None


def test_a_change_is_one_though_it_is_found_while_a_lookup_is_taken_in(
    routes: ControlRoutes, kernel: Kernel
) -> None:
    routes.aim(1, BOTH, BOTH[0])
    kernel[V6] = "wlan0 via fe80::2"
    assert routes.aim(2, BOTH, BOTH[0]) == Route("wlan0 via fe80::2"), "it had not been reported before"
    kernel[V6] = None
    assert routes.aim(3, BOTH, BOTH[1]) == Route("eth0 via 192.0.2.254"), "one family went"
    kernel[V4] = None
    assert routes.aim(4, (f"{VPN}:443",), "") == Route(None), "there is no way any more, wherever to"
    kernel[VPN] = "tun0"
    assert routes.aim(5, (f"{VPN}:443",), "") == Route("tun0", aimed=True), (
        "who looked it up has found it himself"
    )


def test_the_same_words_again_cost_nothing(routes: ControlRoutes, kernel: Kernel) -> None:
    routes.aim(1, BOTH, BOTH[0])
    kernel.asked.clear()
    assert routes.aim(1, BOTH, BOTH[0]) is None
    assert routes.aim(1, BOTH, "") is None, "the connection is gone, its address still counts"
    assert kernel.asked == []


def test_the_network_of_the_start_is_no_other_network(routes: ControlRoutes, kernel: Kernel) -> None:
    """An interface of a container that comes a moment after the start would end the first attempt."""
    assert routes.look() is None
    kernel[ROOT] = "wlan0 via 198.51.100.1"
    assert routes.look() == Route("", elsewhere="wlan0 via 198.51.100.1"), "the lookup may be one in vain"


def test_addresses_nobody_knows_are_not_said_to_be_out_of_reach(
    routes: ControlRoutes, kernel: Kernel
) -> None:
    kernel[ROOT] = None
    assert routes.look() == Route("")
    kernel[ROOT] = "eth0 via 192.0.2.254"
    assert routes.look() == Route("", elsewhere="eth0 via 192.0.2.254"), "a lookup may work now"
    assert routes.aim(1, BOTH, "") == Route("eth0 via fe80::1", aimed=True)


def test_in_another_network_the_name_may_have_other_addresses(routes: ControlRoutes, kernel: Kernel) -> None:
    routes.aim(1, (f"{VPN}:443",), "")
    assert routes.look() is None
    kernel[ROOT] = None
    assert routes.look() is None, "no network is no other network"
    kernel[ROOT] = "wlan0 via 198.51.100.1"
    assert routes.look() == Route(None, elsewhere="wlan0 via 198.51.100.1")
    assert routes.aim(2, (f"{VPN}:443",), "") == Route(None, aimed=True), "it was looked up here, and has not"


def test_a_kernel_that_cannot_be_asked_has_not_said_no(routes: ControlRoutes, kernel: Kernel) -> None:
    routes.aim(1, BOTH, "")
    kernel.update({V6: "", V4: None})
    assert routes.look() is None
    kernel[V4] = "eth0 via 192.0.2.254"
    assert routes.look() == Route("eth0 via 192.0.2.254")


@given(
    st.lists(st.text(max_size=20) | st.sampled_from([*BOTH, "[fe80::1%eth0]:443"]), max_size=20),
    st.text(max_size=20),
)
def test_only_addresses_are_ever_asked_for(addresses: list[str], remote: str) -> None:
    kernel = Kernel()
    routes = ControlRoutes(kernel.ask, list)
    routes.aim(1, addresses, remote)
    routes.look()
    for host in kernel.asked:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.inet_pton(family, host.partition("%")[0])


# --- the kernel -----------------------------------------------------------------------------------------------


def test_a_link_local_address_is_asked_for_with_its_interface() -> None:
    assert (route_to("::1%lo") or "").startswith("lo")
    assert (route_to("::1%1") or "").startswith("lo")
    assert route_to("fe80::1%none") is None
    assert route_to("fe80::1%99999999999999") is None


def test_a_machine_without_descriptors_has_not_lost_its_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", refuse)
    assert route_to("127.0.0.1") == ""


@pytest.mark.parametrize(
    ("number", "way"),
    [(errno.ENETUNREACH, None), (errno.EHOSTUNREACH, None), (errno.EINVAL, None), (errno.EACCES, None),
     (errno.EOPNOTSUPP, ""), (errno.EPERM, ""), (errno.ENOBUFS, ""), (errno.ENOMEM, "")],
)  # fmt: skip
def test_a_kernel_that_will_not_answer_has_not_said_that_there_is_no_way(
    number: int, way: str | None
) -> None:
    nlmsg_error = 2
    assert route_in(struct.pack("=IHHIIi", 36, nlmsg_error, 0, 1, 0, -number) + bytes(16)) == way


def test_the_rest_of_the_world_is_never_this_machine() -> None:
    hosts = rest_of_the_world()
    assert {"198.41.0.4", "2001:503:ba3e::2:30"} <= set(hosts)
    assert len(hosts) <= 5
    assert not any(host.startswith("127.") or host == "::1" for host in hosts)


@pytest.mark.parametrize(
    "line", ["nameserver\t192.0.2.53", "nameserver  192.0.2.53  # the router", " nameserver 192.0.2.53"]
)
def test_name_servers_are_read_as_resolvers_read_them(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"search example.com\n{line}\nnameserver\n\nnameservers 192.0.2.54\n"
    monkeypatch.setattr(Path, "open", lambda *_args, **_options: io.StringIO(text))
    assert rest_of_the_world()[0] == "192.0.2.53"
    assert "192.0.2.54" not in rest_of_the_world()


class Notices:
    """The kernel's notices, as a socket without a kernel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        listener, self._kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.setblocking(False)
        monkeypatch.setattr(route_watch, "_listening_socket", lambda: listener)

    def give(self) -> None:
        self._kernel.send(b"a notice", socket.MSG_DONTWAIT)


def test_a_storm_of_notices_is_one_wake_up_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    notices, loop = Notices(monkeypatch), Loop()
    way: list[str | None] = ["eth0"]
    monkeypatch.setattr(route_watch, "route_to", lambda _host, _port=0: way[0])
    told: list[Route] = []
    watch = RouteWatch(loop, told.append)
    watch.aim((1, [f"{V4}:443"]), "")
    watched = Stopwatch(loop.now)
    waits = loop.waits
    loop.every(0.05, lambda: (notices.give(), notices.give()))
    ticks = [0]
    loop.every(0.05, lambda: ticks.append(1))
    while watched.wall() < 2.5:
        for call in loop.wait():
            call()
    assert watch.looks <= 2 + watched.wall()
    assert loop.waits - waits <= len(ticks) + 3 * watch.looks, (
        "a notice while one is handled does not wake the loop"
    )
    way[0] = None
    waited = Stopwatch(loop.now)
    while told[-1] != Route(None):
        assert waited.seconds() < 3.0, "the storm hides nothing"
        for call in loop.wait():
            call()
    watch.close()
    loop.close()


@pytest.mark.parametrize(
    ("address", "port"),
    [("192.0.2.1:443", 443), ("[2001:db8::1]:8080", 8080), ("[fe80::1%eth0]:1", 1), ("192.0.2.1", 0), ("", 0),
     ("192.0.2.1:65536", 0), ("192.0.2.1:99999999", 0), ("192.0.2.1:-1", 0), ("192.0.2.1:\u0663", 0)],
)  # fmt: skip
def test_the_kernel_is_asked_for_the_way_to_the_servers_port(
    address: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    Notices(monkeypatch)
    monkeypatch.setattr(route_watch, "route_to", lambda _host, port=0: asked.append(port) or "eth0")
    watch = RouteWatch(Loop(), lambda _route: None)
    asked.clear()
    watch.aim((1, [address, f"{V4}:443"]), "")
    assert set(asked) == {port}
    assert (route_to("127.0.0.1", port) or "").startswith("lo")
    watch.close()
