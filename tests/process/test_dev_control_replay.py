"""`dev-control --replay` as a process, and a recording as an option of a test's server."""

from __future__ import annotations

import math
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.protocol.map_framing import MapFrameReader
from netmap_actors.recording.format import (
    RecordedEnd,
    began_line,
    document_line,
    end_line,
    header_line,
    missed_line,
)
from netmap_supervisor.testing import dev_control_server
from tests.support.clients.control_client import ControlClient, Node
from tests.support.processes.daemon import PROGRAM
from tests.support.processes.dev_server import running_dev_server

if TYPE_CHECKING:
    from pathlib import Path

HEADER = header_line("x", 130, {}, "")
FIRST: dict[str, Any] = {
    "Node": {"ID": 7, "StableID": "7", "Name": "me.example.", "Key": "nodekey:0", "Machine": "mkey:0"},
    "Peers": [{"ID": 8, "StableID": "8", "Name": "a.example.", "Key": "nodekey:8"}],
    "Unheard": {"Of": 1},
}


def session(*later: dict[str, Any], end: str = "closed", apart: float = 1.0) -> list[bytes]:
    lines = [began_line(1, 1, "")]
    lines += [document_line(apart * number, one, 1) for number, one in enumerate([FIRST, *later])]
    return [*lines, *([end_line(apart * len(lines), RecordedEnd(end))] if end else [])]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """An hour between two messages."""
    path = tmp_path / "a.jsonl"
    removed = {"PeersRemoved": [8], "PeersChanged": [{"ID": 9, "StableID": "9", "Name": "b.example."}]}
    lines = [*session(removed, {"KeepAlive": True}, apart=3600), *session(end="")]
    path.write_bytes(HEADER + b"".join(lines))
    return path


def client_of(url: str, auth_key: str, name: str = "client") -> ControlClient:
    client = ControlClient(url, Node(name))
    client.register(auth_key)
    return client


def test_any_client_gets_the_sessions_as_they_were_with_its_own_keys(recording: Path) -> None:
    with dev_control_server(replay=str(recording), replay_pace=math.inf) as server:
        client = client_of(server.url, server.auth_key)
        key = server.nodes()[0].key
        stream = client.map()
        first = client.message(stream, 0)
        assert first["Node"]["Key"] == key
        assert first["Node"]["Machine"] != FIRST["Node"]["Machine"]
        assert (first["Node"]["Name"], first["Peers"]) == ("me.example.", FIRST["Peers"])
        assert first["Unheard"] == {"Of": 1}
        assert client.message(stream, 1)["PeersRemoved"] == [8]
        assert client.message(stream, 2) == {"KeepAlive": True}
        client.wait(lambda: stream.ended)
        # Asked again it begins the next one, which stays.
        again = client.map()
        assert client.message(again, 0)["Peers"] == FIRST["Peers"]
        client.close()


def test_frames_are_plain_for_a_client_that_did_not_ask_for_zstd(recording: Path) -> None:
    with dev_control_server(replay=str(recording), replay_pace=math.inf) as server:
        client = client_of(server.url, server.auth_key)
        stream = client.map(Compress="")
        client.wait(lambda: stream.ended)
        frames = MapFrameReader(compressed=False).receive(stream.body)
        assert [len(frames), frames[2]] == [3, b'{"KeepAlive":true}']
        client.close()


def test_who_comes_in_the_middle_gets_what_it_amounts_to(recording: Path) -> None:
    with dev_control_server(replay=str(recording), replay_pace=3600 / 0.3) as server:
        one = client_of(server.url, server.auth_key, "one")
        stream = one.map()
        one.message(stream, 1)
        two = client_of(server.url, server.auth_key, "two")
        late = two.message(two.map(), 0)
        assert [peer["Name"] for peer in late["Peers"]] == ["b.example."]
        assert late["Unheard"] == {"Of": 1}
        one.close()
        two.close()


def test_with_once_it_ends_when_everything_was_played(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(HEADER + b"".join([*session({"Domain": "last.example"}), missed_line(2), b'{"t":']))
    with running_dev_server(f"--replay={path}", "--pace=max", "--once") as server:
        client = client_of(server.url, server.auth_key)
        stream = client.map()
        assert client.message(stream, 1) == {"Domain": "last.example"}
        client.wait(lambda: stream.ended)
        assert server.process.wait(10) == 0
        assert server.log is not None
        told = server.log.read_text()
        assert '{"event":"replay_incomplete","detail":"line 7 is cut off"}' in told
        assert '"its recorder missed 1 session"' in told
        client.close()


def test_a_bad_file_is_a_sentence_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(HEADER + b"".join(session()) + b'{"t":9,"map_response":{}}\n')
    done = subprocess.run(
        [*PROGRAM, "dev-control", "--listen=127.0.0.1:0", f"--replay={path}"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert f"cannot play {path}: line 5: it belongs to no session" in done.stderr
    assert "Traceback" not in done.stderr
