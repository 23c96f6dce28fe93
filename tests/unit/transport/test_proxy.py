"""Which proxy, read from the variables everybody has, and the request that opens the tunnel."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.errors import ConfigurationError, RemoteProtocolError
from netmap_actors.protocol.connect_tunnel import ConnectTunnel
from netmap_actors.transport.proxy import (
    ENVIRONMENT,
    OFF,
    Proxy,
    choose_proxy,
    needs_tls,
)

CONTROL = ControlUrl.parse("https://control.example.com")
GRANTED = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"


def chosen(environment: dict[str, str], url: str = CONTROL.text, setting: str = ENVIRONMENT) -> str | None:
    proxy = choose_proxy(ControlUrl.parse(url), setting, environment)
    return None if proxy is None else proxy.text


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://c.example", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://c.example", "http://p:3128"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "https://c.example", "http://low:1"),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://c.example", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://c.example", "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, "https://c.example", None),
        ({"ALL_PROXY": "http://p:3128"}, "https://c.example", "http://p:3128"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:1"}, "https://c.example", "http://p:1"),
        ({"HTTPS_PROXY": "p:3128"}, "https://c.example", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p"}, "https://c.example", "http://p:80"),
        ({"HTTPS_PROXY": "https://p/"}, "https://c.example", "https://p:443"),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, "https://c.example", "http://[fd00::1]:3128"),
        ({"HTTPS_PROXY": "  "}, "https://c.example", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:8080", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://[::1]:8080", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://localhost:8080", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://10.0.0.1", "http://p:1"),
        pytest.param({"HTTP_PROXY": "http://p:1"}, "http://localhost.:8080", None),
        *(
            pytest.param({name: text}, "https://c.example", proxy)
            for name, text, proxy in (
                ("ALL_PROXY", "socks5://p:1080", "socks5://p:1080"),
                ("all_proxy", "socks5://p", "socks5://p:1080"),
                ("HTTPS_PROXY", "socks5h://p:9050/", "socks5h://p:9050"),
                ("ALL_PROXY", "SOCKS5://[fd00::1]", "socks5://[fd00::1]:1080"),
            )
        ),
    ],
)
def test_the_variables_are_read_as_everybody_reads_them(
    environment: dict[str, str], url: str, proxy: str | None
) -> None:
    assert chosen(environment, url) == proxy


@pytest.mark.parametrize(
    ("excepted", "host", "direct"),
    [
        ("*", "c.example.com", True),
        ("example.com", "c.example.com", True),
        ("example.com", "example.com", True),
        ("example.com", "notexample.com", False),
        (".example.com", "c.example.com", True),
        (".example.com", "example.com", False),
        ("*.example.com", "c.example.com", True),
        ("*.example.com", "example.com", False),
        ("EXAMPLE.com", "c.Example.com", True),
        ("a, c.example.com ,b", "c.example.com", True),
        ("a c.example.com", "c.example.com", True),
        ("c.example.com:443", "c.example.com", True),
        ("c.example.com:8443", "c.example.com", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/16", "10.1.2.3", False),
        ("10.0.0.0/8", "c.example.com", False),
        ("fd00::/8", "[fd00::1]", True),
        ("[fd00::1]:443", "[fd00::1]", True),
        ("[fd00::1]:444", "[fd00::1]", False),
        (",, ", "c.example.com", False),
        ("", "c.example.com", False),
        *(
            pytest.param(*row, True)
            for row in (
                ("example.com.", "c.example.com"),
                ("c.example.com.", "c.example.com"),
                (".example.com.", "c.example.com"),
                ("*.example.com.", "c.example.com."),
                ("c.example.com.:443", "c.example.com"),
            )
        ),
        (".", "c.example.com", False),
        # Of an address only addresses speak.
        ("2.3", "10.1.2.3", False),
        (".3", "10.1.2.3", False),
        ("1.2.3", "10.1.2.3", False),
        ("10.1.2.3.", "10.1.2.3", True),
        ("::ffff:10.1.2.3", "10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "11.1.2.3", False),
        ("::/0", "10.1.2.3", False),
        # A port that is none says nothing, and any other word names no port of ours.
        ("c.example.com:", "c.example.com", True),
        ("c.example.com:" + "1" * 5000, "c.example.com", False),
        ("c.example.com:https", "c.example.com", False),
        ("[fd00::1]", "[fd00::1]", True),
        # Written as people write it.
        ("bücher.example", "xn--bcher-kva.example", True),
        (".BÜCHER.example", "a.xn--bcher-kva.example", True),
        ("ü" * 70 + ".example", "c.example.com", False),
        ("example.com", "c.example.com.", True),
    ],
)
def test_no_proxy_names_who_is_reached_directly(excepted: str, host: str, direct: bool) -> None:
    environment = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": excepted}
    assert (chosen(environment, f"https://{host}") is None) == direct


def test_the_option_beats_the_variables() -> None:
    environment = {"HTTPS_PROXY": "http://p:1"}
    assert chosen(environment, setting=OFF) is None
    assert chosen(environment, setting="http://mine:3128") == "http://mine:3128"
    assert chosen({}, "http://127.0.0.1:1", setting="http://mine:3128") == "http://mine:3128"


def test_user_and_password_are_sent_and_never_shown() -> None:
    proxy = Proxy.parse("http://al:p%40ss@p:3128", "HTTPS_PROXY")
    assert proxy.authorization == "Basic YWw6cEBzcw=="
    assert "YWw6" not in repr(proxy)
    assert "@" not in proxy.text
    request = ConnectTunnel("c.example", 443, proxy.authorization).data_to_send()
    assert request == (
        b"CONNECT c.example:443 HTTP/1.1\r\nHost: c.example:443\r\nProxy-Authorization: Basic YWw6cEBzcw==\r\n\r\n"
    )


def test_a_password_need_not_be_text() -> None:
    """Go's net/url and curl send the bytes that the escapes name."""
    proxy = Proxy.parse("http://caf%E9:%ff%00@p:1", "HTTPS_PROXY")
    assert base64.b64decode(proxy.authorization.removeprefix("Basic ")) == b"caf\xe9:\xff\x00"
    assert Proxy.parse("socks5://a:" + "%ff" * 255 + "@p", "ALL_PROXY").is_socks
    with pytest.raises(ConfigurationError, match="over 255 bytes"):
        Proxy.parse("socks5://a:" + "%ff" * 256 + "@p", "ALL_PROXY")


def test_a_socks_proxys_credentials_are_read_like_any_others() -> None:
    proxy = Proxy.parse("socks5h://al:p%40ss@p:1080", "ALL_PROXY")
    assert proxy.is_socks
    assert proxy.credentials == ("al", "p@ss")
    assert "p@ss" not in repr(proxy) + proxy.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("socks4://al:secret@p:1080", "http://, https:// and socks5:// proxies are known"),
        ("socks://al:secret@p:1080", "http://, https:// and socks5:// proxies are known"),
        ("socks5://:secret@p:1080", "a user name is missing"),
        ("socks5://al:secret" + "x" * 250 + "@p:1080", "over 255 bytes"),
        ("socks5://al:secret@p:0", "its port is not between"),
        ("socks5h://al:secret@", "names no host"),
        ("http://al:secret@", "names no host"),
        ("http://al:secret@p:99999", "its port is not between"),
        ("http://al:secret@p:0", "its port is not between"),
        ("http://al:secret@p:1/path", "behind its host and port"),
        ("http://al:secret@[::1", "host or its port is malformed"),
        ("http://al:secret@p:1\r\nX: y", "host or its port is malformed"),
        ("http://al:secret@p\tq", "not a host name"),
        ("http://al:secret@p%2fq:1", "not a host name"),
        ("http://al:sec/ret@p:1", "has to be written as"),
        ("http://al:sec#ret@p:1", "has to be written as"),
        ("http://al:sec?ret@p:1", "has to be written as"),
        ("http://al:sec\\ret@p:1", "has to be written as"),
        ("http://al:sec\tret@p:1", "has to be written as"),
        ("http://al:secret@p\\q:1", "not a host name"),
        ("http://al:secret@" + "p" * 64 + ":1", "not a host name"),
    ],
)
def test_what_is_no_proxy_is_refused_without_its_password(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        chosen({"HTTPS_PROXY": text})
    assert "secret" not in str(caught.value)
    assert "al:" not in str(caught.value)
    assert "HTTPS_PROXY" in str(caught.value)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_variables_give_a_proxy_or_a_declared_error(proxy: str, excepted: str) -> None:
    try:
        chosen({"HTTPS_PROXY": proxy, "NO_PROXY": excepted})
    except ConfigurationError:
        return


@given(st.integers(0, len(GRANTED)))
def test_the_tunnel_is_open_at_any_split(cut: int) -> None:
    tunnel = ConnectTunnel("fd00::1", 443)
    assert tunnel.data_to_send().startswith(b"CONNECT [fd00::1]:443 HTTP/1.1\r\n")
    assert tunnel.data_to_send() == b""
    first = tunnel.receive(GRANTED[:cut])
    assert (first if cut == len(GRANTED) else tunnel.receive(GRANTED[cut:])) == b""


def test_what_comes_behind_the_answer_is_the_tunnels() -> None:
    assert ConnectTunnel("c", 443).receive(GRANTED + b"more") == b"more"
    # A length on it means nothing (RFC 9110, section 9.3.6).
    assert ConnectTunnel("c", 443).receive(b"HTTP/1.1 204 x\r\nContent-Length: 4\r\n\r\nmore") == b"more"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 x\r\nContent-Length: 3\r\n\r\nwho", "answered 407 and wants a user name"),
        (b"HTTP/1.1 502 x\r\nContent-Length: 4\r\n\r\nno\x1b.", r"answered 502: no\\x1b"),
        (b"HTTP/1.1 302 x\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", "answered 302"),
        (b"HTTP/1.1 101 x\r\n\r\n", "cannot reach c:443"),
        (b"SSH-2.0-x\r\n\r\n", "cannot reach c:443"),
        (b"HTTP/1.1 200 x\r\n" + b"a: " + b"b" * 20_000, "cannot reach c:443"),
        (b"HTTP/1.1 100 x\r\n\r\n" * 30, "informational"),
    ],
)
def test_every_other_answer_is_an_error_that_says_what_it_was(answer: bytes, said: str) -> None:
    tunnel = ConnectTunnel("c", 443)
    with pytest.raises(RemoteProtocolError, match=said):
        tunnel.receive(answer)


def test_a_proxy_that_closes_says_nothing_or_what_it_began_to_say() -> None:
    assert "closed before its answer" in str(ConnectTunnel("c", 443).eof())
    tunnel = ConnectTunnel("c", 443)
    assert tunnel.receive(b"HTTP/1.1 503 x\r\nContent-Length: 100\r\n\r\nbusy") is None
    assert "answered 503: busy" in str(tunnel.eof())


@pytest.mark.parametrize(
    ("url", "setting", "environment", "needed"),
    [
        ("https://control.example", "off", {}, True),
        ("http://control.example", "off", {}, False),
        ("http://control.example", "https://proxy.example", {}, True),
        ("http://control.example", "http://proxy.example", {}, False),
        ("http://control.example", "environment", {"http_proxy": "https://proxy.example"}, True),
        ("https://control.example", "socks5://proxy.example", {}, True),
        ("no URL", "off", {}, False),
        ("https://control.example", "ftp://proxy.example", {}, False),
    ],
)
def test_tls_is_loaded_where_the_server_or_its_proxy_speaks_it(
    url: str, setting: str, environment: dict[str, str], needed: bool
) -> None:
    assert needs_tls(url, setting, environment) == needed
