"""Which token opens what, and how a request without one is refused (RFC 6750)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.access_tokens import AccessToken
from netmap_actors.http_endpoint import pages
from netmap_actors.http_endpoint.authorization import authorize, token_in_query
from netmap_actors.http_endpoint.guard import RequestRefused
from netmap_actors.protocol.http1_server import HttpRequest

KNOWN = {
    "nms_m": AccessToken("m", "metrics", "", "0" * 64),
    "nms_r": AccessToken("r", "read", "", "1" * 64),
}
OPEN = ("/livez", "/readyz", "/", "/page/main.js", "/favicon.ico", "/login", "/logout")
METRICS = ("/metrics", "/sd", "/healthz")
READ = (
    "/netmap",
    "/events",
    "/history",
    "/status",
    "/openapi.json",
    "/page",
    "//",
    "/login/",
    "/nothing",
    "/metrics/",
    "//metrics",
    "/METRICS",
)


def asked(path: str, *given: str) -> AccessToken | RequestRefused | None:
    fields = [("host", "x"), *(("authorization", value) for value in given)]
    return authorize(HttpRequest("GET", path, fields, b""), KNOWN.get)


@pytest.mark.parametrize("path", [*METRICS, *READ])
def test_a_session_opens_what_its_token_opens_and_a_header_beside_it_wins(path: str) -> None:
    def came(*given: str, held: AccessToken | None) -> object:
        fields = [("host", "x"), *(("authorization", value) for value in given)]
        found = authorize(HttpRequest("GET", path, fields, b""), KNOWN.get, lambda: held)
        return found.name if isinstance(found, AccessToken) else found and found.status

    for token in KNOWN.values():
        assert came(held=token) == came(f"Bearer nms_{token.name}", held=None)
        assert came("Bearer nms_r", held=token) == "r"
        assert came("Bearer x", held=token) == came("Basic x", held=token) == 401
    assert came(held=None) == 401


def status_and_challenge(refused: AccessToken | RequestRefused | None) -> tuple[int, str]:
    assert isinstance(refused, RequestRefused)
    return refused.status, dict(refused.headers)["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("path", "without", "metrics", "read"),
    [
        *((path, None, None, None) for path in OPEN),
        *((path, 401, "m", "r") for path in METRICS),
        *((path, 401, 403, "r") for path in READ),
    ],
)
@pytest.mark.parametrize("query", ["", "?port=9100"])
def test_what_each_scope_opens(path: str, query: str, without: object, metrics: object, read: object) -> None:
    def came(*given: str) -> object:
        found = asked(path + query, *given)
        return found.name if isinstance(found, AccessToken) else found and found.status

    assert (came(), came("Bearer nms_m"), came("Bearer nms_r")) == (without, metrics, read)


def test_every_page_has_a_scope_that_was_thought_about() -> None:
    assert set(pages.PATHS) <= {*OPEN, *METRICS, *READ}


FIXED = {
    found.why
    for given_ in ((), ("Basic x",), ("Bearer x",), ("Bearer x", "Bearer x"))
    if isinstance(found := asked("/netmap", *given_), RequestRefused)
}
REALM = 'Bearer realm="netmap-supervisor"'


@pytest.mark.parametrize(
    ("given", "status", "challenge"),
    [
        ((), 401, REALM),
        (("Basic bm1zX3I6",), 401, REALM),
        (("nms_r",), 401, REALM),
        (("Bearer",), 401, f'{REALM}, error="invalid_token"'),
        (("Bearer ",), 401, f'{REALM}, error="invalid_token"'),
        (("Bearer nms_x",), 401, f'{REALM}, error="invalid_token"'),
        (("Bearer nms_r nms_r",), 401, f'{REALM}, error="invalid_token"'),
        (("Bearer " + "n" * 60_000,), 401, f'{REALM}, error="invalid_token"'),
        (("Bearer nms_r", "Bearer nms_r"), 400, f'{REALM}, error="invalid_request"'),
        (("Bearer nms_m",), 403, f'{REALM}, error="insufficient_scope"'),
    ],
)
def test_the_challenge_says_what_is_missing(given: tuple[str, ...], status: int, challenge: str) -> None:
    found, said = status_and_challenge(asked("/netmap", *given))
    assert (found, said[: len(challenge)]) == (status, challenge)
    assert said.count('"') % 2 == 0
    assert "nms_" not in said
    assert said.endswith('scope="read"') is (status == 403)


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=80), min_size=1, max_size=2))
def test_whatever_is_sent_nothing_but_a_token_opens_and_nothing_of_it_comes_back(given_: list[str]) -> None:
    found = asked("/netmap", *given_)
    assert isinstance(found, RequestRefused)
    assert found.status in {400, 401}
    assert re.fullmatch(r"[ -~]+", dict(found.headers)["WWW-Authenticate"])
    assert found.why in FIXED


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", " Bearer", "Bearer  "])
def test_the_scheme_may_be_written_in_any_case(scheme: str) -> None:
    assert asked("/netmap", f"{scheme} nms_r") == KNOWN["nms_r"]


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ("/netmap?access_token=nms_r", True),
        ("/netmap?peer=x&access_token=nms_r", True),
        ("/netmap?access%5Ftoken=nms_r", True),
        ("/netmap?access-token=nms_r", True),
        ("/netmap?access_token", True),
        ("/netmap", False),
        ("/netmap?peer=access_token", False),
        ("/access_token=x", False),
    ],
)
def test_a_token_in_the_query_is_refused_and_not_repeated(target: str, refused: bool) -> None:
    found = token_in_query(HttpRequest("GET", target, [], b""))
    assert (found is not None) is refused
    if found is not None:
        assert (found.status, "invalid_request" in dict(found.headers)["WWW-Authenticate"]) == (400, True)
        assert "nms_r" not in str(found)
