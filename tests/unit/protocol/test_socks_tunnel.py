"""SOCKS5 of RFC 1928 and RFC 1929: every byte of a negotiation, in every fragmentation, and every refusal."""

from __future__ import annotations

import itertools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.errors import ConfigurationError, RemoteProtocolError
from netmap_actors.protocol.socks_tunnel import SocksTunnel, require_socks
from netmap_actors.transport.proxy import ENVIRONMENT, choose_proxy

NAME = bytes.fromhex("05 01 00 03 09") + b"c.example" + bytes.fromhex("01 bb")
IPV4 = bytes.fromhex("05 01 00 01 c0 00 02 01 1f 90")
IPV6 = bytes.fromhex("05 01 00 04 fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 50")
GRANTED = bytes.fromhex("05 00 00 01 00 00 00 00 00 00")
OPEN = bytes.fromhex("05 00")
PASSWORD = bytes.fromhex("05 02")


def talk(tunnel: SocksTunnel, *answers: bytes) -> tuple[list[bytes], bytes | None]:
    """What the client sends after each answer, and the bytes left for the tunnel."""
    said, behind = [tunnel.data_to_send()], None
    for answer in answers:
        behind = tunnel.receive(answer)
        said.append(tunnel.data_to_send())
    return said, behind


@pytest.mark.parametrize(
    ("host", "port", "request_"),
    [
        ("c.example", 443, NAME),
        ("c.example.", 443, NAME),
        ("192.0.2.1", 8080, IPV4),
        ("fd00::1", 80, IPV6),
    ],
)
def test_without_a_password_the_request_comes_at_once(host: str, port: int, request_: bytes) -> None:
    said, behind = talk(SocksTunnel(host, port), OPEN, GRANTED)
    assert said == [bytes.fromhex("05 01 00"), request_, b""]
    assert behind == b""


def test_user_and_password_are_said_when_they_are_asked_for() -> None:
    said, behind = talk(SocksTunnel("c.example", 443, ("al", "p@ss")), PASSWORD, b"\x01\x00", GRANTED)
    assert said == [bytes.fromhex("05 02 00 02"), b"\x01\x02al\x04p@ss", NAME, b""]
    assert behind == b""
    said, _ = talk(SocksTunnel("c.example", 443, ("al", "p@ss")), OPEN, GRANTED)
    assert b"al" not in b"".join(said), "a proxy that does not ask does not hear them"


@pytest.mark.parametrize(
    "granted",
    [
        GRANTED,
        bytes.fromhex("05 00 00 03 05") + b"a.b.c" + b"\x00\x50",
        bytes.fromhex("05 00 00 03 00 00 50"),
        bytes.fromhex("05 00 00 04") + bytes(16) + b"\x00\x50",
    ],
)
@given(cuts=st.sets(st.integers(1, 40), max_size=5), behind=st.binary(max_size=5))
def test_the_tunnel_is_open_at_any_split(granted: bytes, cuts: set[int], behind: bytes) -> None:
    tunnel = SocksTunnel("c.example", 443, ("al", "pw"))
    whole = PASSWORD + b"\x01\x00" + granted + behind
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    left: bytes | None = None
    for start, end in itertools.pairwise(edges):
        if left is None:
            left = tunnel.receive(whole[start:end])
        else:
            left += whole[start:end]
    assert left == behind


@pytest.mark.parametrize(
    ("credentials", "answers", "said"),
    [
        (None, (b"\x05\xff",), "wants a user name and a password"),
        (("al", "pw"), (b"\x05\xff",), "does not take this user name"),
        (None, (PASSWORD,), "does not speak SOCKS5"),
        (("al", "pw"), (PASSWORD, b"\x01\x01"), "does not take this user name"),
        (("al", "pw"), (PASSWORD, b"\x05\x00"), "does not speak SOCKS5"),
        (None, (b"\x04\x5a",), "does not speak SOCKS5"),
        (None, (b"HTTP/1.1 400 Bad Request\r\n\r\n",), "does not speak SOCKS5"),
        (None, (b"\x05\x01",), "does not speak SOCKS5"),
        (None, (OPEN, b"\x05\x01"), "general failure"),
        (None, (OPEN, b"\x05\x02\x00\x01" + bytes(6)), "rules do not allow"),
        (None, (OPEN, b"\x05\x03\x00\x01" + bytes(6)), "network unreachable"),
        (None, (OPEN, b"\x05\x04\x00\x03"), "host unreachable"),
        (None, (OPEN, b"\x05\x05\x00\x01" + bytes(6)), "connection refused"),
        (None, (OPEN, b"\x05\x08\x00\x01" + bytes(6)), "this kind of address"),
        (None, (OPEN, b"\x05\x5b\x00\x01" + bytes(6)), "code 91"),
        (None, (OPEN, b"\x05\x00\x00\x02" + bytes(6)), "does not speak SOCKS5"),
        (None, (OPEN, b"\x05\x00\x00\x03\x02\xff\xfe\x00\x50"), "does not speak SOCKS5"),
    ],
)
def test_every_refusal_says_what_it_was(
    credentials: tuple[str, str] | None, answers: tuple[bytes, ...], said: str
) -> None:
    tunnel = SocksTunnel("c.example", 443, credentials)
    with pytest.raises(RemoteProtocolError, match=said) as caught:
        talk(tunnel, *answers)
    assert str(caught.value).startswith("cannot reach c.example:443: the proxy ")
    assert "pw" not in str(caught.value)


def test_a_proxy_that_closes_is_named_and_one_that_closes_on_a_password_has_refused_it() -> None:
    assert "closed before its answer" in str(SocksTunnel("h", 1).eof())
    tunnel = SocksTunnel("h", 1, ("al", "pw"))
    talk(tunnel, PASSWORD)
    assert "does not take this user name" in str(tunnel.eof())


@given(st.binary(max_size=40))
def test_no_bytes_do_more_than_refuse(data: bytes) -> None:
    tunnel = SocksTunnel("c.example", 443, ("al", "pw"))
    for end in range(len(data)):
        try:
            if tunnel.receive(data[end : end + 1]) is not None:
                return
        except RemoteProtocolError:
            return


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ConfigurationError, match=r"pip install '\.\[socks\]'"):
        require_socks()


CONTROL = ControlUrl.parse("https://control.example.com")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_without_the_extra_a_socks_proxy_is_refused_where_it_is_chosen(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` and `config check` both call it."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ConfigurationError, match=r"the proxy .* of ALL_PROXY: .*pip install '\.\[socks\]'"):
        choose_proxy(CONTROL, ENVIRONMENT, {"ALL_PROXY": f"{scheme}://p:1"})
    assert choose_proxy(CONTROL, ENVIRONMENT, {"ALL_PROXY": "http://p:1"}) is not None
