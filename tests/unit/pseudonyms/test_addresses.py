"""`pseudonyms.addresses`: containment, lengths and meanings stay."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netmap_actors.pseudonyms.addresses import AddressPseudonyms

SALT = b"a salt of a test"
SAME = (
    "0.0.0.0/0",
    "::/0",
    "127.0.0.1",
    "127.3.3.40:7",
    "100.100.100.100",
    "0.0.0.0/1",
    "100.64.0.0/10",
    "::1",
)
KEPT = ("100.64.0.0/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd7a:115c:a1e0::/48", "fe80::/10")
INSIDE = st.sampled_from(KEPT).flatmap(lambda text: st.tuples(st.just(text), st.ip_addresses(network=text)))

PUBLIC = st.sampled_from(["8.0.0.0/7", "2000::/3"]).flatmap(
    lambda text: st.tuples(st.just(text), st.ip_addresses(network=text))
)


def made(text: str) -> str:
    found = AddressPseudonyms(SALT).one(text)
    assert found is not None
    return found


@pytest.mark.parametrize("text", SAME)
def test_what_every_machine_has_stays(text: str) -> None:
    assert made(text) == text


@given(INSIDE)
def test_an_address_stays_in_a_range_of_common_knowledge(pair: tuple[str, object]) -> None:
    text, address = pair
    assert ipaddress.ip_address(made(str(address))) in ipaddress.ip_network(text)


@given(st.one_of(INSIDE, PUBLIC), st.integers(16, 128))
@example(("fe80::/10", ipaddress.ip_address("fe80:0:0:1::")), 16)
@example(("fd7a:115c:a1e0::/48", ipaddress.ip_address("fd7a:115c:a1e0:ab13::")), 56)
def test_an_address_is_in_the_same_prefixes_as_before(pair: tuple[str, object], length: int) -> None:
    """Of what is public from a /16 or a /48 on: such are numbered as they come."""
    text, address = pair
    least = ipaddress.ip_network(text).prefixlen if text in KEPT else 16 if ":" not in text else 48
    network = ipaddress.ip_network(
        f"{address}/{max(least, length % 33 if ':' not in text else length)}", strict=False
    )
    pseudonyms = AddressPseudonyms(SALT)
    shown = ipaddress.ip_network(str(pseudonyms.one(str(network))))
    assert shown.prefixlen == network.prefixlen
    assert ipaddress.ip_address(str(pseudonyms.one(str(address)))) in shown


@given(st.lists(st.ip_addresses(v=4, network="100.64.0.0/10"), unique=True))
def test_two_addresses_never_become_one(addresses: list[object]) -> None:
    pseudonyms = AddressPseudonyms(SALT)
    assert len({pseudonyms.one(str(address)) for address in addresses}) == len(addresses)


@given(st.ip_addresses(v=4, network="100.64.0.0/10"), st.integers(0, 600))
def test_a_range_becomes_the_prefixes_that_hold_its_addresses(first: object, more: int) -> None:
    pseudonyms = AddressPseudonyms(SALT)
    start = int(ipaddress.IPv4Address(str(first)))
    last = ipaddress.IPv4Address(min(start + more, int(ipaddress.IPv4Address("100.127.255.255"))))
    networks = [ipaddress.ip_network(one) for one in pseudonyms.several(f"{first}-{last}") or []]
    assert sum(network.num_addresses for network in networks) == int(last) - start + 1
    for address in (first, last):
        shown = ipaddress.ip_address(str(pseudonyms.one(str(address))))
        assert any(shown in network for network in networks)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("8.8.8.8", "240.0.0.0/4"), ("8.8.8.0/24", "240.0.0.0/4"), ("2a01:4f8::1", "3fff::/20")],
)
def test_what_is_public_goes_where_nobody_lives(given: str, kept: str) -> None:
    assert ipaddress.ip_network(made(given)).subnet_of(ipaddress.ip_network(kept))  # type: ignore[arg-type]


def test_a_subnet_behind_4via6_is_the_subnet() -> None:
    via = ipaddress.ip_network(made("fd7a:115c:a1e0:b1a:0:7:c0a8:100/120"))
    inner = ipaddress.ip_network(made("192.168.1.0/24"))
    assert int(via.network_address) & 0xFFFFFFFF == int(inner.network_address)
    # Python writes it in two ways, by its version.
    mapped = ipaddress.IPv6Address(made("::ffff:192.168.1.9")).ipv4_mapped
    assert mapped == ipaddress.IPv4Address(made("192.168.1.9"))


def test_ports_and_zones_stay_and_an_interface_of_a_private_name_does_not() -> None:
    assert made("8.8.8.8:53").endswith(":53")
    assert made("[2a01:4f8::1]:41641").endswith("]:41641")
    assert made("fe80::1%eth0").endswith("%eth0")
    assert "acme" not in made("fe80::1%acme")


@pytest.mark.parametrize(
    "text", ["", "web-1", "1.2.3", "1.2.3.4.5", "a-b", "100.64.0.1-", "::g", "1.2.3.4-::1"]
)
def test_other_text_is_no_address(text: str) -> None:
    assert AddressPseudonyms(SALT).several(text) is None


def test_another_salt_gives_other_addresses() -> None:
    assert AddressPseudonyms(b"one").one("100.64.3.7") != AddressPseudonyms(b"two").one("100.64.3.7")
