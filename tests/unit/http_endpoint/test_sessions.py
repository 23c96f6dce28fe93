"""Sessions of browsers: nothing but a cookie this run made opens, and only as long as its token is there."""

from __future__ import annotations

import http.cookiejar
import re
import string
import urllib.request
from email.message import Message
from typing import Any, cast

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from netmap_actors.access_tokens import AccessToken, generate_token, hash_token
from netmap_actors.http_endpoint.guard import RequestRefused
from netmap_actors.http_endpoint.sessions import LIFETIME, BrowserSession, Sessions, token_of_form
from netmap_actors.protocol.http1_server import HttpRequest
from netmap_actors.wire.secret import SECRET_BYTES, Secret

SECRET = Secret(b"s" * SECRET_BYTES)
NOW = 1000.5
TOKENS = (AccessToken("a", "read", "", hash_token("a")), AccessToken("b", "read", "", hash_token("b")))
PLAIN, TLS = Sessions(SECRET, tls=False), Sessions(SECRET, tls=True)


def value_of(field: str) -> str:
    return field.partition(";")[0].partition("=")[2]


GOOD = value_of(PLAIN.begin(TOKENS[0], NOW, secure=False))
OTHER = value_of(PLAIN.begin(TOKENS[1], NOW, secure=False))


def sent(*cookies: str) -> HttpRequest:
    return HttpRequest("GET", "/status", [("host", "x"), *(("cookie", one) for one in cookies)], b"")


def found(*cookies: str, now: float = NOW, tokens: tuple[AccessToken, ...] = TOKENS) -> BrowserSession | None:
    return PLAIN.find(sent(*cookies), tokens, now)


@pytest.mark.parametrize(
    ("sessions", "secure", "field"),
    [
        (PLAIN, False, r"netmap-session=[\w.]+; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"),
        (
            PLAIN,
            True,
            r"__Host-netmap-session=[\w.]+; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict; Secure",
        ),
        (
            TLS,
            False,
            r"__Host-netmap-session=[\w.]+; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict; Secure",
        ),
    ],
)
def test_the_cookie_is_kept_from_scripts_from_other_sites_and_from_plain_text(
    sessions: Sessions, secure: bool, field: str
) -> None:
    made = sessions.begin(TOKENS[0], NOW, secure=secure)
    assert re.fullmatch(field, made)
    assert TOKENS[0].sha256 not in made
    assert sessions.find(sent(made.partition(";")[0]), TOKENS, NOW) == BrowserSession(
        TOKENS[0], 1000.0 + LIFETIME
    )
    ended = sessions.end(secure=secure)
    assert ended[0].replace("Max-Age=0", f"Max-Age={LIFETIME}").replace("=;", f"={value_of(made)};") == made


def test_who_logs_out_behind_a_proxy_keeps_neither_cookie() -> None:
    assert [one.partition("=")[0] for one in PLAIN.end(secure=True)] == [
        "__Host-netmap-session",
        "netmap-session",
    ]


def test_it_holds_until_it_is_over_and_as_long_as_its_token_is_there() -> None:
    cookie = f"netmap-session={GOOD}"
    until = 1000.0 + LIFETIME
    assert found(cookie) == found(cookie, now=until - 0.1) == BrowserSession(TOKENS[0], until)
    assert found(cookie, now=until) is None
    assert found(cookie, tokens=TOKENS[1:]) is None
    assert found(cookie, tokens=()) is None
    assert Sessions(Secret(b"t" * SECRET_BYTES), tls=False).find(sent(cookie), TOKENS, NOW) is None
    # A token made anew under the same name, and one whose hash only begins the same.
    assert found(cookie, tokens=(AccessToken("a", "read", "", hash_token("z")),)) is None
    assert found(cookie, tokens=(AccessToken("a", "read", "", TOKENS[0].sha256[:-1] + "x"),)) is None


@pytest.mark.parametrize(
    "cookies",
    [
        [f"netmap-session={GOOD}"],
        [f"a=b; netmap-session={GOOD};c=d"],
        [f"__Host-netmap-session={GOOD}"],
        ["; ".join([*(f"c{number}={'x' * 60}" for number in range(50)), f"netmap-session={GOOD}"])],
        ["a=b", f"netmap-session={GOOD}"],
        [f"netmap-session=; netmap-session={OTHER[:-1]}; netmap-session={GOOD}"],
    ],
)
def test_it_is_found_among_others(cookies: list[str]) -> None:
    assert found(*cookies) is not None


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "netmap-session",
        "netmap-session=",
        f"netmap-session={GOOD[:-1]}",
        f"netmap-session={GOOD}0",
        f"netmap-session={GOOD.upper()}",
        f'netmap-session="{GOOD}"',
        f"netmap-session={GOOD.replace('.', '%2E')}",
        f"netmap-session=0{GOOD}",
        f"netmap-session={int(GOOD.partition('.')[0]) + 1}.{GOOD.partition('.')[2]}",
        f"NETMAP_SESSION={GOOD}",
        f"netmap-session ={GOOD}",
        f"xnetmap-session={GOOD}",
        f"__Secure-netmap-session={GOOD}",
        f"netmap-session={GOOD.replace(GOOD.split('.')[1], OTHER.split('.')[1])}",
        f"netmap-session={GOOD},netmap-session={GOOD}",
        f"netmap-session={'9' * 60_000}",
        f"netmap-session={TOKENS[0].sha256}",
        "; ".join([*(f"netmap-session={number}" for number in range(8)), f"netmap-session={GOOD}"]),
    ],
)
def test_what_was_cut_changed_or_made_up_is_no_session(cookie: str) -> None:
    assert found(cookie) is None


def test_with_tls_only_the_cookie_that_no_neighbour_can_set_counts() -> None:
    assert TLS.find(sent(f"netmap-session={GOOD}"), TOKENS, NOW) is None
    assert TLS.find(sent(f"__Host-netmap-session={GOOD}"), TOKENS, NOW) is not None


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(string.hexdigits.lower() + "."))
def test_no_character_of_it_can_be_another(at: int, character: str) -> None:
    assume(GOOD[at] != character)
    assert found(f"netmap-session={GOOD[:at]}{character}{GOOD[at + 1 :]}") is None


@given(
    st.integers(0, 10**13),
    st.sampled_from([one.sha256[:16] for one in TOKENS]),
    st.binary(min_size=16, max_size=16),
)
@example(10**11, TOKENS[0].sha256[:16], bytes(16))
def test_nothing_but_what_was_made_is_a_session(ends: int, token: str, proof: bytes) -> None:
    text = f"{ends}.{token}.{proof.hex()}"
    assume(text not in {GOOD, OTHER})
    assert found(f"netmap-session={text}") is None


@given(st.text(st.characters(max_codepoint=255), max_size=200))
def test_whatever_is_sent_as_cookies_is_no_session_and_no_error(text: str) -> None:
    assert found(text) is None
    assert found(f"netmap-session={text}") is None


@pytest.mark.parametrize("over", ["http", "https"])
def test_a_strangers_jar_keeps_it_and_sends_it_back(over: str) -> None:
    """http.cookiejar, which reads Netscape's and RFC 2965's cookies."""
    made = PLAIN.begin(TOKENS[0], NOW, secure=over == "https")
    headers = Message()
    headers["Set-Cookie"] = made
    jar = http.cookiejar.CookieJar()
    asked = urllib.request.Request(f"{over}://netmap.example/login")
    answer = cast("Any", type("Answer", (), {"info": lambda _: headers})())
    jar.extract_cookies(answer, asked)
    later = urllib.request.Request(f"{over}://netmap.example/status")
    jar.add_cookie_header(later)
    assert found(later.get_header("Cookie") or "") is not None
    elsewhere = urllib.request.Request("http://evil.example/")
    jar.add_cookie_header(elsewhere)
    assert elsewhere.get_header("Cookie") is None


FORM = "application/x-www-form-urlencoded"


def posted(body: bytes, kind: str = FORM) -> str | int:
    given_ = token_of_form(HttpRequest("POST", "/login", [("host", "x"), ("content-type", kind)], body))
    return given_.status if isinstance(given_, RequestRefused) else given_


@pytest.mark.parametrize(
    ("body", "came"),
    [
        (b"token=nms_x", "nms_x"),
        (b"token=+nms_x%0D%0A", "nms_x"),
        (b"username=me&token=nms_x&", "nms_x"),
        (b"token=a%2Bb%25c%26d%3D", "a+b%c&d="),
        (b"token=a+b", "a b"),
        (b"token=%C3%A4", "ä"),
        (b"token=" + b"x" * 512, "x" * 512),
        (b"token=" + b"x" * 513, 400),
        (b"token=" + b"x" * 4100, 413),
        (b"token=a&token=a", 400),
        (b"token=%FF", 400),
        (b"token=\xc3\xa4", 400),
        (b"token=", 400),
        (b"token", 400),
        (b"token=+", 400),
        (b"TOKEN=a", 400),
        (b"&".join(b"a=b" for _ in range(20)), 400),
        (b"", 400),
        (b'{"token":"nms_x"}', 400),
    ],
)
def test_the_form_has_one_token(body: bytes, came: str | int) -> None:
    assert posted(body) == came


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/json"])
def test_another_kind_of_form_is_refused(kind: str) -> None:
    assert posted(b"token=nms_x", kind) == 415
    assert posted(b"token=nms_x", f"{FORM.upper()}; charset=UTF-8") == "nms_x"


def test_a_token_as_it_is_made_comes_through_a_form_as_it_is() -> None:
    token = generate_token()
    assert posted(f"token={token}".encode()) == token
