"""The HTTP endpoint as its clients meet it: a real process, a real publisher behind it, a real client in front."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support.host.free_ports import free_address
from tests.support.netmaps.publishing import full, node
from tests.support.processes.http_process import HttpProcess, running_http
from tests.support.processes.publisher_process import LIMIT, running_publisher
from tests.support.waiting import wait_for

STATUS: dict[str, Any] = {
    "version": "1.2.3",
    "uptime_s": 12.5,
    "connection": {
        "state": "map_session",
        "attempts": 3,
        "sessions": 2,
        "ended": {"silence": 1, "closed": 0},
    },
    "liveness": {"silence_timeout_s": 120.0},
    "degraded": [{"code": "clock", "text": "x", "since": "y"}],
    "actors": [
        {"name": "supervisor", "state": "active", "restarts": 0, "rss_bytes": 1000},
        {"name": "publisher", "state": "backoff", "restarts": 4, "rss_bytes": None},
    ],
    "subscribers": 7,
}


@pytest.fixture(scope="module")
def publisher():
    with running_publisher() as publisher:
        publisher.new_session(
            full(
                node(2, Tags=["tag:web"], LastSeen="2026-01-02T03:04:05Z"),
                node(3, Online=False),
                node(4, Online=None),
            )
        )
        yield publisher


@pytest.fixture(scope="module")
def endpoint(publisher):
    with running_http(publisher, free_address()) as endpoint:
        endpoint.told = {"status": STATUS, "counters": {"publisher": {"suppressed": 5}}}
        endpoint.fresh()
        yield endpoint


def samples(families: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_netmap_is_what_the_command_prints(endpoint) -> None:
    status, headers, body = endpoint.get("/netmap")
    shown = json.loads(body)
    assert (status, headers["content-type"], headers["cache-control"]) == (
        200,
        "application/json",
        "no-store",
    )
    assert "access-control-allow-origin" not in headers
    assert (shown["state"], [peer["stable_id"] for peer in shown["peers"]]) == ("fresh", ["n2", "n3", "n4"])
    assert shown["self"]["stable_id"] == "self"
    assert {"age_s", "epoch", "seq", "domain", "dns", "derp_map", "packet_filter", "user_profiles"} <= set(
        shown
    )


def test_one_peer_is_found_by_name_address_and_id(endpoint) -> None:
    for word in ("n2", "node2", "node2.example"):
        status, _, body = endpoint.get(f"/netmap?peer={word}")
        assert (status, json.loads(body)["peer"]["stable_id"]) == (200, "n2")
    assert endpoint.get("/netmap?peer=self")[0] == 200
    assert endpoint.get("/netmap?peer=nobody")[0] == 404


def test_targets_for_prometheus(endpoint) -> None:
    status, headers, body = endpoint.get("/sd?port=9100&tag=web")
    assert (status, headers["content-type"]) == (200, "application/json")
    (group,) = json.loads(body)
    assert group["targets"] == [f"{group['labels']['__meta_netmap_address']}:9100"]
    assert group["labels"]["__meta_netmap_tags"] == ",tag:web,"
    assert len(json.loads(endpoint.get("/sd")[2])) == 3, "our own node has no address here"
    online = json.loads(endpoint.get("/sd?online=true")[2])
    assert {one["labels"]["__meta_netmap_online"] for one in online} == {"true"}


def test_targets_are_without_our_own_node_unless_it_is_asked_for_and_obey_no_stranger() -> None:
    own = {"ID": 1, "StableID": "self", "Name": "obs.tail.example.", "Addresses": ["100.64.9.9/32"]}
    shared = node(2, Name="nas.stranger.example.", Sharer=77, Tags=["x,tag:web"], Addresses=["100.70.0.2/32"])
    ours = node(3, Name="nas.tail.example.", Tags=["tag:web"], Addresses=["10.0.0.0/8", "100.70.0.3/32"])
    with running_publisher() as publisher:
        publisher.new_session(full(shared, ours, node(4, Addresses=["10.0.0.0/8"]), Node=own))
        with running_http(publisher, free_address()) as endpoint:
            endpoint.fresh()

            def shown(query: str) -> dict[str, tuple[str, str]]:
                groups = json.loads(endpoint.get(f"/sd?port=9100{query}")[2])
                labels = [
                    {name.removeprefix("__meta_netmap_"): v for name, v in g["labels"].items()}
                    for g in groups
                ]
                return {
                    group["targets"][0]: (one["short_name"], one["tags"])
                    for group, one in zip(groups, labels, strict=True)
                }

            others = {"100.70.0.2:9100": ("", ""), "100.70.0.3:9100": ("nas", ",tag:web,")}
            assert shown("") == shown("&include_self=false") == others
            for word in ("include_self", "include-self"):
                assert shown(f"&{word}=true") == others | {"100.64.9.9:9100": ("obs", "")}


@pytest.mark.parametrize(
    ("target", "why"),
    [("/sd?port=0", "port"), ("/sd?prot=1", "prot"), ("/sd?port=1&port=2", "twice"), ("/netmap?x", "query"),
     ("/sd?online=maybe", "online"), ("/sd?include_self=1", "include_self"),
     ("/sd?include_self=true&include-self=true", "twice"), ("/metrics?peers=1", "peers"),
     ("/metrics?tag=web", "peers=true"),
     ("/sd?" + "a" * 5000, "longer"), ("/healthz?x=1", "x")],
)  # fmt: skip
def test_a_query_that_cannot_be_used_is_refused_with_its_reason(endpoint, target: str, why: str) -> None:
    status, _, body = endpoint.get(target)
    assert status == 400
    assert why in body.decode()


def test_metrics_parse_with_the_parsers_of_prometheus(endpoint) -> None:
    status, headers, body = endpoint.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    found = samples(parse_text(body.decode()))
    assert found["netmap_state", (("netmap_state", "fresh"),)] == 1
    assert found["netmap_state", (("netmap_state", "stale"),)] == 0
    assert found["netmap_peers", (("online", "true"),)] == 1
    assert found["netmap_peers", (("online", "unknown"),)] == 1
    assert 0 <= found["netmap_last_map_response_age_seconds", ()] < LIMIT
    assert found["netmap_reconnects_total", (("reason", "silence"),)] == 1
    assert found["netmap_actor_restarts_total", (("actor", "publisher"),)] == 4
    assert found["netmap_actor_events_total", (("actor", "publisher"), ("event", "suppressed"))] == 5
    assert found["netmap_degraded", (("code", "clock"),)] == 1
    assert found["netmap_supervisor_up", ()] == 1
    assert not [name for name, _ in found if name.startswith("netmap_peer_")]


def test_metrics_come_as_openmetrics_to_who_asks_for_it(endpoint) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    _, headers, body = endpoint.get("/metrics", Accept=accept)
    assert headers["content-type"].startswith("application/openmetrics-text")
    found = samples(parse_openmetrics(body.decode()))
    assert found["netmap_supervisor_info", (("version", "1.2.3"),)] == 1


def test_one_series_a_peer_is_for_who_asks_for_it(endpoint) -> None:
    found = samples(parse_text(endpoint.get("/metrics?peers=true")[2].decode()))
    peers = {labels: value for (name, labels), value in found.items() if name == "netmap_peer_online"}
    assert {dict(labels)["stable_id"]: value for labels, value in peers.items()} == {"n2": 1.0, "n3": 0.0}
    seen = [v for (name, _), v in found.items() if name == "netmap_peer_last_seen_timestamp_seconds"]
    assert 1767323045.0 in seen
    told = samples(parse_text(endpoint.get("/metrics?peers=true&tag=web")[2].decode()))
    assert [dict(labels)["stable_id"] for name, labels in told if name == "netmap_peer_info"] == ["n2"]


def test_a_supervisor_that_says_nothing_costs_its_part_of_the_metrics_only(publisher) -> None:
    with running_http(publisher, free_address()) as silent:
        silent.fresh()
        found = samples(parse_text(silent.get("/metrics")[2].decode()))
        assert found["netmap_supervisor_up", ()] == 0
        assert found["netmap_state", (("netmap_state", "fresh"),)] == 1


def read_event(stream: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    while True:
        line = stream.readline().decode().rstrip("\n")
        if line.startswith(":"):
            continue
        if not line:
            if fields:
                return fields
            continue
        name, _, value = line.partition(": ")
        fields[name] = value


def test_events_begin_with_a_snapshot_and_tell_every_change(publisher, endpoint) -> None:
    client = endpoint.connection()
    client.request("GET", "/events")
    stream = client.getresponse()
    assert stream.status == 200
    assert stream.getheader("content-type").startswith("text/event-stream")
    first = read_event(stream)
    snapshot = json.loads(first["data"])
    assert (first["event"], snapshot["type"]) == ("snapshot", "snapshot")
    assert first["id"] == f"{snapshot['epoch']}:{snapshot['seq']}"
    for number in range(3):
        publisher.map_response({"PeersChangedPatch": [{"NodeID": 2, "Cap": 100 + number}]})
    told = [json.loads(read_event(stream)["data"]) for _ in range(3)]
    assert [event["peer"]["cap"] for event in told] == [100, 101, 102]
    assert told[1]["previous"] == {"cap": 100}
    client.close()


def test_events_can_be_chosen_by_kind_and_peer(publisher, endpoint) -> None:
    client = endpoint.connection()
    client.request("GET", "/events?kind=peer_upserted&peer=node3")
    stream = client.getresponse()
    assert read_event(stream)["event"] == "snapshot"
    publisher.map_response({"PeersChangedPatch": [{"NodeID": 2, "Cap": 200}, {"NodeID": 3, "Cap": 200}]})
    assert json.loads(read_event(stream)["data"])["peer"]["stable_id"] == "n3"
    client.close()


def test_who_does_not_read_events_is_cut_off_and_the_others_are_told(publisher, endpoint) -> None:
    stuck, following = endpoint.connection(), endpoint.connection()
    for client in (stuck, following):
        client.request("GET", "/events")
    stream = following.getresponse()
    assert read_event(stream)["event"] == "snapshot"
    filler = "x" * 200_000
    for number in range(60):
        publisher.map_response({"DNSConfig": {"Domains": [f"{number}-{filler}"]}})
        assert read_event(stream)["event"] == "dns_changed"
    rss = int(Path(f"/proc/{endpoint.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert rss < 200 * 1024 * 1024
    assert read_to_the_end(stuck.sock) < 60 * 2 * len(filler), "it was cut off before the last event"
    following.close()


def read_to_the_end(sock: socket.socket) -> int:
    """Bytes until the connection's end, which may be a reset."""
    sock.settimeout(LIMIT)
    count = 0
    try:
        while chunk := sock.recv(1 << 20):
            count += len(chunk)
    except ConnectionResetError:
        pass
    return count


def test_head_says_what_get_would_without_the_body(endpoint) -> None:
    for target in ("/netmap", "/events", "/healthz", "/sd", "/metrics"):
        status, headers, body = endpoint.get(target, "HEAD")
        assert (status, body) == (200, b""), target
        assert headers["content-type"]


def test_requests_follow_one_another_on_one_connection(endpoint) -> None:
    client = endpoint.connection()
    for target in ("/healthz", "/netmap", "/nothing", "/healthz"):
        client.request("GET", target)
        response = client.getresponse()
        assert response.status == (404 if target == "/nothing" else 200)
        response.read()
    client.close()


def test_requests_sent_ahead_are_answered_in_order(endpoint) -> None:
    client = endpoint.connection()
    client.sock.sendall(
        b"GET /netmap HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    data = b""
    while chunk := client.sock.recv(65536):
        data += chunk
    assert data.count(b"HTTP/1.1 200") == 2
    assert data.index(b'"n2"') < data.index(b'"peers":3')
    client.close()


def test_nothing_can_be_changed_and_no_web_page_can_read(endpoint) -> None:
    status, headers, _ = endpoint.get("/netmap", "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert endpoint.get("/netmap", Host="evil.example")[0] == 403
    assert endpoint.get("/netmap", Origin="https://evil.example")[0] == 403
    status, headers, _ = endpoint.get("/netmap", "OPTIONS", Origin="https://evil.example")
    assert status == 405
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 100,
        b"GET /netmap\r\n\r\n",
        b"GET " + b"a" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"\n" * 70_000,
    ],
)
def test_garbage_is_answered_or_cut_off_and_harms_nobody(endpoint, garbage: bytes) -> None:
    client = endpoint.connection()
    answer = b""
    try:
        client.sock.sendall(garbage)
        client.sock.shutdown(socket.SHUT_WR)
        while chunk := client.sock.recv(65536):
            answer += chunk
    except OSError:
        pass  # cut off before all of it was sent
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:100]
    client.close()
    assert endpoint.get("/healthz")[0] == 200


def test_who_only_holds_connections_makes_room_for_who_asks(endpoint) -> None:
    idle = [endpoint.connection() for _ in range(300)]
    for client in idle:
        client.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
    assert endpoint.get("/healthz")[0] == 200
    for client in idle:
        client.close()


def raw(endpoint: HttpProcess, request: bytes, *, half_close: bool = False) -> bytes:
    """All that comes back for these bytes."""
    client = endpoint.connection()
    client.sock.sendall(request)
    if half_close:
        client.sock.shutdown(socket.SHUT_WR)
    answer = b""
    try:
        while chunk := client.sock.recv(65536):
            answer += chunk
    except ConnectionResetError:
        pass
    client.close()
    return answer


def test_a_broken_head_request_is_refused_without_a_body(endpoint) -> None:
    for body in (b"ZZZ\r\n", b"20000\r\n" + b"x" * 0x20000 + b"\r\n0\r\n\r\n"):
        answer = raw(
            endpoint, b"HEAD / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        )
        assert not answer or answer.startswith(b"HTTP/1.1 4")
        assert not answer or answer.endswith(b"\r\n\r\n")
    assert endpoint.get("/healthz")[0] == 200


@pytest.mark.parametrize(
    "accept", ["text/plain;version=abc", "application/openmetrics-text;version=1.0.0\xe9", ";;=,"]
)
def test_metrics_come_whatever_is_accepted(endpoint, accept: str) -> None:
    assert endpoint.get("/metrics", Accept=accept)[0] == 200


def test_a_thousand_requests_in_one_write_are_answered(endpoint) -> None:
    one = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = one.replace(b"Host: localhost\r\n", b"Host: localhost\r\nConnection: close\r\n")
    answer = raw(endpoint, one * 999 + last)
    assert answer.count(b"HTTP/1.1 404") == 1000


def test_a_client_that_closes_its_side_gets_its_metrics(endpoint) -> None:
    assert b"netmap_state" in raw(endpoint, b"GET /metrics HTTP/1.0\r\n\r\n", half_close=True)


def test_a_request_with_its_whole_url_is_understood(endpoint) -> None:
    request = b"GET http://localhost/healthz?x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(endpoint, request).startswith(b"HTTP/1.1 400")
    assert raw(endpoint, request.replace(b"?x", b"")).startswith(b"HTTP/1.1 200")


def test_a_kind_of_event_that_there_is_not_is_refused(endpoint) -> None:
    status, _, body = endpoint.get("/events?kind=bogus")
    assert (status, b"bogus" in body, b"peer_removed, peer_upserted" in body) == (400, True, True)


def test_many_scrapes_at_once_are_one_look_at_the_supervisor(endpoint) -> None:
    clients = [endpoint.connection() for _ in range(100)]
    for client in clients:
        client.request("GET", "/metrics?peers=true")
    for client in clients:
        response = client.getresponse()
        assert response.status == 200
        response.read()
        client.close()


def test_no_netmap_is_no_empty_list() -> None:
    with running_publisher() as empty, running_http(empty, free_address()) as endpoint:
        status, _, body = endpoint.get("/healthz")
        assert (status, json.loads(body)["state"]) == (503, "none")
        assert endpoint.get("/sd")[0] == 503
        assert json.loads(endpoint.get("/netmap")[2])["state"] == "none"


def test_a_stale_netmap_says_so_everywhere() -> None:
    with running_publisher() as publisher, running_http(publisher, free_address()) as endpoint:
        publisher.new_session(full(node(2)))
        endpoint.fresh()
        publisher.session_ended()
        wait_for(lambda: endpoint.get("/healthz")[0] == 503, LIMIT, "the stale netmap")
        assert json.loads(endpoint.get("/netmap")[2])["state"] == "stale"
        assert {group["labels"]["__meta_netmap_state"] for group in json.loads(endpoint.get("/sd")[2])} == {
            "stale"
        }


def test_a_killed_publisher_leaves_the_last_netmap_and_its_end_in_the_open() -> None:
    with running_publisher() as publisher, running_http(publisher, free_address()) as endpoint:
        publisher.new_session(full(node(2)))
        endpoint.fresh()
        publisher.kill()
        wait_for(lambda: endpoint.get("/healthz")[0] == 503, LIMIT, "the stale netmap")
        publisher.start()
        publisher.new_session(full(node(2), node(3)))
        endpoint.fresh()
        assert len(json.loads(endpoint.get("/netmap")[2])["peers"]) == 2


def test_a_port_that_is_taken_is_told_and_taken_when_it_is_free(publisher) -> None:
    address = free_address()
    host, _, port = address.partition(":")
    with socket.socket() as holder:
        holder.bind((host, int(port)))
        holder.listen()
        with running_http(publisher, address) as endpoint:
            wait_for(lambda: endpoint.conditions, LIMIT, "the condition")
            assert "Address already in use" in endpoint.conditions[0][1]
            holder.close()
            wait_for(lambda: endpoint.conditions[-1][2] is False, LIMIT, "its end")
            endpoint.fresh()


def test_the_processes_of_these_tests_are_real(endpoint: HttpProcess) -> None:
    assert endpoint.process.poll() is None


def test_a_client_that_has_said_all_gets_the_whole_answer(endpoint) -> None:
    client = endpoint.connection()
    client.sock.sendall(b"GET /netmap HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    client.sock.shutdown(socket.SHUT_WR)
    data = b""
    while chunk := client.sock.recv(65536):
        data += chunk
    assert data.startswith(b"HTTP/1.1 200")
    assert b'"n4"' in data
    client.close()


def test_a_large_netmap_comes_whole_to_many_at_once_and_to_followers_too() -> None:
    with running_publisher() as publisher, running_http(publisher, free_address()) as endpoint:
        publisher.new_session(full(*(node(number) for number in range(2, 8002))))
        endpoint.fresh()
        clients = [endpoint.connection() for _ in range(8)]
        for number, client in enumerate(clients):
            client.request("GET", "/events" if number % 2 else "/netmap")
        publisher.map_response({"PeersChangedPatch": [{"NodeID": 2, "Cap": 7}]})
        for number, client in enumerate(clients):
            response = client.getresponse()
            if number % 2:
                first = json.loads(read_event(response)["data"])
                assert len(first["netmap"]["peers"]) == 8000
                # The change came before this one began to follow, or it is told of it.
                if first["netmap"]["peers"][0]["cap"] != 7:
                    assert json.loads(read_event(response)["data"])["peer"]["cap"] == 7
            else:
                assert len(json.loads(response.read())["peers"]) == 8000
            client.close()
