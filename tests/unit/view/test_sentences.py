"""What happened, as a line for people: right, short, and harmless to a terminal whatever a peer is called."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from netmap_actors.subscriber import DocumentChanged, PeerRemoved, SelfChanged, StateChanged
from netmap_actors.wire.status import SelfStatus
from netmap_supervisor.cli.state.status import lines
from netmap_supervisor.view.live import LiveView
from netmap_supervisor.view.sentences import (
    ago,
    contact,
    daemon_event,
    netmap_change,
    peer_label,
    span,
    waiting_for,
)
from tests.support.netmaps.shown_netmap import EVIL, SteppedClock, actor, peer, report, snapshot, upserted


def event(kind: type, **fields: Any) -> Any:
    return kind(**({"epoch": 1, "seq": 2, "state": "fresh", "age_s": 1.0} | fields))


@pytest.mark.parametrize(
    ("previous", "now", "line"),
    [
        (None, {"online": True, "tags": ["tag:web"]}, "web-1 100.64.0.1 joined (online, tag:web)"),
        (None, {}, "web-1 100.64.0.1 joined (unknown)"),
        ({"online": False}, {"online": True}, "web-1 100.64.0.1 is online"),
        ({"online": True}, {}, "web-1 100.64.0.1 is of unknown state"),
        ({"online": True, "last_seen": None}, {"online": False}, "web-1 100.64.0.1 is offline"),
        ({"last_seen": "x"}, {}, None),
        ({"tags": ["tag:a"]}, {"tags": ["tag:b"]}, "web-1 100.64.0.1 tags +tag:b -tag:a"),
        ({"routes": ["a", "b"]}, {"routes": ["b", "a"]}, "web-1 100.64.0.1 routes in another order"),
        ({"routes": []}, {"routes": list("abcdef")}, "web-1 100.64.0.1 routes +a +b +c +d and 2 more"),
        ({"key": "nodekey:00"}, {"key": "nodekey:11"}, "web-1 100.64.0.1 new node key"),
        ({"expired": False}, {"expired": True}, "web-1 100.64.0.1 key has expired"),
        ({"os": "linux"}, {"os": ""}, "web-1 100.64.0.1 os linux → none"),
        ({"cap_map": {}}, {}, "web-1 100.64.0.1 cap map changed"),
        ({"node.Other": 4}, {}, "web-1 100.64.0.1 Other changed"),
        (
            {"sharer": None, "sharer_id": 0},
            {"sharer_id": 5},
            "web-1.example.ts.net 100.64.0.1 is shared in by user 5",
        ),
        ({"sharer": "ann", "sharer_id": 5}, {}, "web-1 100.64.0.1 is no longer shared in"),
        ({"jailed": False}, {"jailed": True}, "web-1 100.64.0.1 is jailed"),
        ({"wireguard_only": True}, {}, "web-1 100.64.0.1 is no longer wireguard-only"),
        (
            None,
            {
                "name": "web-1.other.ts.net",
                "sharer_id": 5,
                "online": True,
                "jailed": True,
                "tags": ["tag:web"],
            },
            "web-1.other.ts.net 100.64.0.1 joined (online, shared-in, jailed, tag:web)",
        ),
        (
            {"online": False},
            {"name": "web-1.other.ts.net", "online": True},
            "web-1.other.ts.net 100.64.0.1 is online",
        ),
        (
            {"decoded": True},
            {"decoded": False},
            "web-1 100.64.0.1 is not readable: only its ids can be relied on",
        ),
    ],
)
def test_a_change_of_a_peer_is_one_line(previous: Any, now: dict[str, Any], line: str | None) -> None:
    assert netmap_change(upserted(peer(**now), previous)) == line


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            snapshot(peer(online=True), peer(stable_id="n2")),
            "netmap of example.ts.net: 2 peers, 1 online (fresh, last MapResponse 2.0 s ago)",
        ),
        (snapshot(state="none"), None),
        (event(PeerRemoved, peer=peer()), "web-1 100.64.0.1 left"),
        (
            event(StateChanged, state="stale", age_s=130.0, previous="fresh", reason="session_ended"),
            "netmap stale, last MapResponse 2 min ago (session ended)",
        ),
        (event(DocumentChanged, document="packet_filter", value=1, previous=2), "packet filter changed"),
        (
            event(SelfChanged, node=peer(), previous={"tags": ["tag:x"]}),
            "this node is web-1 100.64.0.1: tags -tag:x",
        ),
    ],
)
def test_every_other_change_is_one_line(change: Any, line: str | None) -> None:
    assert netmap_change(change) == line


@pytest.mark.parametrize(
    ("fields", "now", "text"),
    [
        ({"online": True, "last_seen": "2026-01-02T03:04:05Z"}, True, "web-1.example.ts.net is online"),
        (
            {"online": False, "last_seen": "2026-01-02T03:04:05Z"},
            True,
            "web-1.example.ts.net is offline, last seen 2026-01-02T03:04:05Z",
        ),
        ({"online": False}, False, "web-1.example.ts.net was offline"),
        ({}, True, "web-1.example.ts.net is of unknown state"),
        ({"name": ""}, True, "n1 is of unknown state"),
    ],
)
def test_how_a_node_is_is_said_with_when_it_was_seen_last(
    fields: dict[str, Any], now: bool, text: str
) -> None:
    assert contact(peer(**fields), now=now) == text


def test_only_a_node_of_our_own_tailnet_is_told_by_its_short_name() -> None:
    assert peer_label(peer()) == "web-1"
    assert peer_label(peer(sharer_id=7)) == "web-1.example.ts.net"
    assert peer_label(peer(name="web-1.other.ts.net")) == "web-1.other.ts.net"


@pytest.mark.parametrize(
    ("own", "domain", "name"),
    [
        ("recorder.tail.example.", "192.0.2.1", "tail.example"),
        ("observer.tail1234.ts.net.", "example.com", "tail1234.ts.net"),
        ("bare", "fake-control.example.net", "fake-control.example.net"),
        ("", "hs.example.com", "hs.example.com"),
    ],
)
def test_a_tailnet_is_called_by_its_magicdns_suffix(own: str, domain: str, name: str) -> None:
    """headscale gives the host of its own URL as Domain, which names the server (a recorded session has it)."""
    whole = snapshot(domain=domain, own=peer(stable_id="n0", name=own))
    assert netmap_change(whole) == f"netmap of {name}: 0 peers, 0 online (fresh, last MapResponse 2.0 s ago)"
    shown = report()
    node = SelfStatus(name=own, stable_id="n0", addresses=())
    shown = msgspec.structs.replace(
        shown, netmap=msgspec.structs.replace(shown.netmap, domain=domain, self_node=node)
    )
    assert f"  tailnet     {name}: 2 peers, 1 online, 0 unknown" in list(lines(shown))
    view = LiveView(SteppedClock(), console=Console(file=io.StringIO(), width=110, height=24))
    try:
        view.netmap(whole)
        assert view._trust_line(1000.0).plain.endswith(f"   {name}")
    finally:
        view.close()


def test_a_peer_without_a_name_is_told_by_its_host_or_its_id() -> None:
    assert peer_label(peer(name="", hostname="box")) == "box"
    assert peer_label(peer(name="", stable_id="id:-5")) == "id:-5"


def test_nothing_a_peer_is_called_reaches_the_terminal_as_it_is() -> None:
    evil = peer(name=EVIL, addresses=[EVIL], tags=[EVIL], os=EVIL, routes=[EVIL], stable_id=EVIL)
    for previous in (None, {"tags": [], "os": "x", "routes": [], "name": EVIL}):
        line = netmap_change(upserted(evil, previous))
        assert line is not None
        assert line.isprintable()


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=4))
def test_any_log_event_is_one_printable_line_or_none(name: str, fields: dict[str, Any]) -> None:
    for level in ("info", "error"):
        for event_name in (name, "login_needed", "session_ended"):
            line = daemon_event(level, event_name, fields)
            assert line is None or line.isprintable()


@pytest.mark.parametrize(
    ("level", "name", "fields", "line"),
    [
        ("info", "actor_ready", {"actor": "publisher", "pid": 7}, "publisher is up (pid 7)"),
        ("info", "actor_exited", {"actor": "publisher", "pid": 7, "reason": "normal"}, None),
        (
            "warning",
            "actor_exited",
            {"actor": "publisher", "pid": 7, "reason": "signal 9"},
            "publisher (pid 7) ended: signal 9",
        ),
        (
            "warning",
            "login_needed",
            {"url": "https://x/" + "a" * 400},
            "LOGIN NEEDED: open https://x/" + "a" * 400,
        ),
        ("info", "some_detail", {"a": 1}, None),
        ("warning", "some_detail", {"a": 1}, "warning: some detail (a 1)"),
        (
            "info",
            "session_ended",
            {"generation": 2, "reason": "closed", "detail": "{pid}"},
            "connection 2 ended: closed ({pid})",
        ),
        (
            "info",
            "reloaded",
            {"applied": ["log_level"], "with_next_connection": [], "needs_restart": ["listen", "view"]},
            "settings read again: log_level now; listen, view only after a restart",
        ),
        ("info", "reloaded", {"applied": []}, "settings read again, nothing has changed"),
    ],
)
def test_a_log_event_is_one_line(level: str, name: str, fields: dict[str, Any], line: str | None) -> None:
    assert daemon_event(level, name, fields) == line


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (report(), None),
        (
            report("none", "starting", attempts=0, actors=(actor("publisher", "inactive"),)),
            "publisher to come up",
        ),
        (
            report("stale", "connecting", last_end="error"),
            "connecting to https://hs.example.com (attempt 3; the last one ended with error in connect: cannot connect",
        ),
        (
            report("stale", "backing_off", next_attempt_s=4.2, last_end="closed"),
            "comes in 4.2 s (attempt 3; the last one ended with closed:",
        ),
        (
            report("none", "login_needed", auth_url="https://hs.example.com/register/x"),
            "open https://hs.example.com/register/x",
        ),
        (
            report("stale", "map_session", last_end="silence"),
            "waiting for the first netmap from https://hs.example.com",
        ),
        (report("stale", "something_new"), "the connection is something_new"),
    ],
)
def test_who_waits_is_told_for_what(shown: Any, said: str | None) -> None:
    line = waiting_for(shown)
    assert line is None if said is None else (line is not None and said in line and line.isprintable())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (75, "75 s"), (600, "10 min"), (86_400, "24 h"), (260_000, "3 d")],
)
def test_a_span_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert span(seconds) == text
    assert ago(seconds) == f"{text} ago"
    assert ago(None) == "never"
