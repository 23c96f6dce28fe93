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


def posted(path: str = "/login", **headers: str) -> int:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    refused = refusal(HttpRequest("POST", path, fields, b""), None, ("http", "https"))
    return 200 if refused is None else refused.status


@pytest.mark.parametrize("path", ["/login", "/logout", "/login?x"])
def test_only_our_own_page_posts_a_form(path: str) -> None:
    host = "obs.example:9641"
    assert posted(path, host=host, origin=f"http://{host}") == 200
    assert posted(path, host=host, origin=f"https://{host}", sec_fetch_site="same-origin") == 200
    assert posted(path, host=host) == 403
    assert posted(path, origin="http://localhost") == 403
    for origin in ("null", "", "https://evil.example", "http://obs.example", "http://obs.example:3000", host):
        assert posted(path, host=host, origin=origin) == 403
    for site in ("none", "same-site", "cross-site", ""):
        assert posted(path, host=host, origin=f"http://{host}", sec_fetch_site=site) == 403
    twice = [("host", host), ("origin", f"http://{host}"), ("origin", f"http://{host}")]
    assert refusal(HttpRequest("POST", path, twice, b""), None) is not None


@pytest.mark.parametrize("path", ["/", "/netmap", "/events", "/login/", "/LOGIN", "/page/main.js", "//login"])
def test_nothing_else_is_posted(path: str) -> None:
    assert posted(path, host="obs.example", origin="http://obs.example") == 405


def test_what_may_be_asked_is_said_where_something_else_was() -> None:
    for path, allowed in (("/netmap", "GET, HEAD"), ("/login", "GET, HEAD, POST"), ("/logout", "POST")):
        refused = refusal(HttpRequest("PUT", path, [("host", "localhost")], b""), "")
        assert refused is not None
        assert refused.headers == (("Allow", allowed),)
    assert refusal(HttpRequest("GET", "/logout", [("host", "localhost")], b""), "") is not None
    assert refusal(HttpRequest("HEAD", "/login", [("host", "localhost")], b""), "") is None


LINK = {"host": "localhost:9641", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}


@pytest.mark.parametrize(
    ("path", "headers", "answered"),
    [
        ("/", {"sec_fetch_dest": "document"}, True),
        ("/?from=wiki", {"sec_fetch_dest": "document"}, True),
        ("/", {"sec_fetch_dest": "iframe"}, False),
        ("/", {"sec_fetch_dest": "empty", "sec_fetch_mode": "no-cors"}, False),
        ("/", {}, False),
        ("/netmap", {"sec_fetch_dest": "document"}, False),
        ("/page/main.js", {"sec_fetch_dest": "document"}, False),
        ("/", {"sec_fetch_dest": "document", "origin": "https://evil.example"}, False),
        ("/", {"sec_fetch_dest": "document", "host": "evil.example"}, False),
    ],
)
def test_a_link_on_another_page_leads_to_ours_and_to_nothing_else(
    path: str, headers: dict[str, str], answered: bool
) -> None:
    fields = [(name.replace("_", "-"), value) for name, value in (LINK | headers).items()]
    assert (refusal(HttpRequest("GET", path, fields, b""), "") is None) is answered


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
