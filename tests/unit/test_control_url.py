"""The control URL, and when the key behind it may be believed."""

from __future__ import annotations

import pytest

from netmap_actors.control.control_url import ControlUrl
from netmap_actors.control.key_policy import demand_trustworthy_key
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


@pytest.mark.parametrize(
    ("url", "ip", "insecure", "allowed"),
    [
        ("https://c.example", "203.0.113.1", False, True),
        ("http://c.example", "203.0.113.1", False, False),
        ("http://c.example", "203.0.113.1", True, True),
        ("http://c.example", "100.64.0.1", False, False),
        ("http://c.example", "2001:db8::1", False, False),
        ("http://c.example", "10.1.2.3", False, True),
        ("http://c.example", "172.16.0.1", False, True),
        ("http://c.example", "172.32.0.1", False, False),
        ("http://c.example", "192.168.0.1", False, True),
        ("http://c.example", "127.0.0.1", False, True),
        ("http://c.example", "::1", False, True),
        ("http://c.example", "fd00::1", False, True),
        ("http://c.example", "::ffff:10.0.0.1", False, True),
        ("http://c.example", "::ffff:203.0.113.1", False, False),
    ],
)
def test_a_key_over_plain_http_is_believed_nearby_only(
    url: str, ip: str, insecure: bool, allowed: bool
) -> None:
    parsed, remote = ControlUrl.parse(url), Address(ip, 80)
    if allowed:
        demand_trustworthy_key(parsed, remote, insecure=insecure)
    else:
        with pytest.raises(ConfigurationError, match="--insecure-key-fetch"):
            demand_trustworthy_key(parsed, remote, insecure=insecure)


def test_behind_a_proxy_nothing_is_nearby() -> None:
    near = Address("127.0.0.1", 3128)
    with pytest.raises(ConfigurationError, match="through a proxy"):
        demand_trustworthy_key(ControlUrl.parse("http://c.example"), near, insecure=False, proxied=True)
    demand_trustworthy_key(ControlUrl.parse("https://c.example"), near, insecure=False, proxied=True)
