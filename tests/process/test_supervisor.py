"""The Supervisor over real processes of fake actors: its shell, without a network."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from netmap_actors.errors import NetmapError
from netmap_actors.exit_reason import ExitReason, status_of
from netmap_supervisor.admin.socket import AdminError, NotRunning
from tests.support.processes.daemon import children_of, role_of
from tests.support.processes.fake_daemon import LIMIT, NAMES, FakeDaemon, pidfds, wait_gone
from tests.support.waiting import Stopwatch, wait_for

HANGING_END = """
    if "-c" in sys.orig_argv:
        import threading
        from netmap_actors.bus.sockets import Sockets
        from netmap_supervisor.daemon import supervisor
        supervisor.END_LIMIT = 0.3
        def hang_for_ever(sockets):
            threading.Event().wait()
        Sockets.close = hang_for_ever
"""

PATIENT = """
    if "-c" in sys.orig_argv:
        from netmap_supervisor.daemon import children
        children.LAST_WORDS_LIMIT = 3600.0
"""


@pytest.fixture
def daemon(request):
    """By default every child is forked; `both_ways`: it is also tested with each of them started by exec."""
    with tempfile.TemporaryDirectory(prefix="nm-") as path:
        made = FakeDaemon(Path(path))
        made.write_settings(nursery=getattr(request, "param", "all"))
        yield made
        made.close()
        if made.log_path.exists():
            print(made.log_path.read_text()[-8000:])


both_ways = pytest.mark.parametrize("daemon", ["all", "off"], indirect=True)


@both_ways
def test_actors_come_up_together_and_stop_in_reverse(daemon) -> None:
    daemon.behave("dev_control", "end error")
    daemon.start()
    daemon.wait_event("actor_exited", actor="dev_control")
    for name in NAMES[1:]:
        daemon.wait_event("actor_ready", actor=name)
    assert not daemon.events("up")
    daemon.behave("dev_control", "")
    daemon.wait_event("up")
    # Those that take longest first; they stop as NAMES says, whoever was started when.
    first = ["dev_control", "control_connection"]
    started = [event["actor"] for event in daemon.events("actor_started")]
    assert started[:4] == [*first, *(name for name in NAMES if name not in first)]
    ended = len(daemon.events("actor_exited"))
    fds = pidfds(row["pid"] for row in daemon.request("status")["actors"])
    watch = Stopwatch()
    assert daemon.end() == 0
    wait_gone(fds, 0.1)
    assert watch.seconds() < 5.0
    stopped = daemon.events("actor_exited")[ended:]
    assert [event["actor"] for event in stopped] == NAMES[::-1]
    assert {event["status"] for event in stopped} == {0}
    assert not list(daemon.runtime_dir.glob("r-*"))


@both_ways
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_f49_actors_that_do_not_stop_are_killed_and_all_is_gone_within_five_seconds(daemon, number) -> None:
    for name in NAMES:
        daemon.behave(name, "ignore_stop")
    daemon.up()
    fds = pidfds(event["pid"] for event in daemon.events("actor_started"))
    watch = Stopwatch()
    assert daemon.end(number) == 0
    assert watch.seconds() < 5.0
    wait_gone(fds, 0.1)
    assert len(daemon.events("child_killed", reason="stop_limit")) == 4


@both_ways
def test_a_stop_while_actors_are_starting_ends_them_too(daemon) -> None:
    daemon.start()
    daemon.wait_event("actor_started", actor="dev_control")
    assert daemon.end() == 0
    assert daemon.events("actor_exited", actor="dev_control")


@pytest.mark.parametrize("name", ["liveness", "publisher"])
def test_what_the_connection_sends_to_is_bound_whoever_is_there(daemon, name) -> None:
    """The stand-ins receive nothing; the sockets are the Supervisor's."""
    daemon.up()
    (path,) = daemon.runtime_dir.glob(f"r-*/{name}.sock")
    assert path.stat().st_mode & 0o777 == 0o600
    daemon.request("fault", what="kill", actor=name)
    daemon.wait_event("actor_exited", actor=name)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
    daemon.wait_event("actor_ready", actor=name, generation=2)


@both_ways
@pytest.mark.parametrize("victim", NAMES)
def test_a_killed_actor_comes_back_alone(daemon, victim) -> None:
    daemon.up()
    before = {row["name"]: row["pid"] for row in daemon.request("status")["actors"]}
    daemon.request("fault", what="kill", actor=victim)
    daemon.wait_event("actor_ready", actor=victim, generation=2)
    after = {row["name"]: row["pid"] for row in daemon.request("status")["actors"]}
    assert {name for name in after if after[name] != before[name]} == {victim}
    row = daemon.row(victim)
    assert (row["restarts"], row["last_exit"], row["state"]) == (1, "signal 9", "active")
    # It comes with the first heartbeat, which follows the word that the actor is ready.
    assert wait_for(lambda: daemon.row(victim)["rss_bytes"], LIMIT, "its first heartbeat") > 1_000_000


@both_ways
def test_an_actor_that_refuses_its_configuration_ends_the_run_and_its_reason_comes_first(daemon) -> None:
    daemon.behave("publisher", "end configuration")
    daemon.start()
    assert daemon.wait() == 78
    names = [event["event"] for event in daemon.events() if event.get("actor") == "publisher"]
    # Said by a machine that gives it fewer files than it asks for.
    names = [name for name in names if name != "few_files_allowed"]
    assert names[:3] == ["actor_started", "actor_finished", "actor_exited"]
    others = [name for name in reversed(NAMES) if name != "publisher"]
    assert [event["actor"] for event in daemon.events("actor_exited")] == ["publisher", *others]


@both_ways
def test_an_actor_that_raises_is_tried_again_and_the_place_is_in_the_log(daemon) -> None:
    daemon.behave("publisher", "raise")
    daemon.start()
    failed = daemon.wait_event("actor_failed", after=1, actor="publisher")
    assert failed["error"] == "ValueError"
    daemon.behave("publisher", "")
    daemon.wait_event("up")


@pytest.mark.parametrize(("reason", "first"), [("removed", True), ("expired", True), ("closed", False)])
def test_the_next_connection_knows_how_the_last_one_ended(daemon, reason, first) -> None:
    daemon.up()
    daemon.behave("control_connection", f"end {reason}")
    daemon.request("reconnect")
    # It says that it was told before it looks at how to behave.
    daemon.wait_event("actor_exited", actor="control_connection", generation=2)
    daemon.behave("control_connection", "")
    assert not daemon.told("control_connection", 2)["settings"]["register_first"]
    assert daemon.told("control_connection", 3)["settings"]["register_first"] == first
    ended = daemon.request("status")["connection"]["ended"]
    assert ended["operator"] == 1
    # On a busy machine the next one may have begun before it was told to behave.
    assert ended[reason] >= 1


def test_no_process_outlives_a_killed_supervisor_and_the_next_run_starts_at_once(daemon) -> None:
    daemon.up()
    fds = pidfds(event["pid"] for event in daemon.events("actor_started"))
    daemon.end(signal.SIGKILL)
    wait_gone(fds, 2.0)
    watch = Stopwatch()
    daemon.start()
    daemon.wait_event("up", after=1)
    assert watch.seconds() < 5 * 2.0
    assert len(list(daemon.runtime_dir.glob("r-*"))) == 1, "what the dead run left is cleared away"
    assert daemon.end() == 0


@both_ways
def test_a_second_run_is_refused_and_the_first_goes_on(daemon) -> None:
    daemon.up()
    first = daemon.process
    daemon.start()
    assert daemon.wait() == 1
    assert b"already uses" in daemon.log_path.read_bytes()
    daemon.process = first
    assert daemon.row("publisher")["restarts"] == 0


@both_ways
def test_a_stopped_supervisor_kills_nobody_when_it_goes_on(daemon) -> None:
    daemon.up()
    before = {row["name"]: row["pid"] for row in daemon.request("status")["actors"]}
    os.kill(daemon.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    wait_for(lambda: time.monotonic() - stopped > 6.5, 10.0, "a look at the children is missed", every=0.1)
    os.kill(daemon.pid, signal.SIGCONT)
    daemon.wait_event("supervisor_late")
    assert {row["name"]: row["pid"] for row in daemon.request("status")["actors"]} == before
    assert not daemon.events("child_killed")


@both_ways
def test_what_a_child_prints_is_kept_and_escaped(daemon) -> None:
    daemon.behave("liveness", "print")
    daemon.up()
    assert daemon.wait_event("child_output")["text"] == "not a log line \\x1b[31m"


@both_ways
def test_only_the_connection_is_told_the_key_and_none_finds_it_in_its_environment(daemon) -> None:
    daemon.write_settings(control_url="http://127.0.0.1:1", auth_key="env:MY_KEY")
    daemon.up(MY_KEY="tskey-auth-secret", OTHER="x")
    told = daemon.told("control_connection")["settings"]["secrets"]["values"]
    assert told["MY_KEY"] == "tskey-auth-secret"
    for name in ("publisher", "liveness", "control_connection"):
        environment = daemon.told(name)["environment"]
        assert "MY_KEY" not in environment
        assert "OTHER" not in environment
    assert daemon.end() == 0
    assert b"tskey-auth-secret" not in daemon.log_path.read_bytes()


@both_ways
def test_the_embedded_server_keeps_its_socket_and_key_over_its_death_and_its_key_over_runs(daemon) -> None:
    daemon.up()
    first = daemon.told("control_connection")["settings"]
    key_path = Path(first["auth_key"].removeprefix("file:"))
    key = key_path.read_text()
    assert key_path.stat().st_mode & 0o777 == 0o600
    daemon.request("fault", what="kill", actor="dev_control")
    daemon.wait_event("actor_ready", actor="dev_control", generation=2)
    host, port = first["control_url"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5):
        pass
    assert daemon.end() == 0
    daemon.start()
    daemon.wait_event("up", after=1)
    assert key_path.read_text() == key


def test_a_service_manager_is_told(daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.place / "notify"))
        manager.settimeout(LIMIT)
        daemon.start(NOTIFY_SOCKET=str(daemon.place / "notify"), WATCHDOG_USEC="1000000")
        words: list[str] = []

        def told(word: str) -> bool:
            words.extend(manager.recv(4096).decode().split("\n"))
            return word in words

        wait_for(lambda: told("READY=1"), LIMIT, "READY=1", every=0.0)
        assert any(word.startswith("STATUS=") for word in words)
        wait_for(lambda: told("WATCHDOG=1"), LIMIT, "WATCHDOG=1", every=0.0)
        assert "STOPPING=1" not in words
        assert daemon.end() == 0
        wait_for(lambda: told("STOPPING=1"), LIMIT, "STOPPING=1", every=0.0)


def test_a_service_manager_waits_as_long_as_actors_are_starting(daemon) -> None:
    daemon.behave("publisher", "end crashed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.place / "notify"))
        manager.settimeout(LIMIT)
        daemon.start(NOTIFY_SOCKET=str(daemon.place / "notify"))
        words: list[str] = []
        asked = "EXTEND_TIMEOUT_USEC="

        def told(word: str, times: int = 1) -> bool:
            words.extend(manager.recv(4096).decode().split("\n"))
            return sum(one.startswith(word) for one in words) >= times

        wait_for(lambda: told(asked, 2), LIMIT, "it asks again and again", every=0.0)
        assert all(int(word.removeprefix(asked)) > 5e6 for word in words if word.startswith(asked))
        daemon.behave("publisher", "")
        wait_for(lambda: told("READY=1"), LIMIT, "READY=1", every=0.0)
        up = len(words)
        looks = 1 + sum(word.startswith("STATUS=") for word in words)
        wait_for(lambda: told("STATUS=", looks), LIMIT, "one more look", every=0.0)
        assert not any(word.startswith(asked) for word in words[up:]), "it has started"


def test_a_reload_takes_over_what_it_can_and_names_what_it_cannot(daemon) -> None:
    daemon.up()
    daemon.write_settings(log_level="debug", hostname="renamed", silence_timeout=60.0)
    os.kill(daemon.pid, signal.SIGHUP)
    event = daemon.wait_event("reloaded")
    assert event["applied"] == ["log_level"]
    assert event["with_next_connection"] == ["hostname"]
    assert event["needs_restart"] == ["silence_timeout"]
    daemon.request("reconnect")
    assert daemon.told("control_connection", 2)["settings"]["hostname"] == "renamed"
    assert daemon.request("reload") == {
        "applied": [],
        "with_next_connection": [],
        "needs_restart": ["silence_timeout"],
    }
    (daemon.place / "settings.json").write_text("not json")
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_event("reload_failed")
    assert daemon.request("status")["pid"] == daemon.pid


def test_a_reloaded_probe_timeout_holds_from_the_next_connection_on(daemon) -> None:
    daemon.write_settings(probe_interval=0.1, probe_timeout=5.0)
    daemon.up()

    def asked(generation: int) -> list[str]:
        path = daemon.place / "boots" / f"probes-{generation}"
        return path.read_text().splitlines() if path.exists() else []

    wait_for(lambda: asked(1), LIMIT, "a probe")
    daemon.write_settings(probe_timeout=7.0)
    assert daemon.request("reload")["with_next_connection"] == ["probe_timeout"]
    reloaded = len(asked(1))
    wait_for(lambda: len(asked(1)) > reloaded + 2, LIMIT, "probes after the reload")
    assert set(asked(1)) == {"interval 5"}, "it is the connection that was there before"
    daemon.request("reconnect")
    wait_for(lambda: asked(2), LIMIT, "a probe of the next connection")
    assert set(asked(2)) == {"interval 7"}


def test_a_command_for_the_embedded_server_goes_there_and_its_answer_comes_back(daemon) -> None:
    daemon.up()
    assert daemon.request("dev", command="faults", n=1) == {"asked": {"command": "faults", "n": 1}}
    daemon.request("fault", what="stop", actor="dev_control")
    with pytest.raises(AdminError, match="no answer within"):
        daemon.request("dev", command="faults")


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("dance", {}, "cannot do 'dance'"),
        ("fault", {"what": "kill", "actor": "nobody"}, "it has no process"),
        ("fault", {"what": "tickle", "actor": "publisher"}, "cannot do 'tickle'"),
        ("fault", {"what": "freeze", "actor": "publisher", "seconds": "long"}, "not a number"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_harms_nobody(daemon, command, arguments, said) -> None:
    daemon.up()
    with pytest.raises(AdminError, match=said):
        daemon.request(command, **arguments)
    assert daemon.request("status")["pid"] == daemon.pid


def test_without_a_daemon_a_request_says_so_at_once(daemon) -> None:
    with pytest.raises(NotRunning, match="none is running"):
        daemon.request("status")
    assert issubclass(NotRunning, NetmapError)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_f64_many_respawns_leak_neither_descriptors_nor_threads_nor_memory(daemon) -> None:
    daemon.up()

    def figures() -> tuple[int, int, int]:
        proc = Path(f"/proc/{daemon.pid}")
        resident = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())), resident

    def respawn(number: int) -> None:
        daemon.request("reconnect")
        daemon.wait_event("actor_ready", actor="control_connection", generation=number)

    for number in range(2, 6):
        respawn(number)
    before = figures()
    for number in range(6, 66):
        respawn(number)
    after = figures()
    assert abs(after[0] - before[0]) <= 5
    assert after[1] == before[1]
    assert after[2] - before[2] <= 10 * 1024 * 1024
    children = [role_of(pid) for pid in children_of(daemon.pid)]
    assert sorted(children) == sorted([*NAMES, "nursery"]), "no zombie is left"


def test_an_end_that_hangs_is_an_end_all_the_same(daemon: FakeDaemon) -> None:
    with (daemon.place / "sitecustomize.py").open("a") as file:
        file.write(textwrap.dedent(HANGING_END))
    daemon.up()
    assert daemon.end() == 1
    told = daemon.log_path.read_text()
    assert "Timeout (0:00:00.300000)!" in told
    assert "in hang_for_ever" in told
    daemon.start()  # the directories are free again
    daemon.wait_event("up", after=1)


def test_a_connection_that_crashed_is_not_asked_for_its_last_words(daemon: FakeDaemon) -> None:
    """An exception sends none; one that ends by itself with another status is still waited for."""
    with (daemon.place / "sitecustomize.py").open("a") as file:
        file.write(textwrap.dedent(PATIENT))
    daemon.behave("control_connection", "raise")
    daemon.start()
    daemon.wait_event("actor_exited", actor="control_connection", status=status_of(ExitReason.CRASHED))
    daemon.wait_event("actor_exited", after=1, actor="control_connection")
