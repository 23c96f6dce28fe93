"""`tailnet.derp_map` and `operator.files`: relays from a file, and its errors."""

from __future__ import annotations

import ipaddress
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.operator.files import MAX_FILE, read_auth_key_source, read_derp_map
from netmap_actors.dev_control.standalone import running_server
from netmap_actors.dev_control.tailnet.churn import populate
from netmap_actors.dev_control.tailnet.derp_map import built_in_derp_map, parse_derp_map
from netmap_actors.dev_control.tailnet.tailnet import Aspect, Tailnet
from netmap_actors.errors import ConfigurationError
from tests.support.clients.control_client import joined

if TYPE_CHECKING:
    from pathlib import Path


def region(number: int = 7, **fields: object) -> dict[str, Any]:
    relay = {"Name": f"{number}a", "RegionID": number, "HostName": "derp.example", "DERPPort": 4443}
    return {"RegionID": number, "RegionCode": "x", "RegionName": "X", "Nodes": [relay], **fields}


def relays(**fields: object) -> dict[str, Any]:
    return {"Regions": {"7": region(Nodes=[region()["Nodes"][0] | fields])}}


def test_a_map_goes_through_as_it_is() -> None:
    given = {
        "Regions": {"7": region(Latitude=1.5), "9": None, "12": region(12, NoMeasureNoHome=True)},
        "New": 1,
    }
    made = parse_derp_map(json.dumps(given).encode())
    assert json.loads(made.json) == given
    assert made.regions == (7,), "nobody is at home where nobody may be"


def test_the_built_in_map_would_be_taken_from_a_file() -> None:
    built_in = built_in_derp_map()
    assert parse_derp_map(built_in.json) == built_in
    assert built_in.regions == (901, 902, 903)


def test_nothing_in_the_built_in_map_leads_out_of_the_machine() -> None:
    regions = json.loads(built_in_derp_map().json)["Regions"].values()
    relays = [relay for one in regions for relay in one["Nodes"]]
    assert len(relays) == 3
    for relay in relays:
        # An absent address is looked up by its name; an absent port is 443 or 3478, where something may listen.
        assert all(ipaddress.ip_address(relay[name]).is_loopback for name in ("HostName", "IPv4", "IPv6"))
        assert all(relay[name] == 1 for name in ("STUNPort", "DERPPort"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `Regions`"),
        ({"Regions": {"1": region(7)}}, "region '1': its RegionID is 7"),
        ({"Regions": {"7": region(7, Nodes=[{"Name": "7a", "RegionID": 7}])}}, "HostName"),
        ({"Regions": {"7": region(7, RegionCode=5)}}, "RegionCode"),
        (relays(RegionID=8), "says RegionID 8"),
        (relays(HostName=""), "neither HostName nor address"),
        (relays(IPv4="256.0.0.1"), "no IPv4 address"),
        (relays(IPv6="192.0.2.1"), "no IPv6 address"),
        (relays(DERPPort=70_000), "DERPPort"),
        (relays(STUNPort=-2), "STUNPort"),
        ({"Regions": {"7": region(Nodes=region()["Nodes"] * 2)}}, "two of its nodes"),
        ({"Regions": {"0": region(0)}}, ">= 1"),
    ],
)
def test_a_map_that_cannot_be_used_says_why(given: object, why: str, tmp_path: Path) -> None:
    file = tmp_path / "derp.json"
    file.write_bytes(given if isinstance(given, bytes) else json.dumps(given).encode())
    with pytest.raises(ConfigurationError, match="cannot use the DERP map") as caught:
        read_derp_map(file)
    assert why in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*nowhere: No such file"):
        read_derp_map(tmp_path / "nowhere")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(ConfigurationError, match="more than"):
        read_derp_map(large)


@pytest.mark.parametrize(("regions", "homes"), [({"7": region()}, {7}), ({}, {0})])
def test_simulated_nodes_are_at_home_in_the_map(regions: dict[str, object], homes: set[int]) -> None:
    tailnet = Tailnet(derp_map=parse_derp_map(json.dumps({"Regions": regions}).encode()))
    populate(tailnet, 20, random.Random(1), 1_800_000_000.0)
    assert {entry.node.home_derp for entry in tailnet.entries.values()} == homes
    assert json.loads(tailnet.aspects[Aspect.DERP_MAP]) == {"Regions": regions}


def test_clients_hear_of_the_map_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "derp.json"
    file.write_text(json.dumps({"Regions": {"7": region()}}))
    with running_server(derp_map=read_derp_map(file)) as server:
        client, stream = joined(server)
        assert stream.messages[0]["DERPMap"] == {"Regions": {"7": region()}}
        client.close()


def test_a_map_may_be_given_as_it_stands_in_a_file() -> None:
    with running_server(derp_map={"Regions": {}}) as server:
        client, stream = joined(server)
        assert stream.messages[0]["DERPMap"] == {"Regions": {}}
        client.close()
    with pytest.raises(ConfigurationError, match="Regions"), running_server(derp_map={}):
        pass


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("devkey-auth-secret", "must be file:PATH or env:NAME"),
        ("file:", "must be file:PATH or env:NAME"),
        ("file:/nowhere/at/all", "No such file"),
        ("env:NETMAP_NOT_SET", "one word"),
        ("env:NETMAP_TWO_WORDS", "one word"),
        ("env:NETMAP_SHORT", "one word of 8"),
    ],
)
def test_an_auth_key_that_cannot_be_used_is_not_shown(
    source: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETMAP_TWO_WORDS", "two-words-of secret-text")
    monkeypatch.setenv("NETMAP_SHORT", "secret")
    with pytest.raises(ConfigurationError, match=why) as caught:
        read_auth_key_source(source)
    assert "secret" not in str(caught.value)


def test_an_auth_key_is_read_without_the_end_of_its_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("devkey-auth-0123\n")
    assert read_auth_key_source(f"file:{tmp_path}/key") == "devkey-auth-0123"
