"""A field problem becomes a test case: what one daemon was sent is recorded, and played to another one."""

from __future__ import annotations

import contextlib
import math
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from netmap_actors.clock import SystemClock
from netmap_actors.errors import ConfigurationError
from netmap_actors.recording import files
from netmap_actors.rfc3339 import stamp
from netmap_supervisor import Subscriber
from netmap_supervisor.testing.server import dev_control_server
from tests.support.host.free_ports import free_port
from tests.support.netmaps.netmap_replica import Replica
from tests.support.netmaps.recorded_netmap import netmap_of
from tests.support.processes.daemon import PROGRAM
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from netmap_actors.recording.format import RecordedSession, Recording
    from netmap_supervisor import Netmap
    from netmap_supervisor.testing.server import DevControl
    from tests.support.processes.daemon import Daemon

LIMIT = 30.0
KEEP_ALIVE = b'{"KeepAlive":true}'
SECRET = "xk7-vault"
AUTH_KEY = "devkey-auth-0123456789abcdef"


@contextlib.contextmanager
def recording(daemon: Daemon, path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`record`, ended with Ctrl-C on leaving."""
    command = [*PROGRAM, "record", str(path), f"--runtime-dir={daemon.runtime_dir}", *options]
    recorder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert recorder.stderr is not None
        assert "waiting for a session" in recorder.stderr.readline()
        yield recorder
        if recorder.poll() is None:
            recorder.send_signal(signal.SIGINT)
        recorder.wait(LIMIT)
        if recorder.returncode == 0:
            assert f"dev-control --replay {path}" in recorder.stderr.read()
    finally:
        recorder.kill()
        recorder.communicate()


def netmaps(messages: Iterable[tuple[bytes, bool]]) -> list[Netmap]:
    """What a subscriber holds after each MapResponse; with each, whether it begins a session."""
    replica, found = Replica(), []
    for message, first in messages:
        if message != KEEP_ALIVE:
            replica.apply(message, first=first, now_text=stamp(SystemClock().wall()))
        found.append(netmap_of(replica))
    return found


def steps(recording: Recording) -> list[tuple[bytes, bool]]:
    return [
        (bytes(document.json), number == 0)
        for session in recording.sessions
        for number, document in enumerate(session.documents)
    ]


def sessions(sent: list[bytes]) -> list[list[tuple[bytes, bool]]]:
    """What a server sent, by session."""
    found: list[list[tuple[bytes, bool]]] = []
    for json in sent:
        if first := json.startswith(b'{"Node"') and b'"Peers"' in json:
            found.append([])
        if found:
            found[-1].append((json, first))
    return found


def peers(netmap: Netmap) -> dict[str, Any]:
    return {stable_id: peer.to_json() for stable_id, peer in netmap.peers.items()}


def outline(netmap: Netmap) -> list[str]:
    """What pseudonyms leave as it is."""
    kept = ("os", "online", "expired", "home_derp", "cap", "created", "last_seen")
    return sorted(
        str([[peer.get(name) for name in kept], len(peer["tags"]), len(peer["endpoints"])])
        for peer in peers(netmap).values()
    )


def live_through(server: DevControl) -> None:
    """What happens to the first daemon: churn, an edit, a connection that is lost, an end in good order."""
    for _ in range(12):
        server.tailnet.churn()
    server.tailnet.rename(next(node.id for node in server.nodes() if not node.registered), SECRET)
    server.tailnet.set_tags(SECRET, ["tag:classified"])
    server.drop_all()
    wait_for(lambda: len(server.seen("map")) >= 3, LIMIT, "a third session")
    server.wait_for_map()
    for online in (False, True):
        server.tailnet.set_online(SECRET, online)
    server.tailnet.remove_node(SECRET)


def test_a_second_daemon_lives_through_what_the_first_one_did(
    tmp_path: Path, daemon: Callable[..., Daemon]
) -> None:
    sent: list[bytes] = []
    one, two = tmp_path / "one.jsonl.zst", tmp_path / "two.jsonl"
    key = tmp_path / "key"
    key.write_text(AUTH_KEY)
    key.chmod(0o600)
    with dev_control_server(nodes=6, batch_delay=0.0, keep_alive=0.3, auth_key=AUTH_KEY) as server:
        first = daemon(f"--control-url={server.url}", f"--auth-key=file:{key}")
        first.wait_fresh()
        server.call(lambda it: setattr(it._control, "on_message", lambda _, json: sent.append(json)))
        with recording(first, one, "--reconnect", "--sessions=2") as recorder:
            wait_for(lambda: len(server.seen("map")) >= 2, LIMIT, "the session of the recording")
            server.wait_for_map()
            live_through(server)
            wait_for(lambda: sent[-1] == KEEP_ALIVE, LIMIT, "a keep-alive")
            server.drop_all(reset=False)
            assert recorder.wait(LIMIT) == 0
    recorded = files.read(one)
    assert (one.stat().st_mode & 0o777, recorded.cut, len(recorded.sessions)) == (0o600, "", 2)
    assert all(session.end is not None for session in recorded.sessions)
    messages = steps(recorded)
    text = b"".join(json for json, _ in messages)
    for original in (SECRET.encode(), b"classified", b"dev.netmap.example", AUTH_KEY.encode()):
        assert original not in text
    assert KEEP_ALIVE in [json for json, _ in messages]
    expected = netmaps(messages)
    originals = netmaps(
        message
        for session, came in zip(sessions(sent), recorded.sessions, strict=False)
        for message in session[: len(came.documents)]
    )
    assert [outline(one) for one in expected] == [outline(one) for one in originals]

    port = free_port()
    second = daemon(f"--control-url=http://127.0.0.1:{port}", f"--auth-key=file:{key}")
    with Subscriber(second.runtime_dir) as subscriber:
        assert subscriber.wait_for(lambda seen: seen.epoch != 0, LIMIT)
        held: list[dict[str, Any]] = []
        subscriber.on("*", lambda _: held.append(peers(subscriber.store.snapshot().netmap)))
        with (
            recording(second, two, "--sessions=2") as recorder,
            dev_control_server(port=port, replay=str(one), replay_pace=math.inf, auth_key=AUTH_KEY),
        ):
            wait_for(
                lambda: subscriber.next_event(0.1) is None and recorder.poll() is not None, LIMIT, "the end"
            )
            last = peers(expected[-1])
            assert subscriber.wait_for(lambda now: now.state == "fresh" and peers(now.netmap) == last, LIMIT)
    replayed = files.read(two)
    assert [len(one.documents) for one in replayed.sessions] == [
        len(one.documents) for one in recorded.sessions
    ]
    assert [outline(one) for one in netmaps(steps(replayed))] == [outline(one) for one in expected]
    assert len({str(one) for one in held}) > 3
    # Every netmap that was shown is one of the first one's, in their order.
    shown = iter(peers(one) for one in expected)
    for number, one_held in enumerate(held):
        if one_held and one_held not in held[:number]:
            assert one_held in shown


def test_a_recording_survives_the_publisher_and_the_daemon_its_recorder(
    tmp_path: Path, daemon: Callable[..., Daemon]
) -> None:
    path = tmp_path / "a.jsonl.gz"
    running = daemon("--dev-churn=20")
    before = running.wait_fresh()
    recorder: subprocess.Popen[str]
    with recording(running, path, "--reconnect") as recorder:
        wait_for(lambda: path.exists() and messages_in(path) > 3, LIMIT, "some messages")
        running.command("fault", "kill", "publisher", check=True)
        wait_for(lambda: len(sessions_of(path)) == 2, LIMIT, "the next session")
        # Whatever it was doing: what is on the disk can be read.
        recorder.kill()
        recorder.wait(LIMIT)
    first, second = sessions_of(path)
    assert first.end is not None
    assert (first.end.reason, first.end.detail) == ("unknown", "the publisher ended")
    assert second.documents
    after = running.wait_fresh()
    restarts = {row["name"]: row["restarts"] for row in after["actors"]}
    assert before["pid"] == after["pid"]
    assert restarts["publisher"] == 1


def test_a_recorder_that_comes_too_late_says_so_and_may_have_a_session_begin(
    tmp_path: Path, daemon: Callable[..., Daemon]
) -> None:
    paths = tmp_path / "waits.jsonl", tmp_path / "begins.jsonl"
    running = daemon()
    running.wait_fresh()
    with recording(running, paths[0]) as waits, recording(running, paths[1], "--reconnect") as begins:
        wait_for(lambda: all(map(sessions_of, paths)), LIMIT, "their first session")
        running.wait_event("map_session_started", generation=2)
        for one in (waits, begins):
            one.send_signal(signal.SIGSTOP)
        running.command("fault", "kill", "publisher", check=True)
        # Its netmap is sent to a publisher that nobody records.
        running.wait_event("map_session_started", generation=2, session=2)
        running.wait_fresh()
        waits.send_signal(signal.SIGCONT)
        assert waits.stderr is not None
        told = waits.stderr.readline()
        while "is not recorded: " not in told:
            told = waits.stderr.readline()
        assert len(sessions_of(paths[0])) == 1
        begins.send_signal(signal.SIGCONT)
        wait_for(lambda: [len(sessions_of(one)) for one in paths] == [2, 2], LIMIT, "their next session")
    assert [files.read(one).missed for one in paths] == [1, 1]


def test_who_may_not_or_cannot_record_is_told_why(tmp_path: Path, daemon: Callable[..., Daemon]) -> None:
    path = tmp_path / "a.jsonl"
    running = daemon()
    running.wait_fresh()
    assert (running.runtime_dir / "recording.sock").stat().st_mode & 0o777 == 0o600
    path.write_text("mine")
    again = running.command("record", str(path))
    assert (again.returncode, path.read_text()) == (1, "mine")
    assert "it is there already" in again.stderr
    running.terminate()
    assert not (running.runtime_dir / "recording.sock").exists()
    none = running.command("record", str(tmp_path / "b.jsonl"))
    assert none.returncode == 1
    assert "none is running" in none.stderr
    assert not (tmp_path / "b.jsonl").exists()


def sessions_of(path: Path) -> list[RecordedSession]:
    try:
        return files.read(path).sessions
    except ConfigurationError:
        return []  # none has begun


def messages_in(path: Path) -> int:
    return sum(len(session.documents) for session in sessions_of(path))
