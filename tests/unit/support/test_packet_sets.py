"""`support.servers.packet_sets`: filters that look different and let in the same, and the other way round."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.servers.packet_sets import same_packets


def rule(
    src: list[str], dst: list[str], low: int = 0, high: int = 65535, proto: Any = None
) -> dict[str, Any]:
    ports = {"First": low, "Last": high}
    return {"SrcIPs": src, "DstPorts": [{"IP": ip, "Ports": ports} for ip in dst], "IPProto": proto}


A, B, C6 = "100.64.0.1", "100.64.0.2", "fd7a::1"
SAME = [
    ([], [rule([], ["*"])]),
    ([rule([A], [B])], [rule([A], [B], 0, 99), rule([A], [B], 100)]),
    ([rule([A, B], ["*"])], [rule([B], ["*"]), rule([A], ["0.0.0.0/0"]), rule([A], ["::/0"])]),
    ([rule(["10.0.0.0/31"], [A])], [rule(["10.0.0.0-10.0.0.1"], [A])]),
    ([rule([A], [B])], [rule([A, C6], [B])]),
    ([rule([A], [B], proto=[])], [rule([A], [B], proto=[6, 17]), rule([A], [B], proto=[58, 1])]),
    ([rule(["*"], [A])], [rule(["0.0.0.0-127.255.255.255", "128.0.0.0/1"], [A])]),
]
DIFFERENT = [
    ([], [rule([A], ["*"])]),
    ([rule([A], [B])], [rule([B], [A])]),
    ([rule([A], [B])], [rule([A], [B], 1)]),
    ([rule([A], [B])], [rule([A], [B], proto=[6])]),
    ([rule([A, C6], ["*"])], [rule([A], ["*"])]),
    ([rule(["10.0.0.0/8"], [A])], [rule(["10.0.0.0-10.255.255.254"], [A])]),
    ([rule([A], [A]), rule([B], [B])], [rule([A, B], [A, B])]),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_lets_in_the_same_is_the_same(one: list[Any], other: list[Any]) -> None:
    assert same_packets(one, other)
    assert same_packets(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_lets_in_something_else_is_not(one: list[Any], other: list[Any]) -> None:
    assert not same_packets(one, other)
    assert not same_packets(other, one)


def test_capabilities_count_too() -> None:
    grant = {"SrcIPs": [A], "CapGrant": [{"Dsts": [f"{B}/32"], "CapMap": {"example.com/cap": [{}]}}]}
    other = {"SrcIPs": [A], "CapGrant": [{"Dsts": [B], "CapMap": {"example.com/cap": [{"x": 1}]}}]}
    assert same_packets([grant], [grant, grant])
    assert not same_packets([grant], [other])
    assert not same_packets([grant], [])
