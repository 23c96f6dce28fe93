"""The fault catalogue: TCP, the upgrade, Noise and HTTP/2 (docs/explanation/fault-catalogue.md).

The real daemon against a scripted server. Each test ends with the checker of its recorded history.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import hpack
import pytest

from netmap_actors.dev_control.faults.bad_bytes import http2_frame
from tests.support.histories.history import boottime, recording
from tests.support.host.dark_scene import joined_across
from tests.support.processes.catalogue_facts import (
    BUSY,
    KINDS_OF_PEERS,
    MEMORY,
    PeakMemory,
    changes_seen,
    ended_after,
    ended_counts,
    port,
    processor_seconds,
)
from tests.support.proxies.wire_proxy import Handshake, Harm, Silence
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.dev_control.http.connection import ClientConnection
    from netmap_actors.dev_control.operator.commands import Commands
    from tests.support.histories.history import Scene, Scenes
    from tests.support.host.netns import Pair
    from tests.support.proxies.wire_proxy import WireProxy
    from tests.support.servers.scripted import Control

NOTICED = 0.5
SPREAD = 4.0
"""Seconds over which clients spread whose connection a server has ended."""
HANDSHAKE_LIMIT = 15.0
CONNECT_LIMIT = 10.0
CAUGHT = 5.0
"""Seconds after which a flood has to be cut."""


def live_connection(it: Commands) -> ClientConnection:
    """The server's end of the one connection there is."""
    (connection,) = it._server.connections.values()
    return connection


# --- TCP ------------------------------------------------------------------------------------------------------


def reset_inside_a_message(scene: Scene) -> None:
    scene.control.fault("liveness/half-frame")
    scene.control.server.drop_all(reset=True)


ENDS: dict[str, tuple[Callable[[Scene], object], str]] = {
    "f03-reset_inside_a_message": (reset_inside_a_message, "inside a MapResponse"),
    "f12-goaway": (lambda scene: scene.control.fault("session/goaway"), "GOAWAY"),
    "f13-rst_stream": (lambda scene: scene.control.fault("session/rst-stream"), "reset the map request"),
}


@pytest.mark.parametrize(("end", "said"), ENDS.values(), ids=ENDS)
def test_the_servers_end_of_a_session_is_noticed_at_once_and_is_no_crash(
    end: Callable[[Scene], object], said: str, recorded: Scenes
) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    line, took = ended_after(scene.daemon, lambda: end(scene))
    assert took <= BUSY * NOTICED, took
    assert line["reason"] == "closed"
    assert said in line["detail"]
    assert line["next_attempt_s"] <= SPREAD
    after = scene.wait_back(before)
    assert ended_counts(after) == {"closed": 1}
    assert port(after) != port(before), "nothing of the old connection is used again"
    assert after["connection"]["pid"] != before["connection"]["pid"]
    assert after["netmap"]["peers"] == before["netmap"]["peers"]
    assert not KINDS_OF_PEERS & {*changes_seen(scene)}, "no peer has changed"


def send_empty_records(it: Commands) -> None:
    live_connection(it).link.send_record(lambda evil: b"".join(evil.seal_empty() for _ in range(100_000)))
    it._server.changed()


@pytest.mark.netns
@pytest.mark.xdist_group("waits")
def test_f03_a_socket_that_the_kernel_destroys_is_replaced(namespaces: Pair, tmp_path: Path) -> None:
    limit = 10.0
    with (
        joined_across(
            namespaces, tmp_path, f"--silence-timeout={limit:g}s", server_options=("--keep-alive=1s",)
        ) as (_, client, _),
        recording(client, tmp_path, silence=limit),
    ):
        before = client.wait_fresh()
        line, took = ended_after(
            client, lambda: namespaces.client.run("ss", "-K", "sport", "=", f":{port(before)}")
        )
        assert took <= BUSY * NOTICED, took
        assert line["reason"] == "closed"
        after = client.wait_status(
            lambda status: status["netmap"]["state"] == "fresh" and status["connection"]["generation"] == 2
        )
        assert port(after) != port(before)
        assert ended_counts(after) == {"closed": 1}


@pytest.mark.xdist_group("waits")
def test_f04_a_server_that_closes_again_and_again_costs_one_connection_each_time(recorded: Scenes) -> None:
    scene = recorded()
    status = scene.daemon.wait_fresh()
    times = 3
    for done in range(1, times + 1):
        line, took = ended_after(scene.daemon, lambda: scene.control.fault("session/eof"))
        assert took <= BUSY * NOTICED, took
        assert line["reason"] == "closed"
        status = scene.wait_back(status)
        assert status["connection"]["attempts"] == done + 1
        assert status["netmap"]["peers"] == 5
    assert ended_counts(status) == {"closed": times}
    assert not KINDS_OF_PEERS & {*changes_seen(scene)}, "no peer ever flapped"


@pytest.mark.netns
@pytest.mark.xdist_group("waits")
def test_f05_a_dial_that_nobody_answers_ends_and_is_tried_again(namespaces: Pair, tmp_path: Path) -> None:
    limit = 20.0
    with (
        joined_across(
            namespaces, tmp_path, f"--silence-timeout={limit:g}s", server_options=("--keep-alive=1s",)
        ) as (_, client, _),
        recording(client, tmp_path, silence=limit),
    ):
        before = client.wait_fresh()

        def cut_off() -> None:
            namespaces.drop_all()
            namespaces.client.run("ss", "-K", "sport", "=", f":{port(before)}")

        ended_after(client, cut_off)
        watch = Stopwatch()
        line = client.wait_event("session_ended", SPREAD + CONNECT_LIMIT + 5.0, after=1)
        ready = client.events("actor_ready", actor="control_connection")[-1]
        assert line["reason"] == "error"
        assert line["stage"] == "connect"
        assert "cannot" in line["detail"]
        assert (
            CONNECT_LIMIT - watch.allowed(0.5)
            <= line["boottime"] - ready["boottime"]
            <= CONNECT_LIMIT + watch.allowed(2.0)
        )
        namespaces.heal()
        after = client.wait_fresh(35.0)
        assert port(after) != port(before)


# --- the upgrade and Noise ------------------------------------------------------------------------------------


STUCK: dict[str, Callable[[], Harm]] = {
    "no answer to the upgrade (F06)": Silence,
    "no handshake message (F07)": lambda: Handshake(lambda message: b"", hold=True),
    "a handshake message one byte short (F07)": lambda: Handshake(lambda message: message[:-1], hold=True),
}


@pytest.mark.xdist_group("waits")
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_f06_f07_a_handshake_that_does_not_end_is_given_fifteen_seconds(
    proxied: Callable[[], tuple[Control, WireProxy]], recorded: Scenes
) -> None:
    running: list[tuple[str, Scene, WireProxy, dict[str, Any]]] = []
    for name, harm in STUCK.items():
        control, proxy = proxied()
        scene = recorded(control=control)
        running.append((name, scene, proxy, scene.daemon.wait_fresh()))
        proxy.harm = harm
        proxy.cut()
    watch = Stopwatch()
    for name, scene, proxy, _ in running:
        line = scene.daemon.wait_event("session_ended", SPREAD + HANDSHAKE_LIMIT + 10.0, after=1)
        proxy.harm = Harm
        started = scene.daemon.events("actor_started", actor="control_connection")[1]
        took = line["boottime"] - started["boottime"]
        assert (line["reason"], line["stage"]) == ("error", "handshake"), name
        assert HANDSHAKE_LIMIT <= took <= HANDSHAKE_LIMIT + watch.allowed(3.0), (name, took)
        assert "cannot" in line["detail"], name
        assert line["next_attempt_s"] <= 2.0, name
    for _, scene, _, before in running:
        scene.wait_back(before)


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a wrong tag": (lambda message: message[:-1] + bytes([message[-1] ^ 1]), "cannot"),
    "an error frame": (lambda message: b"\x03\x00\x0bgo elsewhere", "cannot"),
}


@pytest.mark.xdist_group("waits")
@pytest.mark.parametrize(("change", "said"), SPOILT.values(), ids=SPOILT)
def test_f08_a_bad_handshake_is_a_clean_error_that_backs_off_and_tells_no_secret(
    change: Callable[[bytes], bytes],
    said: str,
    proxied: Callable[[], tuple[Control, WireProxy]],
    recorded: Scenes,
) -> None:
    control, proxy = proxied()
    scene = recorded("--log-level=debug", control=control)
    before = scene.daemon.wait_fresh()
    proxy.harm = lambda: Handshake(change)
    proxy.cut()
    ends = wait_for(
        lambda: (lines := scene.daemon.events("session_ended", reason="error"))[2:] and lines,
        30.0,
        "three attempts",
    )
    assert all(end["stage"] == "handshake" and said in end["detail"] for end in ends)
    for step, end in enumerate(ends[:3]):
        assert end["next_attempt_s"] <= 0.5 * 2**step * 1.5, "the pace of failed attempts"
        assert end["next_attempt_s"] >= 0.5 * 2**step * 0.5
    proxy.harm = Harm
    after = scene.wait_back(before)
    assert ended_counts(after).keys() == {"closed", "error"}
    node_file = json.loads(next(scene.daemon.state_dir.glob("*/node.json")).read_text())
    secrets = [word for word in str(node_file).replace("'", " ").split() if word.startswith("privkey:")]
    assert secrets, "the file keeps private keys"
    told = scene.daemon.log_path.read_text()
    assert not any(secret.removeprefix("privkey:") in told for secret in secrets)


def test_f08_another_server_key_is_an_alarm_and_heals_by_itself(recorded: Scenes) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    scene.control.fault("identity/server-key-changed")
    scene.control.server.drop_all()
    alarmed = scene.daemon.wait_status(
        lambda status: "control_key_changed" in [one["code"] for one in status["degraded"]],
        what="the alarm",
    )
    assert alarmed["netmap"]["state"] == "stale"
    assert alarmed["netmap"]["peers"] == before["netmap"]["peers"]
    assert alarmed["connection"]["next_attempt_s"] > 50.0, "one try a minute: only a person can mend it"
    scene.control.heal()
    # Nobody wants to wait for that minute.
    scene.reconnect()
    after = scene.wait_back(before)
    assert after["degraded"] == []


@pytest.mark.xdist_group("waits")
def test_f09_empty_records_are_silence_and_cost_little(recorded: Scenes) -> None:
    limit = 4.0
    scene = recorded(silence=limit)
    before = scene.daemon.wait_fresh()
    pid = before["connection"]["pid"]
    watch = Stopwatch()
    cost, since = processor_seconds(pid), boottime()
    # As many as are still allowed.
    scene.control.fault("liveness/empty-records", period=0.02)
    spent = wait_for(
        lambda: boottime() - since > limit - 1.0 and processor_seconds(pid) - cost, limit, "some seconds"
    )
    assert spent <= 0.5 * (limit - 1.0), spent
    line = scene.daemon.wait_event("silence_detected", limit + 5.0)
    assert limit <= line["silent_for"] <= limit + watch.allowed(1.0)
    scene.control.heal()
    after = scene.wait_back(before)
    assert ended_counts(after) == {"silence": 1}


def test_f09_a_flood_of_empty_records_is_cut(recorded: Scenes) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()

    def flood() -> None:
        scene.control.fault("liveness/empty-records")
        scene.control.server.call(send_empty_records)

    line, took = ended_after(scene.daemon, flood)
    assert took <= CAUGHT, took
    assert line["reason"] == "error"
    assert "empty records" in line["detail"]
    after = scene.wait_back(before)
    assert ended_counts(after) == {"error": 1}


# --- HTTP/2 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "said"),
    [("ping", "control frames"), ("settings", "control frames"), ("empty_data", "empty DATA frames")],
)
def test_f15_a_flood_from_a_server_that_reads_nothing_is_cut(
    frame: str, said: str, proxied: Callable[[], tuple[Control, WireProxy]], recorded: Scenes
) -> None:
    control, proxy = proxied()
    scene = recorded(control=control, direct=False)
    before = scene.daemon.wait_fresh()
    with PeakMemory(before["connection"]["pid"]) as memory:
        proxy.deaf = True
        line, took = ended_after(
            scene.daemon, lambda: control.fault("input/flood", frame=frame, count=1_000_000), CAUGHT + 10.0
        )
    assert took <= CAUGHT, took
    assert line["reason"] == "error"
    assert said in line["detail"]
    assert 0 < memory.peak <= MEMORY
    proxy.deaf = False
    control.heal()
    after = scene.wait_back(before)
    assert ended_counts(after) == {"error": 1}


HEADERS, CONTINUATION, END_HEADERS = 1, 9, 4


def continuations() -> bytes:
    block = hpack.Encoder().encode([(":status", "200"), ("x", "y" * 1000)])
    return http2_frame(HEADERS, block, stream_id=1) + http2_frame(CONTINUATION, b"", stream_id=1) * 65


def header_bomb() -> bytes:
    """A megabyte of headers in a few kilobytes: one long value, then its index again and again."""
    encoder = hpack.Encoder()
    block = encoder.encode([(":status", "200"), ("x", "y" * 4000)])
    again = encoder.encode([("x", "y" * 4000)])
    assert len(again) == 1
    return http2_frame(HEADERS, block + again * 260, stream_id=1, flags=END_HEADERS)


def informational() -> bytes:
    one = http2_frame(HEADERS, hpack.Encoder().encode([(":status", "103")]), stream_id=1, flags=END_HEADERS)
    return one * 10_000


def send_frames(it: Commands, frames: bytes) -> None:
    live_connection(it).link.send_plain(frames)
    it._server.changed()


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (continuations, "continuation frames"),
        (header_bomb, "Oversized header block"),
        (informational, "control frames"),
    ],
)
def test_f16_header_floods_are_an_error_that_backs_off(
    block: Callable[[], bytes], said: str, recorded: Scenes
) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    scene.control.fault("liveness/headers-never")
    scene.control.server.drop_all()
    scene.daemon.wait_status(
        lambda status: (
            status["connection"]["generation"] > before["connection"]["generation"]
            and status["connection"]["state"] == "map_session"
        ),
        what="a map request that is not answered",
    )
    pid = scene.daemon.actor("control_connection")["pid"]
    with PeakMemory(pid) as memory:
        line, took = ended_after(
            scene.daemon,
            lambda: scene.control.server.call(lambda it: send_frames(it, block())),
        )
    assert took <= CAUGHT, took
    assert line["reason"] == "error"
    assert said in line["detail"]
    assert 0 < memory.peak <= MEMORY
    scene.control.heal()
    scene.wait_back(before)
