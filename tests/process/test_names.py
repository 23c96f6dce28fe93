"""Who is meant by a word, the same for every command and page: real processes, and strangers in the tailnet."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.host.free_ports import free_address
from tests.support.processes.daemon import PROGRAM, clean_environment
from tests.support.processes.http_process import running_http
from tests.support.processes.publisher_process import running_publisher
from tests.support.waiting import wait_for
from tests.unit.subscriber.test_who_is_meant import ours, tailnet, theirs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes.publisher_process import PublisherProcess

LIMIT = 20.0
PEERS = (
    theirs(12, "nas"),
    ours(11, "nas", Online=False, LastSeen="2026-01-02T03:04:05Z"),
    theirs(13, "gitlab"),
    ours(21, "twin"),
    ours(22, "twin"),
    ours(31, "web-1"),
    ours(32, "shut", IsJailed=True, Online=None),
    ours(33, "exit", IsWireGuardOnly=True),
)


@pytest.fixture(scope="module")
def publisher() -> Iterator[PublisherProcess]:
    """A publisher in a directory that looks to commands as if a daemon held it."""
    with running_publisher() as running:
        lock = os.open(running.runtime_dir / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        running.new_session(tailnet(*PEERS))
        yield running
        os.close(lock)


@pytest.fixture(scope="module")
def endpoint(publisher) -> Iterator[Any]:
    with running_http(publisher, free_address()) as endpoint:
        endpoint.fresh()
        yield endpoint


def run(publisher: PublisherProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words, f"--runtime-dir={publisher.runtime_dir}"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env=clean_environment(publisher.runtime_dir),
    )


class Lines:
    """What a stream has said so far, line by line."""

    def __init__(self, stream: Any) -> None:
        self.lines: list[str] = []
        self._stream = stream
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self.lines.append(line.decode())

    def events(self) -> list[dict[str, Any]]:
        """The JSON objects in it, of `watch --json` or behind "data: "."""
        texts = (line.removeprefix("data: ") for line in self.lines)
        return [json.loads(text) for text in texts if text.startswith("{")]

    def told(self) -> list[tuple[str, str, str]]:
        """(kind, stable id, name) of each change."""
        return [
            (event["type"], *(event.get("peer", event)[key] for key in ("stable_id", "name")))
            for event in self.events()
            if event["type"].startswith("peer_")
        ]


@contextlib.contextmanager
def watching(publisher: PublisherProcess, *words: str) -> Iterator[Lines]:
    process = subprocess.Popen(
        [*PROGRAM, "watch", "--json", *words, f"--runtime-dir={publisher.runtime_dir}"],
        stdout=subprocess.PIPE,
        env=clean_environment(publisher.runtime_dir),
    )
    lines = Lines(process.stdout)
    try:
        wait_for(lines.events, LIMIT, "a snapshot")
        yield lines
    finally:
        process.terminate()
        process.wait(LIMIT)
        lines.thread.join(LIMIT)


@contextlib.contextmanager
def following(endpoint: Any, query: str) -> Iterator[Lines]:
    client = endpoint.connection()
    client.request("GET", f"/events?{query}")
    response = client.getresponse()
    assert response.status == 200
    lines = Lines(response)
    wait_for(lines.events, LIMIT, "a snapshot")
    yield lines
    client.sock.shutdown(socket.SHUT_RDWR)  # the reader sees the end of the stream, and not a closed file
    lines.thread.join(LIMIT)
    client.close()


# One word, one node


def test_every_command_and_page_means_our_own_node_by_a_short_name(publisher, endpoint) -> None:
    shown = json.loads(run(publisher, "netmap", "nas", "--json").stdout)
    page = json.loads(endpoint.get("/netmap?peer=nas")[2])["peer"]
    assert (shown["stable_id"], page["stable_id"]) == ("n11", "n11")
    assert run(publisher, "wait", "--for=peer:nas=offline", "--timeout=10s").returncode == 0
    for word in ("gitlab", "gitlab."):
        refused = run(publisher, "netmap", word)
        assert refused.returncode == 1
        assert "gitlab.stranger.example" in refused.stderr
        assert endpoint.get(f"/netmap?peer={word}")[0] == 404
    assert run(publisher, "wait", "--for=peer:gitlab=absent", "--timeout=10s").returncode == 0


def test_every_command_and_page_lists_the_nodes_of_an_ambiguous_name(publisher, endpoint) -> None:
    words = (
        ["netmap", "twin"],
        ["wait", "--for=peer:twin=online"],
        ["watch", "--json", "--peer=twin"],
        ["watch", "--peer=web-1", "--peer=twin"],
    )
    for command in words:
        refused = run(publisher, *command)
        assert refused.returncode == 1, command
        assert all(one in refused.stderr for one in ("n21", "n22", "twin.own-tailnet.example", "100.70.0.21"))
    for page in ("/netmap?peer=twin", "/events?peer=twin"):
        status, _, body = endpoint.get(page)
        assert status == 409, page
        assert all(one in body.decode() for one in ("n21", "n22"))


@pytest.mark.parametrize(
    "word", ["obs", "OBS.own-tailnet.example.", "fd7a:115c:a1e0:0::1", f"nodekey:{1:064x}"]
)
def test_every_command_and_page_finds_our_own_node(publisher, endpoint, word: str) -> None:
    assert json.loads(run(publisher, "netmap", word, "--json").stdout)["stable_id"] == "n1"
    assert endpoint.get(f"/netmap?peer={word}")[0] == 200
    assert run(publisher, "wait", f"--for=peer:{word}=present", "--timeout=10s").returncode == 0


# What is followed


def test_nobody_is_followed_by_an_empty_word(publisher, endpoint) -> None:
    status, _, body = endpoint.get("/events?peer=web-1&peer=")
    assert (status, b"cannot use peer without a value" in body) == (400, True)
    done = run(publisher, "watch", "--peer", "web-1", "--peer", "")
    assert done.returncode == 2
    assert "a name, an address, a stable id or a node key is expected" in done.stderr


def act(publisher: PublisherProcess, *messages: dict[str, Any]) -> None:
    for message in messages:
        publisher.map_response(message)


@pytest.mark.parametrize("word", ["web-1", "web-1.own-tailnet.example"])
def test_a_node_is_followed_through_its_rename_and_who_has_the_name_then(publisher, endpoint, word) -> None:
    expected = [
        ("peer_upserted", "n31", "old-1.own-tailnet.example"),
        ("peer_upserted", "n31", "old-1.own-tailnet.example"),
        ("peer_upserted", "n34", "web-1.own-tailnet.example"),
        ("peer_removed", "n34", "web-1.own-tailnet.example"),
        ("peer_upserted", "n31", "web-1.own-tailnet.example"),
    ]
    with watching(publisher, f"--peer={word}") as watch, following(endpoint, f"peer={word}") as page:
        act(
            publisher,
            {"PeersChanged": [ours(31, "old-1"), theirs(35, "web-1")]},
            {"PeersChangedPatch": [{"NodeID": 31, "Cap": 99}, {"NodeID": 11, "Cap": 99}]},
            {"PeersChanged": [ours(34, "web-1")]},
            {"PeersChangedPatch": [{"NodeID": 31, "Cap": 100}]},
            {"PeersRemoved": [34, 35]},
            {"PeersChanged": [ours(31, "web-1")]},
        )
        for lines in (watch, page):
            wait_for(lambda lines=lines: len(lines.told()) >= len(expected), LIMIT, "every change")
            assert lines.told() == expected


def test_a_stream_of_a_name_that_turns_out_to_be_two_nodes_ends_with_a_word_about_it() -> None:
    with running_publisher() as publisher, running_http(publisher, free_address()) as endpoint:
        client = endpoint.connection()
        client.request("GET", "/events?peer=twin")
        response = client.getresponse()
        assert response.status == 200, "nobody knows yet"
        publisher.new_session(tailnet(*PEERS))
        text = response.read().decode()
        client.close()
        assert "event: error\n" in text
        assert "n21" in text
        assert "n22" in text
        assert "event: snapshot" not in text
        assert endpoint.get("/events?peer=twin")[0] == 409


# What a time-out says


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("peer:nas=online", "nas.own-tailnet.example is offline, last seen 2026-01-02T03:04:05Z"),
        ("peer:web-3=online", "'web-3': no node"),
        ("peer:gitlab=present", "gitlab.stranger.example"),
        ("peer:shut=online", "shut.own-tailnet.example is of unknown state"),
        ("peer:exit=absent", "exit.own-tailnet.example is online"),
    ],
)
def test_a_wait_that_times_out_says_how_the_node_is(publisher, condition: str, said: str) -> None:
    done = run(publisher, "wait", f"--for={condition}", "--timeout=500ms")
    assert done.returncode == 124
    assert said in done.stderr
    assert condition in done.stderr


# What kind of node it is


def test_tables_mark_shared_in_jailed_and_wireguard_only_nodes(publisher) -> None:
    rows = run(publisher, "netmap").stdout.splitlines()
    marks = {
        stable_id: [
            mark
            for mark in ("shared-in", "jailed", "wireguard-only")
            if any(row.endswith(stable_id) and mark in row for row in rows)
        ]
        for stable_id in ("n11", "n12", "n32", "n33")
    }
    assert marks == {"n11": [], "n12": ["shared-in"], "n32": ["jailed"], "n33": ["wireguard-only"]}
    assert [row.split()[0] for row in rows if row.endswith(("n11", "n12"))] == ["nas", "nas.stranger.example"]
