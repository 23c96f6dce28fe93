"""A real control server that says more than anybody reads: the log stays small, the netmap stays fresh."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.support.host.free_ports import free_address
from tests.support.processes.daemon import Daemon
from tests.support.servers.scripted import Control, joined
from tests.support.waiting import wait_for

LIMIT = 30.0
FLOOD = 11_000
HEALTH = 300_000


def running(daemon: Callable[..., Daemon], control: Control, *options: str) -> Daemon:
    made = daemon(*joined(control), *options)
    made.wait_fresh()
    return made


def taken_in(control: Control, daemon: Daemon, domain: str) -> None:
    """What was sent before has been applied: a change behind it is there."""
    control.server.raw(json.dumps({"Domain": domain}))
    daemon.wait_status(lambda status: status["netmap"]["domain"] == domain, limit=LIMIT)


def test_what_a_server_wishes_without_end_is_a_few_lines_and_the_rest_is_counted(daemon, control) -> None:
    made = running(daemon, control)
    before = made.log_path.read_bytes().count(b"\n")
    for number in range(FLOOD):
        control.server.raw(json.dumps({"KeepAlive": True, "PopBrowserURL": f"https://a.example/{number}"}))
    taken_in(control, made, "after.example")
    wait_for(
        lambda: made.events("log_lines_suppressed", suppressed_event="server_wish"),
        LIMIT,
        "what was left out",
    )
    told = sum(one["lines"] for one in made.events("log_lines_suppressed"))
    status: dict[str, Any] | None = made.status()
    assert status is not None
    assert status["netmap"]["state"] == "fresh"
    assert not any(row["restarts"] for row in status["actors"])
    lines = made.log_path.read_bytes().count(b"\n") - before
    assert 10 < lines < 300
    written = len(made.events("server_wish", actor="control_connection"))
    assert 0 < told <= status["log_lines_suppressed"]
    assert written + status["log_lines_suppressed"] > FLOOD // 20, (
        "some the connection's own pipe has no room for"
    )


def test_health_without_end_takes_neither_the_netmap_nor_the_memory_of_who_reads_it(daemon, control) -> None:
    address = free_address()
    made = running(daemon, control, f"--http-listen={address}")
    before = {row["name"]: row["rss_bytes"] for row in made.wait_reported()["actors"]}
    control.server.raw(json.dumps({"Health": [f"trouble \u202e {number}" for number in range(HEALTH)]}))
    taken_in(control, made, "after.example")
    status = made.wait_status(
        lambda one: any(found["code"] == "messages_left_out" for found in one["degraded"]), limit=LIMIT
    )
    assert status["netmap"]["state"] == "fresh"
    assert not any(row["restarts"] for row in status["actors"])
    with urllib.request.urlopen(f"http://{address}/netmap", timeout=LIMIT) as answer:
        body = answer.read().decode()
    assert "\u202e" not in body
    assert len(json.loads(body)["health"]) == 100
    for row in status["actors"]:
        assert row["rss_bytes"] < before[row["name"]] + (150 << 20), row["name"]
    control.server.raw(json.dumps({"Health": []}))
    made.wait_status(
        lambda one: all(found["code"] != "messages_left_out" for found in one["degraded"]), limit=LIMIT
    )
