"""The control URL, and when the key behind it may be believed."""

from __future__ import annotations

import pytest

from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.control_connection.client.server.key_policy import demand_trustworthy_key
from netmap_actors.errors import ConfigurationError
from netmap_actors.transport.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port", "header"),
    [
        ("https://control.example", "control.example", 443, "control.example"),
        ("https://control.example/", "control.example", 443, "control.example"),
        ("https://control.example:8443", "control.example", 8443, "control.example:8443"),
        ("http://localhost:8080", "localhost", 8080, "localhost:8080"),
        ("http://127.0.0.1", "127.0.0.1", 80, "127.0.0.1"),
        ("http://[::1]:9", "::1", 9, "[::1]:9"),
        ("http://[fe80::1%25eth0]:9", "fe80::1%eth0", 9, "[fe80::1]:9"),
        ("http://[fe80::1%eth0]", "fe80::1%eth0", 80, "[fe80::1]"),
    ],
)
def test_a_control_url_is_taken_apart(text: str, host: str, port: int, header: str) -> None:
    url = ControlUrl.parse(text)
    assert (url.host, url.port, url.host_header) == (host, port, header)
    assert not url.text.endswith("/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "control.example",
        "ftp://control.example",
        "https://",
        "https://u:p@control.example",
        "https://control.example/path",
        "https://control.example:99999",
        "https://control.example:x",
        "https://[::1",
        "https://a b",
        "https://a\nb",
    ],
)
def test_what_is_no_control_url_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="it must read"):
        ControlUrl.parse(text)


def believed(url: str, ip: str, *, insecure: bool = False) -> bool:
    """Whether the answer of `/key` is, when `url` led to this address."""
    try:
        demand_trustworthy_key(ControlUrl.parse(url), Address(ip, 80), insecure=insecure)
    except ConfigurationError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "nearby"),
    [
        ("203.0.113.1", False),
        ("100.64.0.1", False),
        ("[2001:db8::1]", False),
        ("172.32.0.1", False),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("192.168.0.1", True),
        ("169.254.1.1", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("[::1]", True),
        ("[fd00::1]", True),
        ("[fe80::1]", True),
    ],
)
def test_a_key_over_plain_http_is_believed_from_a_nearby_address(host: str, nearby: bool) -> None:
    ip = host.strip("[]")
    assert believed(f"http://{host}", ip) is nearby
    assert believed(f"http://{host}:8080", ip) is nearby
    assert believed(f"http://{host}", ip, insecure=True)
    assert believed(f"https://{host}", ip)


def test_a_name_is_believed_wherever_it_leads_only_over_https_or_when_told_to() -> None:
    """Who answers for DNS, or for the network that told us the resolver, chooses the address."""
    for name in ("c.example", "headscale", "localhost.example", "notlocalhost", "127.0.0.1.example"):
        for ip in ("127.0.0.1", "10.1.2.3", "::1", "fd00::1", "203.0.113.1"):
            assert not believed(f"http://{name}", ip), (name, ip)
            assert believed(f"http://{name}", ip, insecure=True)
            assert believed(f"https://{name}", ip)


def test_localhost_is_believed_where_it_is_the_loopback() -> None:
    """RFC 6761, section 6.3: it should be, but not every resolver keeps to that."""
    for name in ("localhost", "LOCALHOST", "localhost.", "a.localhost"):
        assert believed(f"http://{name}", "127.0.0.1"), name
        assert believed(f"http://{name}", "::1"), name


def test_localhost_somewhere_else_is_not_believed() -> None:
    for ip in ("10.1.2.3", "fd00::1", "203.0.113.1"):
        assert not believed("http://localhost", ip), ip


@pytest.mark.parametrize("host", ["c.example", "10.0.0.1", "127.0.0.1", "localhost"])
def test_behind_a_proxy_nothing_is_nearby(host: str) -> None:
    near = Address("127.0.0.1", 3128)
    with pytest.raises(ConfigurationError, match="through a proxy"):
        demand_trustworthy_key(ControlUrl.parse(f"http://{host}"), near, insecure=False, proxied=True)
    demand_trustworthy_key(ControlUrl.parse(f"https://{host}"), near, insecure=False, proxied=True)
