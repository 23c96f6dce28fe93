"""The endpoint gives what its OpenAPI document says: every path, status, content type and body."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from netmap_actors.http_endpoint.guard import FORMS
from tests.process.test_http_endpoint import read_event
from tests.support.host.free_ports import free_address
from tests.support.netmaps.publishing import full, node
from tests.support.netmaps.shown_netmap import report
from tests.support.processes.http_process import HttpProcess, running_http
from tests.support.processes.publisher_process import LIMIT, running_publisher
from tests.support.schemas.strict import closed, held
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def publisher():
    with running_publisher() as publisher:
        yield publisher


@pytest.fixture(scope="module")
def endpoint(publisher):
    with running_http(publisher, free_address()) as endpoint:
        endpoint.told = {"status": msgspec.to_builtins(report()), "counters": {}}
        yield endpoint


@pytest.fixture(scope="module")
def document(endpoint) -> dict[str, Any]:
    status, _, body = endpoint.get("/openapi.json")
    assert status == 200
    return json.loads(body)


def as_described(endpoint: HttpProcess, document: dict[str, Any], target: str, **headers: str) -> int:
    """The status of an answer that is in the document, with GET as with HEAD."""
    path = document["paths"][target.partition("?")[0]]
    status, fields, body = endpoint.get(target, **headers)
    told = path["get"]["responses"][str(status)]
    if "$ref" in told:
        told = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
    content_type = fields["content-type"]
    schema = told["content"].get(content_type) or told["content"][content_type.partition(";")[0]]
    if content_type == "application/json":
        root = {**schema["schema"], "components": document["components"]}
        Draft202012Validator(closed(root)).validate(json.loads(body))
    else:
        assert body.decode().endswith("\n")
    head = endpoint.get(target, method="HEAD", **headers)
    assert (head[0], head[1]["content-type"], head[2]) == (status, content_type, b"")
    assert str(status) in path["head"]["responses"]
    return status


def test_before_a_netmap_has_come_it_lives_and_is_not_ready(endpoint, document) -> None:
    read = [path for path in document["paths"] if path not in {"/events", *FORMS}]
    assert {path: as_described(endpoint, document, path) for path in read} == {
        "/": 200, "/status": 200,
        "/netmap": 200, "/history": 404, "/sd": 503, "/metrics": 200, "/healthz": 503, "/livez": 200, "/readyz": 503,
        "/openapi.json": 200,
    }  # fmt: skip


def test_when_it_is_fresh_it_is_ready_and_when_the_publisher_has_gone_it_lives_on(
    document, endpoint, publisher
):
    publisher.new_session(full(node(2, Tags=["tag:web"]), node(3, Online=None)))
    endpoint.fresh()
    expected = {
        "/netmap": 200, "/netmap?peer=n2": 200, "/netmap?peer=nobody": 404, "/netmap?nobody=1": 400,
        "/sd?port=9100": 200, "/metrics?peers=true": 200, "/healthz": 200, "/livez?verbose": 200, "/readyz": 200,
        "/readyz?verbose": 200, "/readyz?exclude=x": 400, "/history?since=x": 400,
    }  # fmt: skip
    assert {target: as_described(endpoint, document, target) for target in expected} == expected
    assert as_described(endpoint, document, "/netmap", Host="elsewhere.example") == 403
    assert (
        as_described(endpoint, document, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        == 200
    )
    publisher.session_ended()
    wait_for(lambda: endpoint.get("/readyz")[0] == 503, LIMIT, "a netmap that is stale")
    assert endpoint.get("/readyz?exclude=fresh")[0] == 200
    assert endpoint.get("/livez")[0] == 200


def test_each_path_takes_the_parameters_of_the_document_and_no_other(endpoint, document) -> None:
    for path, item in document["paths"].items():
        if path in {"/", *FORMS}:
            continue  # what a link or a form has brought along
        status, _, body = endpoint.get(f"{path}?nonsense=1")
        known = body.decode().strip().partition("known here is ")[2]
        named = {one["name"] for one in item["parameters"]}
        assert (status, set(known.replace("none", "").split(", ")) - {""}) == (400, named), path
        for name in named - {"verbose"}:  # of an unset variable in who asks
            for text in (f"{name}=", f"{name}=a&{name}="):
                status, _, body = endpoint.get(f"{path}?{text}")
                assert (status, name in body.decode()) == (400, True), (path, text)


def test_each_method_that_is_not_described_is_refused(endpoint, document) -> None:
    for path, item in document["paths"].items():
        allowed = [method for method in ("GET", "HEAD", "POST") if method.lower() in item]
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            if method not in allowed:
                status, fields, _ = endpoint.get(path, method=method)
                assert (status, fields["allow"]) == (405, ", ".join(allowed))


def test_the_events_of_the_stream_fit(endpoint, publisher) -> None:
    publisher.new_connection()
    publisher.new_session(full(node(2)))
    endpoint.fresh()
    client = endpoint.connection()
    client.request("GET", "/events")
    stream = client.getresponse()
    first = read_event(stream)
    publisher.map_response({"PeersChanged": [node(5)], "Domain": "other.example"})
    for event in (first, read_event(stream), read_event(stream)):
        shown = json.loads(event["data"])
        assert shown["type"] == event["event"]
        held("watch", shown)
    client.close()
