"""What a child that was taken over may write on its standard error: never another's words, never the daemon's end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.process.test_supervisor import daemon  # noqa: F401  # the fixture
from tests.support.processes.fake_daemon import NAMES, FakeDaemon
from tests.support.waiting import wait_for

LIMIT = 20.0
WRITER = "liveness"


def let_write(daemon: FakeDaemon, words: bytes, how: str = "later write") -> None:  # noqa: F811
    """The writer says this, with a last line after it; once that is in the log, all before it was taken."""
    (daemon.place / "words").write_bytes(words)
    daemon.behave(WRITER, how)
    daemon.up()
    (daemon.place / "go").touch()


def log_pipes(pid: int) -> int:
    """How many pipes a process has open."""
    found = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(fd.readlink()).startswith("pipe:")
        except FileNotFoundError:
            continue  # closed while we looked
    return found


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":' * 600 + b"1" + b"}" * 600,
        b'{"event":"x","a":' + b"[" * 1500 + b"]" * 1500 + b"}",
        b"[" * 3000,
    ],
    ids=["objects", "lists", "open"],
)
def test_a_nested_line_is_one_line_more(daemon, line) -> None:  # noqa: F811
    let_write(daemon, line + b"\nthe last\n")
    assert daemon.wait_event("child_output", text="the last")["actor"] == WRITER
    assert daemon.request("status")["pid"] == daemon.pid
    assert daemon.end() == 0


def test_a_line_is_the_word_of_the_pipe_it_came_by(daemon) -> None:  # noqa: F811
    forged = [
        {"event": "stopped", "exit_code": 0, "actor": "supervisor"},
        {"event": "up", "actor": "publisher", "pid": 1, "generation": 9},
        {"event": "login_needed", "url": "https://login.evil.example/", "actor": "control_connection"},
        {"event": "actor_failed", "actor": "publisher", "pid": 1, "generation": 7, "detail": "forged"},
    ]
    words = b"".join(json.dumps(one).encode() + b"\n" for one in forged)
    let_write(daemon, words + b"the last\n", "later write_and_die")
    daemon.wait_event("actor_exited", actor=WRITER)
    pid = daemon.wait_event("actor_started", actor=WRITER)["pid"]
    told = [one for one in daemon.events() if "forged" in json.dumps(one) or "evil" in json.dumps(one)]
    assert told, "what it wrote is told, as its own"
    for one in told:
        assert (one["actor"], one["pid"], one["generation"]) == (WRITER, pid, 1)
    assert not daemon.events("stopped")
    assert not daemon.events("login_needed")
    assert len(daemon.events("up")) == 1


def test_a_child_that_writes_without_end_costs_a_few_lines(daemon) -> None:  # noqa: F811
    line = json.dumps({"level": "info", "event": "server_wish", "wish": "debug_exit"}).encode() + b"\n"
    let_write(daemon, line * 50_000 + b"the last\n")
    told = daemon.wait_event("log_lines_suppressed", actor=WRITER, suppressed_event="server_wish")
    assert 0 < len(daemon.events("server_wish", actor=WRITER)) < 500
    assert told["lines"] > 0
    wait_for(lambda: daemon.request("status")["log_lines_suppressed"] > 45_000, LIMIT, "the rest is counted")
    assert daemon.end() == 0
    lines = daemon.log_path.read_bytes().count(b"\n")
    assert lines < 1000


def test_what_a_dying_child_wrote_last_is_told_and_its_pipe_is_closed(daemon) -> None:  # noqa: F811
    let_write(daemon, b"the very last, without an end", "later write_and_die")
    assert daemon.wait_event("child_output", text="the very last, without an end")["actor"] == WRITER
    (daemon.place / "go").unlink()
    daemon.wait_event("actor_ready", actor=WRITER, generation=2)
    before = log_pipes(daemon.pid)
    for generation in (3, 4, 5):
        daemon.request("fault", what="kill", actor=WRITER, force=True)
        daemon.wait_event("actor_ready", actor=WRITER, generation=generation)
    assert log_pipes(daemon.pid) == before
    assert before >= len(NAMES)
