"""Every field that Go's tailcfg reads from a control server: nothing of an original stays, and the type does."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.pseudonyms import Pseudonyms
from netmap_actors.rfc3339 import unix_seconds
from tests.support.schemas.tailcfg import ROOTS, GoField, known_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS = known_fields()
STRUCTS = {field.struct for field in FIELDS}

NAMING = (
    "zebra.quux.lan", "zebra@quux.lan", "tag:zebra", "zebra:quux", "https://zebra.quux/x?y=quux", "ZEBRA_QUUX=1",
    "*.zebra.quux", "zebra._tcp.quux", "nodekey:" + "ab" * 32, "a1:b2:c3:d4:e5:f6", "nZebraCNTRL", "4503599627370496",
    "203.0.113.77", "203.0.113.0/24", "203.0.113.7-203.0.113.9", "203.0.113.77:41641", "fd00:beef::77",
)  # fmt: skip
"""Texts that name somebody wherever they stand."""
WORDS = ("zebra", "zebra-quux", "Zebra Quux", "zebra/quux")
"""Texts that may name somebody."""
ORIGINAL = re.compile(r"zebra|quux|(?:ab){9}|c3:d4|4503599627370496|203\.0\.113|beef|enVicmEt", re.IGNORECASE)

OF_PROGRAMS = {
    "ClientVersion": "LatestVersion",
    "DisplayMessage": "Severity",
    "Hostinfo": """
        App Cloud Distro DistroCodeName DistroVersion Env GoArch GoArchVar GoVersion IPNVersion OS OSVersion Package
    """,
    "MapRequest": "Compress",
    "NetInfo": "FirewallMode LinkType",
    "PingRequest": "Types",
    "Service": "Proto",
}
"""Fields with words of programs and of operating systems, without which a recording says nothing."""
ATTRIBUTES = {"CapGrant": "CapMap Caps", "Node": "CapMap Capabilities", "PeerChange": "CapMap"}
"""Attributes without a domain are Tailscale's own."""
AMOUNTS = {"MapResponse.Seq", "MapRequest.MapSessionSeq"}


def listed(table: dict[str, str]) -> set[str]:
    return {f"{struct}.{member}" for struct, members in table.items() for member in members.split()}


def placed(struct: str, value: dict[str, Any], outer: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """A document in which this structure has this value."""
    if struct in ROOTS:
        return value if struct.startswith("Map") else {struct: value}
    for field in FIELDS:
        if field.type.rpartition("]")[2].lstrip("*") == struct and field.struct not in outer:
            inside: Any = [value] if "[]" in field.type else value
            if field.type.startswith("map["):
                inside = {"7": inside}
            if found := placed(field.struct, {field.member: inside}, (*outer, struct)):
                return found
    return None


def holding(go_type: str, text: str) -> Iterator[Any]:
    """Values of this type, as JSON has them, with this text in each place for one."""
    go_type = go_type.lstrip("*")
    if go_type.startswith("map["):
        key, inner = go_type.removeprefix("map[").split("]", 1)
        if key == "string" or inner.lstrip("[]*") in STRUCTS:
            yield {text: [] if inner.startswith("[]") else {} if inner.startswith("*") else 1.5}
        for value in holding(inner, text):
            yield {"1": value}
            if inner == "[]string":  # of any JSON
                yield {"1": [{"who": text}, {text: 1}]}
    elif go_type.startswith("[]") and go_type != "[]byte":
        yield from ([value] for value in holding(go_type.removeprefix("[]"), text))
    elif go_type == "[]byte" or go_type.endswith("Signature"):
        yield base64.b64encode(f"zebra-quux {text}".encode()).decode()
    elif go_type in {"string", "time.Duration"} or ("." in go_type and go_type != "opt.Bool"):
        yield text


def kept(field: GoField, text: str) -> list[str]:
    shown = []
    for value in holding(field.type, text):
        message = placed(field.struct, {field.member: value})
        assert message is not None, f"where is {field.struct}?"
        made = json.dumps(Pseudonyms(b"a salt").map_response(message))
        shown += [made] if ORIGINAL.search(made) else []
    return shown


def test_no_field_keeps_what_names_somebody() -> None:
    found = {f"{field.struct}.{field.member}": kept(field, text) for field in FIELDS for text in NAMING}
    assert {name: shown for name, shown in found.items() if shown} == {}


def test_only_fields_of_programs_keep_words() -> None:
    found = {f"{field.struct}.{field.member}" for field in FIELDS for text in WORDS if kept(field, text)}
    assert found == listed(OF_PROGRAMS) | listed(ATTRIBUTES)


def test_ids_are_replaced_and_places_gone() -> None:
    ids = [field for field in FIELDS if "int64" in field.type and not field.type.startswith("uint")]
    for field in ids:
        value: Any = 7777
        if field.type.startswith("map["):
            value = {"7777": True}
        elif field.type.startswith("[]"):
            value = [7777]
        message = placed(field.struct, {field.member: value})
        assert message is not None
        stays = "7777" in json.dumps(Pseudonyms(b"a salt").map_response(message))
        assert stays == (f"{field.struct}.{field.member}" in AMOUNTS), field
    places = [field for field in FIELDS if field.member in {"Latitude", "Longitude"}]
    assert len(places) == 4
    for field in places:
        message = placed(field.struct, {field.member: 48.137})
        assert message is not None
        assert "48" not in json.dumps(Pseudonyms(b"a salt").map_response(message))


EXAMPLES: dict[str, tuple[str, Any]] = {
    "netip.Addr": ("100.64.7.9", ipaddress.ip_address),
    "netip.Prefix": ("100.64.7.9/32", ipaddress.ip_network),
    "netip.AddrPort": ("203.0.113.77:41641", lambda text: ipaddress.ip_address(text.rpartition(":")[0])),
    "time.Time": ("2026-01-02T03:04:05.678Z", unix_seconds),
    "[]byte": (
        base64.b64encode(bytes(range(33))).decode(),
        lambda text: base64.b64decode(text, validate=True),
    ),
    "key.NodePublic": ("nodekey:" + "ab" * 32, lambda text: re.fullmatch("nodekey:[0-9a-f]{64}", text)),
    "key.MachinePublic": ("mkey:" + "ab" * 32, lambda text: re.fullmatch("mkey:[0-9a-f]{64}", text)),
    "key.DiscoPublic": ("discokey:" + "ab" * 32, lambda text: re.fullmatch("discokey:[0-9a-f]{64}", text)),
}


@pytest.mark.parametrize("go_type", sorted(EXAMPLES))
def test_a_go_client_can_read_what_is_in_its_place(go_type: str) -> None:
    example, read = EXAMPLES[go_type]
    fields = [
        field
        for field in FIELDS
        if field.type.removeprefix("[]").lstrip("*") == go_type or field.type == go_type
    ]
    assert fields
    for field in fields:
        value: Any = [example] if field.type.startswith("[]") and go_type != "[]byte" else example
        message = placed(field.struct, {field.member: value})
        assert message is not None
        shown = json.dumps(Pseudonyms(b"a salt").map_response(message))
        text = re.findall(r'"([^"]*)"', shown)[-1]
        assert read(text), (field, shown)
        assert (text == example) == (go_type == "time.Time")


@pytest.mark.parametrize(
    "version",
    [
        "3.10.0-1160.el7.x86_64", "6.8.5-301.fc40.x86_64", "6.6.87.2-microsoft-standard-WSL2", "10.0.19045.2364",
        "1.102.5-tabc123-gdef456", "go1.26.6", "14.0-RELEASE-p5", "4.19.0 (custom)", "Debian GNU/Linux 12", "bookworm",
    ],
)  # fmt: skip
def test_versions_stay(version: str) -> None:
    message = {"Node": {"Hostinfo": {"OSVersion": version}}}
    assert Pseudonyms(b"a salt").map_response(message) == message
