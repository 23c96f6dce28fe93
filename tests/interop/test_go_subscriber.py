"""The subscriber in Go that the documentation shows follows a real daemon, also over the deaths of either end.

It shares no code with ours: what it prints is right only if docs/subscribers.md is.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from netmap_actors.wire import netmap_pb2
from tests.support.availability import unavailable
from tests.support.peers.go_tools import SUBSCRIBER, GoToolsUnavailable, build_subscriber
from tests.support.processes.daemon import Daemon, read_events
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    Line = dict[str, Any]
    Peers = dict[str, tuple[str, bool | None]]

BUILD_AND_TEST_LIMIT = 600
"""Seconds; the first of these tests compiles the example, and may have to load its modules."""
BACK_LIMIT = 30.0

needs_go = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(BUILD_AND_TEST_LIMIT)]


class RunningExample:
    """The example as a process of its own. A context manager."""

    def __init__(self, program: Path, daemon: Daemon, directory: Path) -> None:
        self._command = [program, "-runtime-dir", daemon.runtime_dir]
        self._out = directory / "example.jsonl"
        self._log = directory / "example.log"

    def __enter__(self) -> Self:
        with self._out.open("wb") as out, self._log.open("wb") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self.process.poll()
        self.process.kill()
        self.process.wait()
        if error is None:
            assert ended is None, f"the example ended with {ended}: {self._log.read_text()}"

    def lines(self) -> list[Line]:
        """What it has printed so far."""
        return list(read_events(self._out))

    def wait_line(self, predicate: Callable[[Line], object], limit: float, what: str, after: int = 0) -> Line:
        """The first line behind the `after` first ones that the predicate holds for."""

        def found() -> Line | None:
            assert self.process.poll() is None, f"the example ended: {self._log.read_text()}"
            return next((line for line in self.lines()[after:] if predicate(line)), None)

        return wait_for(found, limit, what)


def peers_of(netmap: list[Line]) -> Peers:
    return {peer["stable_id"]: (peer["name"], peer["online"]) for peer in netmap}


def netmap_at(lines: Iterable[Line], epoch: int, seq: int) -> Peers | None:
    """The peers that the lines up to this commit tell of; None if they begin later."""
    peers: Peers | None = None
    for line in lines:
        if line["epoch"] != epoch or line["seq"] > seq:
            continue
        if line["type"] == "snapshot":
            peers = peers_of(line["peers"])
        elif line["type"] == "peer_upserted":
            assert peers is not None, "a change of nothing"
            peers |= peers_of([line["peer"]])
        elif line["type"] == "peer_removed":
            assert peers is not None, "a change of nothing"
            del peers[line["stable_id"]]
    return peers


def state_of(lines: Iterable[Line]) -> str:
    return [line["state"] for line in lines if "state" in line][-1]


def wait_agreement(daemon: Daemon, example: RunningExample, *, other_than: int = 0) -> int:
    """Wait until the daemon's own command and the example show one fresh netmap of an epoch other than this one.

    Returns the epoch. The tailnet must be changing: the next change shows that the example has all up to there.
    """

    def agreed() -> int | None:
        shown = daemon.command("netmap", "--json")
        if not shown.stdout:
            return None  # Nobody there, at the moment.
        netmap = json.loads(shown.stdout)
        epoch, seq = netmap["epoch"], netmap["seq"]
        if epoch == other_than or netmap["state"] != "fresh":
            return None
        example.wait_line(
            lambda line: line["epoch"] == epoch and line["seq"] >= seq, BACK_LIMIT, f"{seq} of {epoch}"
        )
        printed = netmap_at(example.lines(), epoch, seq)
        if printed is None:
            return None  # Its snapshot is of a later commit.
        assert printed == peers_of(netmap["peers"])
        return epoch if state_of(example.lines()) == "fresh" else None

    return wait_for(agreed, BACK_LIMIT, "the same netmap in Go and in Python")


@pytest.fixture(scope="session")
def example_program() -> Path:
    try:
        return build_subscriber()
    except GoToolsUnavailable as error:
        unavailable(str(error))


@pytest.fixture
def follow(example_program: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[Daemon, RunningExample]]]:
    """`follow(*options)` starts a daemon, and the example before the daemon has even made its sockets."""
    with ExitStack() as running:

        def start(*options: str) -> tuple[Daemon, RunningExample]:
            daemon = running.enter_context(Daemon(*options))
            return daemon, running.enter_context(RunningExample(example_program, daemon, tmp_path))

        yield start


class TestTheExample:
    pytestmark = needs_go

    def test_its_replica_dates_what_it_reads_by_when_it_was_said(self) -> None:
        """Its own tests, in Go, without a daemon."""
        go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
        assert go is not None
        told = subprocess.run(
            [go, "test", "-v", "."], cwd=SUBSCRIBER, capture_output=True, text=True, timeout=300, check=False
        )
        assert told.returncode == 0, told.stdout + told.stderr
        assert told.stdout.count("--- PASS") >= 5

    def test_it_shows_a_changing_tailnet_as_the_daemon_does(
        self, follow: Callable[..., tuple[Daemon, RunningExample]]
    ) -> None:
        daemon, example = follow("--dev-nodes=20", "--dev-churn=20")
        for kind in ("peer_upserted", "peer_removed"):
            example.wait_line(lambda line, kind=kind: line["type"] == kind, 60.0, f"a {kind}")
        wait_agreement(daemon, example)
        snapshots = [line for line in example.lines() if line["type"] == "snapshot"]
        assert len(snapshots) == 1, "it followed the changes, and did not ask for everything again"

    def test_a_tailnet_that_does_not_change_needs_its_snapshot_only(
        self, follow: Callable[..., tuple[Daemon, RunningExample]]
    ) -> None:
        daemon, example = follow("--dev-nodes=700", "--dev-churn=0")
        daemon.wait_fresh()
        snapshot = example.wait_line(
            lambda line: line["type"] == "snapshot" and len(line["peers"]) == 700, BACK_LIMIT, "700 peers"
        )
        netmap = json.loads(daemon.command("netmap", "--json").stdout)
        assert peers_of(snapshot["peers"]) == peers_of(netmap["peers"])
        assert snapshot["epoch"] == netmap["epoch"]

    def test_after_a_kill_of_the_publisher_it_shows_the_netmap_of_the_next_one(
        self, follow: Callable[..., tuple[Daemon, RunningExample]]
    ) -> None:
        daemon, example = follow("--dev-nodes=20", "--dev-churn=20")
        before = wait_agreement(daemon, example)
        daemon.signal_actor("publisher", signal.SIGKILL)
        wait_agreement(daemon, example, other_than=before)

    def test_a_publisher_that_says_nothing_makes_it_stale_and_the_next_one_fresh(
        self, follow: Callable[..., tuple[Daemon, RunningExample]]
    ) -> None:
        daemon, example = follow("--dev-nodes=20", "--dev-churn=20")
        before = wait_agreement(daemon, example)
        seen = len(example.lines())
        daemon.signal_actor("publisher", signal.SIGSTOP)
        stale = example.wait_line(lambda line: line.get("state") == "stale", 12.0, "stale by silence", seen)
        assert stale["epoch"] == before
        wait_agreement(daemon, example, other_than=before)

    def test_it_outlives_the_daemon_and_follows_the_next_one(
        self, follow: Callable[..., tuple[Daemon, RunningExample]]
    ) -> None:
        daemon, example = follow("--dev-nodes=20", "--dev-churn=20")
        before = wait_agreement(daemon, example)
        seen = len(example.lines())
        assert daemon.terminate() == 0
        example.wait_line(lambda line: line.get("state") == "stale", 12.0, "stale without a daemon", seen)
        daemon.start()
        wait_agreement(daemon, example, other_than=before)

    def test_what_was_dropped_while_it_stood_still_is_made_good(
        self, follow: Callable[..., tuple[Daemon, RunningExample]]
    ) -> None:
        """ZeroMQ keeps 2 000 updates for it, the kernel some hundred more; the rest is lost to it."""
        daemon, example = follow("--dev-nodes=200", "--dev-churn=500")
        before = wait_agreement(daemon, example)
        stopped_at = max(line["seq"] for line in example.lines())
        example.process.send_signal(signal.SIGSTOP)
        with contextlib.ExitStack() as afterwards:
            afterwards.callback(example.process.send_signal, signal.SIGCONT)
            daemon.wait_status(
                lambda status: status["netmap"]["seq"] > stopped_at + 8000, 120.0, "8 000 updates"
            )
        assert wait_agreement(daemon, example) == before


ESCAPE = re.compile(rb"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")


def bytes_of_go_string(literal: bytes) -> bytes:
    r"""The value of a quoted string of Go: `\x` is one byte there, `\u` a character, and the file is UTF-8."""

    def value(found: re.Match[bytes]) -> bytes:
        escape = found.group().decode()
        return ast.literal_eval(f"'{escape}'").encode("latin-1" if escape[1] == "x" else "utf-8")

    return ESCAPE.sub(value, literal[1:-1])


def test_the_generated_go_code_is_of_the_schema_that_the_daemon_speaks() -> None:
    """Needs neither Go nor protoc: the code of both languages carries the schema it was made from."""
    text = (SUBSCRIBER / "netmappb" / "netmap.pb.go").read_bytes()
    carried = re.search(rb'(?m)^const \w+_rawDesc = ""((?: \+\n\t".*")+)\n', text)
    assert carried is not None
    literals = [line.removesuffix(b" +").strip() for line in carried.group(1).split(b"\n")[1:]]
    in_go = FileDescriptorProto.FromString(b"".join(map(bytes_of_go_string, literals)))
    in_python = FileDescriptorProto.FromString(netmap_pb2.DESCRIPTOR.serialized_pb)
    for schema in (in_go, in_python):
        for message in schema.message_type:
            forget_json_names(message)
    assert in_go == in_python, "netmap.pb.go is not current: the first lines of main.go say how to make it"


def forget_json_names(message: DescriptorProto) -> None:
    """They follow from the names, and only the plugin for Go writes them down."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        forget_json_names(nested)
