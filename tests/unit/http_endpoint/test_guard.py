"""Which requests the HTTP endpoint answers: those of programs, not those a web page makes a browser send."""

from __future__ import annotations

import pytest

from netmap_actors.http_endpoint.guard import refusal
from netmap_actors.protocol.http1_server import HttpRequest


def request(method: str = "GET", **headers: str) -> HttpRequest:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return HttpRequest(method, "/netmap", fields, b"")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9641", "127.0.0.1:1", "[::1]", "[::1]:9641", "LOCALHOST:9641"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_programs_of_this_machine_are_answered(host: str, method: str) -> None:
    assert refusal(request(method, host=host), "127.0.0.1") is None
    assert refusal(request(method, host=host), "") is None


def test_the_address_itself_is_a_good_host_and_no_host_comes_from_no_browser() -> None:
    assert refusal(request(host="127.0.0.5:80"), "127.0.0.5") is None
    assert refusal(request(), "127.0.0.1") is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9641",
        "127.0.0.1.evil.example",
        "localhost.evil.example:9641",
        "127.0.0.2",
        "",
        "[::2]",
    ],
)
def test_a_name_that_was_bound_to_loopback_afterwards_is_refused(host: str) -> None:
    refused = refusal(request(host=host), "127.0.0.1")
    assert refused is not None
    assert refused[0] == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "http://evil.example:9641", "null", ""])
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    refused = refusal(request(host="localhost", origin=origin), "")
    assert refused is not None
    assert refused[0] == 403


def test_only_a_page_of_our_own_may_ask() -> None:
    assert refusal(request(host="localhost:9641", origin="http://localhost:9641"), "") is None
    for origin in ("http://localhost:3000", "https://localhost:9641", "http://localhost:9641@evil.example"):
        assert refusal(request(host="localhost:9641", origin=origin), "") is not None


def test_every_value_counts_not_only_the_first() -> None:
    for name, good, bad in (
        ("host", "localhost", "evil.example"),
        ("host", "localhost", "localhost"),
        ("origin", "http://localhost", "https://evil.example"),
        ("sec-fetch-site", "same-origin", "cross-site"),
    ):
        fields = [("host", "localhost")] if name != "host" else []
        twice = HttpRequest("GET", "/", [*fields, (name, good), (name, bad)], b"")
        assert refusal(twice, "") is not None, name


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "anything"])
def test_a_browser_that_says_it_asks_for_another_site_is_refused(site: str) -> None:
    assert refusal(request(host="localhost", sec_fetch_site=site), "") is not None


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_a_person_who_types_the_address_is_answered(site: str) -> None:
    assert refusal(request(host="localhost", sec_fetch_site=site), "") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "x" * 100])
def test_nothing_can_be_changed(method: str) -> None:
    refused = refusal(request(method, host="localhost"), "")
    assert refused is not None
    assert refused[0] == 405
    assert len(refused[1]) < 200


def test_where_a_token_is_asked_for_any_name_is_ours_but_a_foreign_page_is_not() -> None:
    assert refusal(request(host="obs.example:9641"), None) is None
    assert refusal(HttpRequest("GET", "/", [("host", "a"), ("host", "b")], b""), None) is not None
    assert refusal(request(host="obs.example", origin="https://evil.example"), None, ("https",)) is not None
    assert refusal(request(host="obs.example", sec_fetch_site="cross-site"), None, ("https",)) is not None


@pytest.mark.parametrize(
    ("schemes", "origin", "own"),
    [
        (("https",), "https://obs.example", True),
        (("https",), "http://obs.example", False),
        (("http",), "https://obs.example", False),
        (("http", "https"), "https://obs.example", True),
        (("http", "https"), "http://obs.example", True),
        (("http", "https"), "https://obs.example.evil", False),
    ],
)
def test_a_page_of_our_own_was_loaded_as_we_serve(schemes: tuple[str, ...], origin: str, own: bool) -> None:
    refused = refusal(request(host="obs.example", origin=origin), None, schemes)
    assert (refused is None) is own
