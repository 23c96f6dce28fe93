"""The OpenAPI document is one, and tells of the paths, parameters and events that are there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from netmap_actors import access_tokens
from netmap_actors.access_tokens import AccessToken
from netmap_actors.http_endpoint import openapi, pages
from netmap_actors.http_endpoint.authorization import authorize
from netmap_actors.http_endpoint.guard import FORMS, RequestRefused
from netmap_actors.http_endpoint.history_page import question_of
from netmap_actors.protocol.http1_server import HttpRequest
from netmap_actors.subscriber.events import EVENT_KINDS
from tests.support.netmaps.shown_netmap import snapshot

DOCUMENT = openapi.document()
GIVEN = DOCUMENT["paths"]
READ = [path for path in pages.PATHS if path not in FORMS]


def test_a_strangers_validator_finds_nothing_wrong() -> None:
    OpenAPIV31SpecValidator(json.loads(json.dumps(DOCUMENT))).validate()


def test_it_is_served_as_it_is_and_made_once() -> None:
    page = pages.other("/openapi.json", snapshot(), pages.Query(""))
    assert (page.status, page.content_type, json.loads(page.body)) == (200, "application/json", DOCUMENT)
    assert pages.other("/openapi.json", snapshot(), pages.Query("")).body is page.body


def test_every_path_is_there_and_says_what_it_is() -> None:
    assert {path: item["summary"] for path, item in GIVEN.items()} == pages.PATHS


def names(path: str) -> set[str]:
    return {one["name"] for one in GIVEN[path]["parameters"]}


@pytest.mark.parametrize(
    "path", [path for path in READ if path not in {"/", "/events", "/metrics", "/status"}]
)
def test_the_parameters_are_those_that_are_taken(path: str) -> None:
    query = pages.Query("nonsense=1")
    ask = {
        "/netmap": lambda: pages.netmap(snapshot(), query),
        "/history": lambda: question_of(query, 0.0),
        "/sd": lambda: pages.sd(snapshot(), query),
        "/healthz": query.only,
    }.get(path, lambda: pages.other(path, snapshot(), query))
    with pytest.raises(pages.BadQuery) as refused:
        ask()
    known = str(refused.value).partition("known here is ")[2]
    assert names(path) == set(known.replace("none", "").split(", ")) - {""}


@pytest.mark.parametrize("path", READ)
def test_each_status_and_the_scopes_are_there(path: str) -> None:
    free = path in {"/", "/livez", "/readyz"}
    for method in ("get", "head"):
        operation: dict[str, Any] = GIVEN[path][method]
        assert {"200", "400", "403", "405"} <= operation["responses"].keys()
        assert ("401" in operation["responses"]) is not free
        scopes = [one["token"] for one in operation["security"] if "token" in one]
        assert ({"session": []} in operation["security"]) is not free
        assert scopes == ([] if free else scopes)
        assert ({} in operation["security"]) is not free, "on loopback nobody needs one"
        assert free or ["read"] in scopes
        assert (["metrics"] in scopes) is (path in {"/metrics", "/sd", "/healthz"})
    assert not any("content" in one for one in GIVEN[path]["head"]["responses"].values())


SCOPES = {f"nms_{scope}": AccessToken(scope, scope, "", "0" * 64) for scope in access_tokens.SCOPES}


def answered(path: str, *given: str) -> set[int]:
    """With what, where these tokens are sent; 200: the request is let in."""
    fields = [("host", "x"), *(("authorization", f"Bearer {one}") for one in given)]
    verdict = authorize(HttpRequest("GET", path, fields, b""), SCOPES.get)
    return {verdict.status} if isinstance(verdict, RequestRefused) else {200}


@pytest.mark.parametrize("path", READ)
def test_the_scopes_are_those_that_are_let_in(path: str) -> None:
    said = [one["token"] for one in GIVEN[path]["get"]["security"] if "token" in one]
    if answered(path) == {200}:
        assert GIVEN[path]["get"]["security"] == []
    else:
        assert said == [[scope] for scope in access_tokens.SCOPES if answered(path, f"nms_{scope}") == {200}]
    came = set().union(*(answered(path, *given) for given in ((), ("x",), ("nms_metrics",), ("x", "x"))))
    assert {str(status) for status in came} <= GIVEN[path]["get"]["responses"].keys()


@pytest.mark.parametrize("path", READ)
def test_that_the_tokens_cannot_be_read_is_there(path: str) -> None:
    needs_one = bool(GIVEN[path]["get"]["security"])
    assert "503" in GIVEN[path]["get"]["responses"] or not needs_one
    assert GIVEN[path]["head"]["responses"].keys() == GIVEN[path]["get"]["responses"].keys()


def test_the_events_are_those_of_the_stream() -> None:
    item = GIVEN["/events"]["get"]["responses"]["200"]["content"]["text/event-stream; charset=utf-8"][
        "x-itemSchema"
    ]
    assert item["properties"]["event"]["enum"] == ["snapshot", *EVENT_KINDS, "error"]
    (kinds,) = [
        one["schema"]["items"]["enum"] for one in GIVEN["/events"]["parameters"] if one["name"] == "kind"
    ]
    assert set(kinds) == set(EVENT_KINDS)


@pytest.mark.parametrize("query", ["since=", "until", "since=soon", "since=-1h", "until=1h&since=30m"])
def test_what_is_no_moment_is_refused(query: str) -> None:
    with pytest.raises(pages.BadQuery, match="cannot use"):
        question_of(pages.Query(query), 1_767_323_045.0)


@pytest.mark.parametrize(
    "query",
    ["since=999999999d", "until=9999-12-31T23:59:59-23:59", "since=1969-12-31T23:59:59Z"],
)
def test_a_moment_that_cannot_be_written_is_refused(query: str) -> None:
    with pytest.raises(pages.BadQuery, match="years 1970 to 9999"):
        question_of(pages.Query(query), 1_767_323_045.0)


@pytest.mark.parametrize(("query", "lanes"), [("", True), ("lanes=true", True), ("lanes=false", False)])
def test_what_happened_can_be_asked_for_without_lanes(query: str, *, lanes: bool) -> None:
    assert question_of(pages.Query(query), 1_767_323_045.0).lanes is lanes


def test_the_checks_that_may_be_left_out_are_those_there_are() -> None:
    page = pages.readyz(snapshot(state="fresh"), pages.Query("verbose"))
    checks = re.findall(r"^\[\+\](\w+) ok$", page.body.decode(), re.MULTILINE)
    (given,) = [one for one in GIVEN["/readyz"]["parameters"] if one["name"] == "exclude"]
    assert given["schema"]["items"]["enum"] == checks
