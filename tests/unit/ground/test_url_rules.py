"""Every URL that is shown or dialled is read alike by browsers, Go, curl and Python."""

from __future__ import annotations

import json
import urllib.parse

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.control_connection.client.events import LoginNeeded, PingToAnswer, ServerWish
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.errors import ConfigurationError
from netmap_actors.netmap.changes import Document
from netmap_actors.web_url import UrlPolicy
from netmap_supervisor.config import network_kinds
from netmap_supervisor.config.kinds import BadValue
from tests.support.netmaps.netmap_replica import Replica
from tests.support.servers.scripted_control import FRESH, POLICY, ScriptedControl, mapped_control

# What follows is read in two ways by two readers, or shows another host than it leads to. Sources: the WHATWG URL
# Standard (sections 3.5 and 4.4) with its urltestdata.json, RFC 3986, Go's net/url/url_test.go, and the papers on
# confused URL parsers ("A New Era of SSRF", Orange Tsai, 2017).
AMBIGUOUS = {
    "backslash before at": r"https://evil.example\@login.tailscale.com/",
    "backslash as slash": r"https:\\login.tailscale.com/a",
    "backslash in the path": r"https://login.tailscale.com\a",
    "encoded slash in the authority": "https://evil.example%2f@login.tailscale.com/",
    "encoded at": "https://login.tailscale.com%40evil.example/",
    "encoded dot": "https://login%2etailscale.com/",
    "encoded letter": "https://%6cogin.tailscale.com/",
    "encoded NUL": "https://login.tailscale.com%00.evil.example/",
    "user": "https://login.tailscale.com@evil.example/",
    "user and password": "https://login.tailscale.com:443@evil.example/a",
    "empty user": "https://@login.tailscale.com/",
    "two at signs": "https://a@evil.example@login.tailscale.com/",
    "tab in the host": "https://login.tail\tscale.com/",
    "line end in the host": "https://login.tail\nscale.com/",
    "tab in the scheme": "ht\ttps://login.tailscale.com/",
    "space before": " https://login.tailscale.com/",
    "space behind": "https://login.tailscale.com/ ",
    "NUL": "https://login.tailscale.com/\0",
    "C1 control": "https://login.tailscale.com/\x9b",
    "DEL": "https://login.tailscale.com/\x7f",
    "bidirectional mark": "https://login.tailscale.com/\u202egpj",
    "zero-width joiner in the host": "https://login\u200d.tailscale.com/",
    "soft hyphen in the host": "https://login\u00ad.tailscale.com/",
    "full-width dot": "https://login\uff0etailscale.com/",
    "ideographic full stop": "https://login\u3002tailscale.com/",
    "full-width letters": "https://\uff4cogin.tailscale.com/",
    "a host that maps to a slash": "https://evil.c\u2100.tailscale.com/",
    "sharp s": "https://stra\u00dfe.example/",
    "no slashes": "https:login.tailscale.com/",
    "one slash": "https:/login.tailscale.com/",
    "three slashes": "https:///login.tailscale.com/",
    "no scheme": "//login.tailscale.com/",
    "no host": "https://",
    "no host, a port": "https://:443/",
    "a dot for a host": "https://./",
    "an empty label": "https://login..tailscale.com/",
    "two final dots": "https://login.tailscale.com../",
    "port zero": "https://login.tailscale.com:0/",
    "empty port": "https://login.tailscale.com:/",
    "large port": "https://login.tailscale.com:65536/",
    "six digits of port": "https://login.tailscale.com:000443/",
    "signed port": "https://login.tailscale.com:+443/",
    "port with an underscore": "https://login.tailscale.com:4_43/",
    "port in other digits": "https://login.tailscale.com:\u0664\u0664\u0663/",
    "two ports": "https://login.tailscale.com:443:443/",
    "IPv4 in one number": "https://3232235777/",
    "IPv4 in hex": "https://0xc0a80101/",
    "IPv4 with a hex part": "https://192.168.1.0x1/",
    "IPv4 in octal": "https://0300.0250.01.01/",
    "short IPv4": "https://127.1/",
    "IPv4 with a final dot": "https://127.0.0.1./",
    "IPv4 with five parts": "https://1.2.3.4.5/",
    "large IPv4": "https://256.1.1.1/",
    "zone id": "https://[fe80::1%25eth0]/",
    "raw zone id": "https://[fe80::1%eth0]/",
    "IPv6 without brackets": "https://::1/",
    "open bracket": "https://[::1/",
    "text behind the bracket": "https://[::1]evil.example/",
    "text before the bracket": "https://evil.example[::1]/",
    "IPvFuture": "https://[v1.x]/",
    "IPv4 within IPv6": "https://[::ffff:192.0.2.1]/",
    "host with quotes": 'https://login.tailscale.com"onclick="x/',
    "markup in the path": "https://login.tailscale.com/<script>",
    "a label that begins with a hyphen": "https://-login.tailscale.com/",
    "a long label": "https://" + "a" * 64 + ".example/",
    "a long host": "https://" + "a." * 130 + "example/",
    "a long URL": "https://login.tailscale.com/" + "a" * 3000,
    "a bad escape in the path": "https://login.tailscale.com/%zz",
}  # fmt: skip
# Read alike by all.
CLEAR = [
    "https://login.tailscale.com/a/0123456789ab",
    "https://control.example:8443/register/hskey-authreq-0123",
    "https://control.example./register/x",
    "https://head_scale/auth/x?next=%2Fa%20b&c=d#top",
    "https://192.0.2.1/auth/x",
    "https://[2001:db8::1]:8443/auth/x",
    "https://control.example/a@b:c/~user;v=1,2!$&'()*+=",
    "https://control.example",
]
SHOWN_OTHERWISE = {
    "HTTPS://Login.Tailscale.COM/A": "https://login.tailscale.com/A",
    "https://control.example:443/a": "https://control.example/a",
    "https://control.example:00443/a": "https://control.example/a",
    "https://[2001:DB8:0::1]/a": "https://[2001:db8::1]/a",
    "https://bücher.example/a": "https://xn--bcher-kva.example/a",
    # A Cyrillic а: what it is shows only in punycode.
    "https://login.tailsc\u0430le.com/a": "https://login.xn--tailscle-66g.com/a",
}


def shown_login(url: str, urls: UrlPolicy = POLICY.urls) -> list[str]:
    """What is shown for this AuthURL."""
    control = ScriptedControl(FRESH, policy=msgspec.structs.replace(POLICY, urls=urls)).start()
    control.answer({"AuthURL": url})
    return [event.url for event in control.take(LoginNeeded)]


def shown_action(url: str, urls: UrlPolicy = POLICY.urls) -> str | None:
    """What subscribers get for this PrimaryAction."""
    replica = Replica(urls=urls)
    replica.first(
        DisplayMessages={"a": {"Title": "t", "Text": "x", "PrimaryAction": {"URL": url, "Label": "Look"}}}
    )
    message = json.loads(replica.documents[Document.HEALTH])["a"]
    return message["PrimaryAction"]["URL"] if "PrimaryAction" in message else None


def test_an_ambiguous_url_is_never_shown_for_a_login() -> None:
    assert [name for name, url in AMBIGUOUS.items() if shown_login(url)] == []


def test_an_ambiguous_url_is_taken_out_of_a_health_message() -> None:
    assert [name for name, url in AMBIGUOUS.items() if shown_action(url) is not None] == []


def taken_as_control_url(text: str) -> bool:
    """Whether the option and the connection accept it, which must agree."""
    try:
        connected = ControlUrl.parse(text).text
    except ConfigurationError:
        connected = ""
    try:
        configured = network_kinds.ControlUrlKind().parse(text, None)  # type: ignore[arg-type]
    except BadValue:
        configured = ""
    assert connected == configured
    return bool(connected)


def test_an_ambiguous_control_url_is_refused_by_the_option_and_by_the_connection() -> None:
    """A path is refused anyway, so the fault is tried with nothing behind it, too; the option strips outer spaces."""
    for name, url in AMBIGUOUS.items():
        for text in {url, url.removesuffix("/")}:
            # Only a URL of the operator may name an interface of this machine.
            ours = name in {"zone id", "raw zone id"}
            assert text.strip() != text or taken_as_control_url(text) is ours, name


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("http://[fe80::1%25eth0]:8080", "http://[fe80::1%25eth0]:8080"),
        ("http://[FE80:0::1%eth0]", "http://[fe80::1%25eth0]"),
    ],
)
def test_a_control_server_at_a_link_local_address_is_named_with_its_interface(text: str, same: str) -> None:
    url = ControlUrl.parse(text)
    assert url.text == same
    assert url.host == "fe80::1%eth0"
    assert "%" not in url.host_header
    assert url.is_origin_of(f"http://{url.host_header}/machine/ping")


@pytest.mark.parametrize(
    "text",
    [
        "http://[fd7a::1%25eth0]",
        "http://[fe80::1%25]",
        "http://[fe80::1%25eth/0]",
        "http://[fe80::1%25eth0%25eth1]",
        "http://[fe80::1%25an-interface-too-long]",
        "http://fe80::1%25eth0",
    ],
)
def test_only_a_link_local_address_has_an_interface(text: str) -> None:
    with pytest.raises(ConfigurationError):
        ControlUrl.parse(text)


@pytest.mark.parametrize("url", CLEAR)
def test_a_clear_url_is_shown_as_it_came(url: str) -> None:
    assert shown_login(url) == [url]
    assert shown_action(url) == url


@pytest.mark.parametrize(("url", "shown"), SHOWN_OTHERWISE.items())
def test_a_url_is_shown_in_the_one_way_of_writing_that_hides_nothing(url: str, shown: str) -> None:
    assert shown_login(url) == [shown]
    assert shown_action(url) == shown


def test_what_stands_behind_the_host_of_a_control_url_is_refused_everywhere() -> None:
    behind = [
        "https://h?x",
        "https://h#f",
        "https://h:0",
        "https://h?",
        "https://h#",
        "https://h/?",
        "https://h//",
    ]
    assert [text for text in behind if taken_as_control_url(text)] == []
    assert taken_as_control_url("https://h")
    assert taken_as_control_url("https://h/")


def test_a_ping_to_an_ambiguous_url_is_declined() -> None:
    for url in (
        "http://control.example:8080\\@evil.example/",
        "http://control.example:8080%2f@evil.example/",
        "http://control.example:08080:1/",
        "http://control.example:8080/a\\b",
    ):
        control = mapped_control()
        control.send_map(json.dumps({"KeepAlive": True, "PingRequest": {"URL": url}}).encode())
        assert control.take(PingToAnswer) == [], url
        assert [wish.wish for wish in control.take(ServerWish)] == ["ping"]


def test_the_official_server_has_two_names_and_sends_people_to_its_own_domain_only() -> None:
    """tailscale: ipn/ipnlocal/local.go, validPopBrowserURL; ipn/prefs.go, IsLoginServerSynonym."""
    hosts = [
        "login.tailscale.com", "tailscale.com", "evil.example", "tailscale.com.evil.example", "eviltailscale.com",
        "login.xn--tailscle-66g.com",
    ]  # fmt: skip
    for official in ("controlplane.tailscale.com", "login.tailscale.com", "Login.Tailscale.com."):
        urls = ControlUrl.parse(f"https://{official}").policy
        for shown in (shown_login, shown_action):
            seen = [host for host in hosts if shown(f"https://{host}/a/1", urls)]
            assert seen == ["login.tailscale.com", "tailscale.com"], official
            assert not shown("http://login.tailscale.com/a/1", urls)


def test_a_url_the_server_wants_opened_is_logged_by_the_same_rule() -> None:
    for url, logged in ((CLEAR[0], CLEAR[0]), (AMBIGUOUS["backslash before at"], "refused: ")):
        control = mapped_control()
        control.send_map(json.dumps({"KeepAlive": True, "PopBrowserURL": url}).encode())
        (wish,) = control.take(ServerWish)
        assert wish.wish == "pop_browser_url"
        assert wish.detail.startswith(logged)
        assert "evil" not in wish.detail


def browser_host(url: str) -> str:
    """The host as the WHATWG URL Standard finds it, for text that passed: no tabs, no backslash, no user."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0].lower()


@given(
    st.lists(
        st.sampled_from(
            ["https:", "//", "/", "\\", "@", ":", "%2f", "%40", "evil.example", "login.tailscale.com", "[", "]",
             "::1", "1", "0x7f", "443", "?", "#", ".", "\t", " ", "а", "\u3002", "xn--", "-", "_"]
        ),
        max_size=9,
    ).map("".join)
)  # fmt: skip
def test_whatever_is_shown_names_one_host_to_every_reader(text: str) -> None:
    shown = shown_action(f"https://{text}")
    if shown is None:
        return
    parts = urllib.parse.urlsplit(shown)
    assert parts.netloc == browser_host(shown)
    assert "@" not in parts.netloc
    assert shown.isascii()
    assert shown.isprintable()
    assert shown_action(shown) == shown, "one way of writing"
