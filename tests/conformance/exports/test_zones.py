"""The zones, read by those who serve them: BIND, Knot, NSD and Unbound."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.exports import zone
from tests.support.host.free_ports import free_port
from tests.support.netmaps.built_netmap import DOMAIN, built_netmap
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.netmaps.shown_netmap import EVIL
from tests.support.programs import found, reads
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.subscriber import Netmap

CHECKERS = {
    "bind": ("named-checkzone", "-i", "local", "{zone}", "{file}"),
    "knot": ("kzonecheck", "-o", "{zone}", "{file}"),
    "nsd": ("nsd-checkzone", "{zone}", "{file}"),
}


def hostile() -> Netmap:
    words = [
        "tag",
        "x.tag",
        "a\nb",
        EVIL,
        "$TTL 1",
        "@",
        "\\",
        '"',
        "a;b",
        "(",
        "é",
        "x" * 64,
        "*",
        "wpad",
        "a" * 63,
    ]
    nodes = [
        {"name": f"{word}.{DOMAIN}", "tags": [f"tag:{word}", "tag:all"], "stable_id": word} for word in words
    ]
    nodes += [
        {"name": f"n{n}.{DOMAIN}", "tags": ["tag:all", "tag:most"][: 1 + (n < 100)]} for n in range(150)
    ]
    records = [{"Name": f"{word}.{DOMAIN}", "Value": "10.0.0.1"} for word in [*words, "g", "x.y.z"]]
    records += [{"Name": DOMAIN, "Value": "10.0.0.2"}, {"Name": f"n1.{DOMAIN}", "Value": "10.0.0.3"}]
    return built_netmap(*nodes, domain=EVIL, records=records)


NETMAPS = {
    "recorded": lambda: recorded_netmap(until="db1 connection closed"),
    "hostile": hostile,
    "empty": built_netmap,
}
REVERSE = {"recorded": ("100.64.0.0/16", "fd7a:115c:a1e0::/48"), "hostile": ("10.0.0.0/8",), "empty": ()}


def written(netmap: Netmap, file: Path, **choice: Any) -> str:
    """Write the zone; its name."""
    text = zone.text(netmap, state="fresh", serial=1_796_000_000, **choice)
    file.write_text(text)
    return text.partition("$ORIGIN ")[2].partition(".\n")[0]


@pytest.mark.parametrize("netmap", NETMAPS)
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_zone_is_one_for_every_server(tmp_path: Path, checker: str, netmap: str) -> None:
    choices: list[dict[str, Any]] = [{}, {"include_self": True}, {"origin": "corp.example"}]
    choices += (
        [{"servers": [f"obs.{DOMAIN}", "ns.example.net"], "include_self": True}]
        if netmap != "recorded"
        else []
    )
    choices += [{"reverse": zone.reverse_zone(network)} for network in REVERSE[netmap]]
    file = tmp_path / "zone"
    for choice in choices:
        name = written(NETMAPS[netmap](), file, **choice)
        said = reads(*(word.format(zone=name, file=file) for word in CHECKERS[checker]))
        assert "warning" not in said.lower()
        assert "ignoring" not in said.lower()


# A resolver that serves them


@contextlib.contextmanager
def unbound(directory: Path, zones: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """Unbound on loopback with these zones of its own; its address."""
    program = found("unbound")
    port = free_port()
    lines = [
        "server:",
        f'  directory: "{directory}"',
        f"  interface: 127.0.0.1@{port}",
        '  chroot: ""',
        '  username: ""',
        '  pidfile: ""',
        "  use-syslog: no",
        "  do-daemonize: no",
        "  module-config: iterator",
        "  num-threads: 1",
        *(f'  local-zone: "{name}." nodefault' for name in zones if name.endswith("arpa")),
        "remote-control:",
        "  control-enable: no",
    ]
    for name, file in zones.items():
        lines += ["auth-zone:", f'  name: "{name}"', f'  zonefile: "{file}"', "  for-upstream: yes"]
    (directory / "unbound.conf").write_text("\n".join(lines) + "\n")
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, "-d", "-p", "-c", str(directory / "unbound.conf")], stderr=log)
    try:
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(20)


def asked(server: tuple[str, int], name: str, kind: int) -> set[str] | None:
    """The data of the answers of this type (RFC 1035 section 4); None without an answer."""
    labels = b"".join(struct.pack("B", len(label)) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1.0)
        asking.connect(server)
        try:
            asking.send(query)
            answer = asking.recv(65535)
        except OSError:
            return None
    count = struct.unpack("!6H", answer[:12])[3]
    at, data = len(query), set()
    for _ in range(count):
        at = past_name(answer, at)
        found_kind, _, _, length = struct.unpack("!HHIH", answer[at : at + 10])
        assert found_kind == kind
        at += 10
        rest = answer[at : at + length]
        at += length
        if kind == PTR:
            data.add(name_in(answer, at - length))
        else:
            data.add(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, rest))
    return data


A, PTR, AAAA = 1, 12, 28


def past_name(message: bytes, at: int) -> int:
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


def name_in(message: bytes, at: int) -> str:
    labels = []
    while message[at]:
        if message[at] >= 0xC0:
            at = struct.unpack("!H", message[at : at + 2])[0] & 0x3FFF
            continue
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels)


def test_a_resolver_finds_each_node_of_a_recorded_tailnet_by_name_by_address_and_by_tag(
    tmp_path: Path,
) -> None:
    netmap = recorded_netmap(until="db1 connection closed")
    zones = {}
    for number, network in enumerate((None, *REVERSE["recorded"])):
        reverse = None if network is None else zone.reverse_zone(network)
        file = tmp_path / f"zone{number}"
        zones[written(netmap, file, reverse=reverse)] = file
    with unbound(tmp_path, zones) as server:
        first = next(iter(netmap.peers.values()))
        wait_for(lambda: asked(server, first.name, A), 20.0, "an answer")
        for node in netmap.peers.values():
            v4, v6 = node.ips
            assert asked(server, node.name, A) == {v4}
            assert asked(server, node.name, AAAA) == {v6}
            pointer = ".".join(reversed(v4.split("."))) + ".in-addr.arpa"
            assert asked(server, pointer, PTR) == {node.name}
        assert asked(server, "db.tag.tail.example", A) == {"100.64.0.9"}
        assert asked(server, "none.tail.example", A) == set()
