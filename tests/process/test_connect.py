"""`--connect`: a daemon elsewhere is followed with the keys it wants, and it is said why one does not answer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from netmap_actors.curve_keys import generate, write_secret
from netmap_supervisor.cli import main
from netmap_supervisor.cli.process.reachability import Reachability, why_unreachable
from tests.process.test_remote_subscribers import remote_publisher
from tests.support.host.free_ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 60.0


def test_a_daemon_elsewhere_is_read_waited_for_and_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = generate()
    write_secret(tmp_path / "mine.key_secret", pair)
    (tmp_path / "server").mkdir(mode=0o700)
    with remote_publisher(tmp_path / "server") as remote:
        flags = [f"--connect={remote.listen}", f"--key-file={tmp_path / 'mine.key_secret'}"]
        keyed = [*flags, f"--server-key={remote.server_key}"]
        # Nobody has let this key in yet.
        assert main(["wait", "--timeout=0.5s", *keyed]) == 124
        said = capsys.readouterr().err
        assert "does not let us in" in said
        assert "keys allow" in said
        remote.allowed.allow("laptop", pair.public)
        assert main(["wait", "--timeout=1m", *keyed]) == 0
        assert main(["netmap", "--sort=-name", *keyed]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
            "NAME", "self", "node3", "node2",
        ]  # fmt: skip
        command = [sys.executable, "-P", "-m", "netmap_supervisor", "watch"]
        with subprocess.Popen([*command, "--json", "--match=node3", *keyed], stdout=subprocess.PIPE) as watch:
            assert watch.stdout is not None
            first = json.loads(watch.stdout.readline())
            remote.publisher.map_response({"PeersChangedPatch": [{"NodeID": 2, "Online": False}]})
            remote.publisher.map_response({"PeersChangedPatch": [{"NodeID": 3, "Online": False}]})
            second = json.loads(watch.stdout.readline())
            watch.kill()
        assert [one["stable_id"] for one in first["netmap"]["peers"]] == ["n3"]
        assert second["peer"]["stable_id"] == "n3"
        with subprocess.Popen([*command, *keyed], stdout=subprocess.PIPE) as watch:
            assert watch.stdout is not None
            assert b"2 peers, 0 online (fresh" in watch.stdout.readline()
            watch.kill()


def test_a_daemon_that_is_not_there_is_said_to_be_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    nobody = f"tcp://127.0.0.1:{free_port()}"
    assert main(["netmap", f"--connect={nobody}"]) == 1
    assert (
        f"nobody listens at {nobody.removeprefix('tcp://')}; the daemon over there" in capsys.readouterr().err
    )


def test_somebody_who_does_not_answer_is_told_from_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port(2)
    with socket.create_server(("127.0.0.1", port)):
        there = f"tcp://127.0.0.1:{port}"
        assert why_unreachable([there]) is None
        assert main(["wait", "--timeout=0s", f"--connect={there}"]) == 124
        # The port after it is needed as well.
        assert f"nobody listens at 127.0.0.1:{port + 1}" in capsys.readouterr().err
        looked = Reachability([there])
        assert looked.why(lambda: "it wants keys", patience=LIMIT) == "it wants keys"


def test_a_shell_that_completes_names_of_a_daemon_elsewhere_does_not_wait_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        for endpoint in (f"tcp://127.0.0.1:{free_port()}", there, "tcp://127.0.0.1:x", "ipc:///nowhere"):
            words = f"netmap-supervisor netmap --connect {endpoint} no"
            told = subprocess.run(
                [sys.executable, "-P", "-m", "netmap_supervisor"],
                env=os.environ
                | {"_NETMAP_SUPERVISOR_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "4"},
                capture_output=True,
                timeout=LIMIT,
                check=False,
            )
            assert (told.stdout + told.stderr).strip() == b"", endpoint
