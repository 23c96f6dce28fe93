"""The history beside what an independent subscriber and the log saw, over kills of every process and a full disk."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import netmap_supervisor
from netmap_actors.clock import SystemClock
from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.history.occurrences import Happening
from netmap_actors.history.questions import ask_daemon
from netmap_actors.rfc3339 import stamp, unix_seconds
from netmap_supervisor.admin.socket import AdminClient
from tests.support.availability import unavailable
from tests.support.processes.daemon import Daemon, role_of
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from netmap_actors.history.answers import Answer

CHURN = "[dev_control]\nnodes = 12\nchurn = 5.0\n"
SOON = 4.0
"""Seconds within which what a subscriber was told is in the history, on a busy machine."""
MARKED = 6.5
"""Seconds before its end of which a history may not know that it saw them: its heartbeats note that."""
MARGIN = 1.5
"""Seconds by which the two may have seen a thing at different times."""


def history(daemon: Daemon, *options: str) -> dict[str, Any]:
    shown = daemon.command("history", "--json", "--since=1h", *options)
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert isinstance(answer, dict)
    return answer


def at(text: str) -> float:
    moment = unix_seconds(text)
    assert moment is not None
    return moment


def told(answer: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    return [one for one in answer["occurrences"] if one["kind"] in kinds]


def in_a_gap(answer: dict[str, Any], moment: float) -> bool:
    """Nothing was seen then, or nothing of nodes: the netmap was not fresh."""
    fresh = [span for span in answer["netmap"] if span["state"] == "fresh"]
    return not any(at(span["since"]) + MARGIN < moment < at(span["until"]) - MARGIN for span in fresh)


class Watcher:
    """`watch --json` of its own, and when each line came."""

    def __init__(self, daemon: Daemon, path: Path) -> None:
        self._path = path
        # Each line is stamped as it comes.
        stamping = 'while IFS= read -r line; do printf "%s %s\\n" "$EPOCHREALTIME" "$line"; done'
        watch = daemon.spawn_command("watch", "--json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert watch.stdout is not None
        with path.open("wb") as out:
            self._stamping = subprocess.Popen(["bash", "-c", stamping], stdin=watch.stdout, stdout=out)
        watch.stdout.close()
        self._watch = watch

    def close(self) -> None:
        self._watch.terminate()
        self._watch.wait(10)
        self._stamping.wait(10)

    def lines(self) -> list[tuple[float, dict[str, Any]]]:
        pairs = (line.partition(" ") for line in self._path.read_text().splitlines())
        return [(float(when), json.loads(event)) for when, _, event in pairs if event.endswith("}")]


def changes_of_state(lines: list[tuple[float, dict[str, Any]]]) -> list[tuple[float, str, str]]:
    return [
        (when, event["peer"]["stable_id"], "node_online" if event["peer"]["online"] else "node_offline")
        for when, event in lines
        if event["type"] == "peer_upserted"
        and "online" in event["changed"]
        and event["peer"]["online"] is not None
    ]


def test_what_a_subscriber_saw_is_in_the_history_over_kills_of_every_process(tmp_path: Path) -> None:
    watch = Stopwatch()
    with Daemon(config=CHURN, history=True) as daemon:
        daemon.wait_fresh()
        watcher = Watcher(daemon, tmp_path / "watched")
        try:
            wait_for(watcher.lines, 20.0, "the watcher's snapshot")
            for actor in ("control_connection", "publisher", "history", "liveness", "dev_control"):
                before = len(changes_of_state(watcher.lines()))
                wait_for(lambda: len(changes_of_state(watcher.lines())) >= before + 3, 60.0, "some changes")  # noqa: B023
                pid = daemon.signal_actor(actor)
                daemon.wait_event("actor_exited", 20.0, actor=actor, pid=pid)
                daemon.wait_event("actor_ready", 40.0, actor=actor, generation=2)
                daemon.wait_fresh()
            before = len(changes_of_state(watcher.lines()))
            wait_for(lambda: len(changes_of_state(watcher.lines())) >= before + 3, 60.0, "some changes")
        finally:
            watcher.close()
        seen = changes_of_state(watcher.lines())
        last = seen[-1][0]
        answer = wait_for(
            lambda: (
                (found := history(daemon))["occurrences"]
                and any(at(one["at"]) >= last - MARGIN for one in told(found, "node_online", "node_offline"))
                and found
            ),
            20.0,
            "the last change in the history",
        )
        known = [
            (at(one["at"]), one["subject"], one["kind"])
            for one in told(answer, "node_online", "node_offline")
        ]
        soon = watch.allowed(SOON)
        missing = [
            change
            for change in seen
            if not in_a_gap(answer, change[0])
            and not any(
                abs(when - change[0]) < soon and (node, kind) == change[1:] for when, node, kind in known
            )
        ]
        assert missing == []
        assert len(seen) >= 15 and len(known) >= 10, "there was something to miss"
        # Nothing is there twice.
        numbers = [one["id"] for one in answer["occurrences"]]
        assert numbers == sorted(set(numbers))
        # The processes, as the log has them.
        exits = {(event["actor"], event["pid"]) for event in daemon.events("actor_exited")}
        assert {(one["subject"], one["detail"]["pid"]) for one in told(answer, "actor_exited")} == exits
        assert len(told(answer, "session_ended")) == len(daemon.events("session_ended"))
        # The history's own death is a gap that says since when, and no longer than it was away; or nothing came then.
        gaps = told(answer, "gap")
        if not gaps:
            return
        (gap,) = gaps
        exited, ready = (
            daemon.events("actor_exited", actor="history")[0],
            daemon.events("actor_ready", actor="history")[1],
        )
        assert (
            at(exited["timestamp"]) - watch.allowed(MARKED)
            <= at(gap["after"])
            <= at(exited["timestamp"]) + 0.1
        )
        assert at(gap["at"]) <= at(ready["timestamp"]) + watch.allowed(0.5)


def test_a_daemon_that_is_killed_leaves_a_gap_until_the_next_one(tmp_path: Path) -> None:
    watch = Stopwatch()
    with Daemon(config=CHURN, history=True) as daemon:
        daemon.wait_fresh()
        daemon.wait_event("actor_ready", actor="history")
        wait_for(lambda: told(history(daemon), "netmap_fresh"), 10.0, "a fresh netmap in the history")
        children = daemon.children()
        daemon.kill()
        killed = at(daemon.events()[-1]["timestamp"])
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), 10.0, "no orphan")  # noqa: PTH110
        gone = history(daemon, f"--state-dir={daemon.state_dir}")
        assert at(gone["gaps"][-1]["until"]) == at(gone["until"]), "of now nothing is known"
        daemon.start()
        daemon.wait_fresh()
        daemon.wait_event("actor_ready", after=1, actor="history")
        answer = wait_for(
            lambda: len(told(found := history(daemon), "netmap_fresh")) == 2 and found, 10.0, "fresh again"
        )
        (gap,) = told(answer, "gap")
        assert at(gap["after"]) >= killed - watch.allowed(MARKED)
        between = [one for one in answer["gaps"] if at(one["since"]) > at(answer["since"]) + 1]
        assert len(between) >= 1
        for node in answer["nodes"]:
            for span in node["spans"]:
                assert not (
                    at(span["since"]) < at(gap["after"]) - 0.01 and at(span["until"]) > at(gap["at"]) + 0.01
                )


def wait_generation(daemon: Daemon, generation: int) -> None:
    daemon.wait_status(
        lambda status: (
            status["netmap"]["state"] == "fresh" and status["connection"]["generation"] == generation
        ),
        20.0,
        "the next connection",
    )


def test_a_history_that_is_gone_or_hangs_while_there_is_much_to_tell_ends_nobody() -> None:
    with Daemon(history=True) as daemon:
        daemon.wait_event("actor_ready", actor="history")
        wait_for(lambda: told(history(daemon), "netmap_fresh"), 10.0, "a fresh netmap in the history")
        stopped = daemon.signal_actor("history", signal.SIGSTOP)
        for generation in (1, 2, 3):
            wait_generation(daemon, generation)
            daemon.signal_actor("control_connection")
        wait_generation(daemon, 4)
        # On a busy machine it has been found to hang by now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(stopped, signal.SIGKILL)
        for pid in daemon.children():
            if role_of(pid) in {"publisher", "liveness", "control_connection"}:
                os.kill(pid, signal.SIGKILL)
        daemon.wait_event("actor_ready", 40.0, after=1, actor="history")
        daemon.wait_fresh()
        assert daemon.running()
        assert not daemon.events("supervisor_failed")
        answer = wait_for(
            lambda: told(found := history(daemon), "netmap_fresh")[1:] and found, 20.0, "fresh again"
        )
        # What it was told and had not written is told to the next one, once.
        for kind in ("actor_started", "actor_exited", "session_ended", "map_session_started"):
            assert [one["detail"]["pid"] for one in told(answer, kind)] == [
                event["pid"] for event in daemon.events(kind)
            ]
        (gap,) = told(answer, "gap")
        assert at(gap["after"]) <= at(daemon.events("session_ended")[0]["timestamp"]) + 0.1


def test_a_full_disk_costs_the_history_alone_and_is_said(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("only root may mount a small disk")
    directory = tmp_path / "state" / "history"
    directory.mkdir(parents=True, mode=0o700)
    mounted = ("unshare", "--mount", "--propagation=private", "bash", "-c")
    script = (
        f"mount -t tmpfs -o size=12m,mode=700 tmpfs {directory} && "
        f'head -c 11700K /dev/zero > {directory}/filler && exec "$@"'
    )
    config = '[dev_control]\nnodes = 200\nchurn = 60.0\n[history]\nsize = "1MiB"\n'
    with Daemon(
        f"--state-dir={tmp_path / 'state'}", config=config, prefix=(*mounted, script, "bash"), history=True
    ) as daemon:
        daemon.wait_fresh()
        watch = Stopwatch()
        status = daemon.wait_status(
            lambda status: any(one["code"] == "history" for one in status["degraded"]), 90.0, "no room"
        )
        (shown,) = [one for one in status["degraded"] if one["code"] == "history"]
        assert "full" in shown["text"] and "there is a gap" in shown["text"]
        assert status["netmap"]["state"] == "fresh"
        assert daemon.events("actor_exited") == [], "nobody else notices"
        # The daemon's mounts are its own.
        Path(f"/proc/{daemon.pid}/root{directory}/filler").unlink()
        daemon.wait_event("healed", 40.0, code="history")
        answer = wait_for(lambda: told(found := history(daemon), "gap") and found, 20.0, "the gap")
        (gap,) = told(answer, "gap")
        failed = at(daemon.events("history_not_written")[0]["timestamp"])
        assert abs(at(gap["after"]) - failed) < watch.allowed(3.0)
        assert any(at(one["at"]) > at(gap["at"]) for one in told(answer, "node_online", "node_offline"))


def test_no_history_is_kept_when_it_is_off(tmp_path: Path) -> None:
    with Daemon() as daemon:
        daemon.wait_fresh()
        status = daemon.status()
        assert status is not None
        assert "history" not in {row["name"] for row in status["actors"]}
        assert not (daemon.state_dir / "history").exists()
        shown = daemon.command("history")
        assert shown.returncode == 1
        assert "history.keep is off" in shown.stderr


@pytest.mark.parametrize("damage", [b"", b"no database " * 500])
def test_a_damaged_file_is_kept_aside_and_another_begins(tmp_path: Path, damage: bytes) -> None:
    with Daemon(history=True) as daemon:
        directory = daemon.state_dir / "history"
        directory.mkdir(mode=0o700)
        (directory / "history.sqlite3").write_bytes(damage)
        daemon.wait_event("actor_ready", 30.0, actor="history")
        wait_for(lambda: told(history(daemon), "netmap_fresh"), 20.0, "a fresh netmap in the history")
        kept = directory / "history.sqlite3.broken"
        assert (kept.read_bytes() if kept.exists() else b"") == damage
        assert len(daemon.events("history_broken")) == bool(damage)


def test_a_file_whose_first_page_alone_is_whole_is_kept_aside() -> None:
    """It opens, and what is read of it then ends no process."""
    with Daemon(config=CHURN, history=True) as daemon:
        daemon.wait_event("actor_ready", actor="history")
        wait_for(lambda: told(history(daemon), "netmap_fresh"), 20.0, "a fresh netmap in the history")
        assert daemon.terminate() == 0
        path = daemon.state_dir / "history" / "history.sqlite3"
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        daemon.start()
        daemon.wait_event("history_broken", 30.0)
        wait_for(
            lambda: (
                (shown := daemon.command("history", "--json")).returncode == 0
                and told(json.loads(shown.stdout), "netmap_fresh")
            ),
            30.0,
            "another history",
        )
        assert path.with_name("history.sqlite3.broken").read_bytes().startswith(content[:4096])
        assert daemon.events("actor_exited", actor="history")[1:] == []
        assert daemon.events("system_call_refused") == []


def test_a_daemon_that_is_told_to_stop_closes_its_history(tmp_path: Path) -> None:
    """A daemon that is told to stop closes its history in order."""
    with Daemon(history=True) as daemon:
        daemon.wait_fresh()
        daemon.wait_event("actor_ready", actor="history")
        killed = daemon.signal_actor("control_connection", signal.SIGKILL)
        daemon.wait_event("session_ended", 20.0)
        daemon.wait_fresh()
        watch = Stopwatch()
        assert daemon.terminate() == 0
        allowed = watch.allowed(1.0)
        stopped = at(daemon.events("stopping")[0]["timestamp"])
        answer = history(daemon, f"--state-dir={daemon.state_dir}")
        assert [one["detail"]["reason"] for one in told(answer, "session_ended")] == ["crashed"]
        first, last = (one["detail"] for one in answer["connection"] if one["state"] == "session")
        assert first["pid"] == killed != last["pid"]
        assert first["local"].startswith("127.0.0.1:") and first["local"] != last["local"]
        assert first["ended"]["reason"] == "crashed" and 0.0 < first["ended"]["lived_s"] < 60.0
        assert "ended" not in last
        assert next(one["detail"] for one in answer["netmap"] if one["state"] == "stale") == {
            "reason": "session_ended"
        }
        assert abs(at(answer["netmap"][-1]["until"]) - stopped) < allowed
        assert len(told(answer, "stopping")) == 1
        daemon.start()
        daemon.wait_event("actor_ready", after=1, actor="history")
        again = wait_for(lambda: told(found := history(daemon), "gap") and found, 10.0, "the gap")
        (gap,) = told(again, "gap")
        assert abs(at(gap["after"]) - stopped) < allowed


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


def got(path: Path, target: str) -> tuple[int, bytes]:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_history_is_told_over_http_and_to_programs() -> None:
    place = Path(tempfile.mkdtemp(prefix="nmh-", dir="/tmp"))
    try:
        with Daemon(f"--http-listen=unix:{place}/http.sock", history=True) as daemon:
            daemon.wait_fresh()
            daemon.wait_event("http_endpoint_open", 20.0)
            daemon.wait_event("actor_ready", actor="history")
            wait_for(lambda: told(history(daemon), "netmap_fresh"), 10.0, "a fresh netmap in the history")
            status, body = got(place / "http.sock", "/history?since=1h&kind=netmap_fresh")
            answer = json.loads(body)
            assert status == 200
            assert [one["kind"] for one in answer["occurrences"]] == ["netmap_fresh"]
            assert answer["tailnet"] == "default"
            for bad in ("kind=x", "since=yesterday", "since=0s", "nosuch=1", "since=1h&since=2h"):
                assert got(place / "http.sock", f"/history?{bad}")[0] == 400, bad
            assert got(place / "http.sock", "/history?peer=nosuch")[0] == 404
            # Stopped, it answers nobody, and nothing else waits for it.
            pid = daemon.signal_actor("history", signal.SIGSTOP)
            assert got(place / "http.sock", "/healthz")[0] == 200
            late: list[int] = []
            asked = threading.Thread(target=lambda: late.append(got(place / "http.sock", "/history")[0]))
            asked.start()
            assert got(place / "http.sock", "/healthz")[0] == 200
            asked.join(25)
            assert late == [503] or late == [200], "late, or answered by the next process"
            daemon.wait_event("actor_exited", 60.0, actor="history", pid=pid)
            program = netmap_supervisor.history(kinds=["map_session_started"], runtime_dir=daemon.runtime_dir)
            assert [one.kind for _, one in program.occurrences] == [Happening.SESSION_STARTED]
    finally:
        shutil.rmtree(place)


def test_a_reader_that_waits_is_told_what_happens_next_and_nobody_waits_for_it() -> None:
    with Daemon(history=True) as daemon:
        daemon.wait_fresh()
        daemon.wait_event("actor_ready", actor="history")
        wait_for(lambda: told(history(daemon), "netmap_fresh"), 20.0, "a fresh netmap in the history")

        def ask(**fields: Any) -> Answer:
            question = HistoryQuestion(lanes=False, oldest=True, **fields)
            return ask_daemon(question, daemon.runtime_dir, limit=30.0)

        wanted = (Happening.SESSION_ENDED,)
        before = ask(kinds=wanted)
        assert before.occurrences == []
        late: list[Answer] = []
        waiting = threading.Thread(
            target=lambda: late.append(
                ask(after_id=before.newest_id, file=before.file, kinds=wanted, wait=60.0)
            )
        )
        waiting.start()
        began = SystemClock().monotonic()
        assert ask(after_id=before.newest_id, kinds=wanted, wait=0.5).occurrences == []
        assert SystemClock().monotonic() - began >= 0.5
        assert ask().occurrences != []
        assert late == []
        daemon.signal_actor("control_connection", signal.SIGKILL)
        waiting.join(50.0)
        (answer,) = late
        ((number, one),) = answer.occurrences
        assert (one.kind, one.detail["reason"]) == (Happening.SESSION_ENDED, "crashed")
        assert answer.newest_id >= number > before.newest_id
        assert (answer.file, answer.oldest_id) == (before.file, 1)


def test_a_key_that_expires_soon_is_told_once_over_a_restart_of_the_history() -> None:
    with Daemon(config="[dev_control]\nchurn = 0\n", history=True) as daemon:
        daemon.wait_fresh()
        daemon.wait_event("actor_ready", actor="history")
        listed = daemon.command("netmap", "--json")
        peer = json.loads(listed.stdout)["peers"][0]

        def expires_in(seconds: float) -> str:
            expiry = stamp(SystemClock().wall() + seconds, "seconds")
            patch = {"PeersChangedPatch": [{"NodeID": peer["id"], "KeyExpiry": expiry}]}
            assert AdminClient(daemon.runtime_dir).request("dev", command="raw", json=patch) == {"result": 1}
            return expiry

        def told_of() -> list[tuple[str, str, float]]:
            found = told(history(daemon), "node_key_expiring")
            return [(one["subject"], one["detail"]["expires"], one["detail"]["within_s"]) for one in found]

        day = 86400.0
        # A moment before it is due: a timer has to find it.
        first = expires_in(7 * day + 2.0)
        wait_for(told_of, 30.0, "the first word of it")
        assert told_of() == [(peer["stable_id"], first, 7 * day)]
        daemon.signal_actor("history")
        daemon.wait_event("actor_ready", 30.0, after=1, actor="history")
        second = expires_in(day / 2)
        wait_for(lambda: told_of()[1:], 30.0, "the next one")
        assert told_of()[1:] == [(peer["stable_id"], second, day)]
