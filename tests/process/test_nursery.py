"""The nursery of a real run: what it holds, and that none of its ends costs anybody anything."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import shutil
import signal
import subprocess
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.confinement import landlock
from netmap_actors.nursery.orders import Rooms
from netmap_supervisor.system.nursery_process import ORDER_LIMIT, execute_nursery
from tests.support.processes.daemon import children_of, role_of
from tests.support.processes.fake_daemon import LIMIT, NAMES, FakeDaemon, pidfds, wait_gone
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENT = """
    if "-c" in sys.orig_argv:
        from netmap_supervisor.supervision import nursery_machine
        nursery_machine.START_PATIENCE = 30.0
"""
HANGS = """
    import os, signal
    _waitpid = os.waitpid
    def _then_stand_still(pid, options):
        found = _waitpid(pid, options)
        # Only a nursery waits without a flag: for the process in between. The child is there, and not yet told of.
        if options == 0 and os.path.exists(os.environ["PYTHONPATH"] + "/{hang}"):
            os.kill(os.getpid(), signal.{how})
        return found
    os.waitpid = _then_stand_still
"""
LIES = """
    import json, os, socket
    _send_fds = socket.send_fds
    def _lying(line, buffers, *rest):
        # Only a nursery sends the pid of another process.
        told = json.loads(b"".join(buffers))
        lie = os.environ["PYTHONPATH"] + "/lie"
        if told.get("pid", os.getpid()) != os.getpid() and os.path.exists(lie):
            with open(lie) as file:
                buffers = [json.dumps(told | {"pid": int(file.read())}).encode()]
            os.unlink(lie)
        return _send_fds(line, buffers, *rest)
    socket.send_fds = _lying
"""
CANNOT_FORK = """
    import errno, os
    if "-c" in sys.orig_argv:
        _fork = os.fork
        def _refused():
            if os.path.exists(os.environ["PYTHONPATH"] + "/crowded"):
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return _fork()
        os.fork = _refused
"""
HIDDEN = """
    if "-c" in sys.orig_argv:
        from netmap_supervisor.system import os_process
        os_process._opened = lambda path: None
"""
LOADS_SLOWLY = """
    if "-c" in sys.orig_argv:
        import os, time
        from netmap_actors.process import bootstrap
        _load = bootstrap.load
        def _slowly(actor):
            if sys._getframe(1).f_code.co_name == "load":
                with open(os.environ["PYTHONPATH"] + "/boots/loads", "a") as file:
                    print(os.getpid(), actor, file=file)
                if actor == "publisher":
                    time.sleep({seconds})
            return _load(actor)
        bootstrap.load = _slowly
"""
ODD = """
    import os, resource, signal
    if "-c" in sys.orig_argv:
        for number in (signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGUSR2))
        signal.siginterrupt(signal.SIGUSR2, False)
        os.kill(os.getpid(), signal.SIGUSR2)
        os.umask(0)
        os.nice(3)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, 6 << 20))
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("321")
        os.chdir("/")
"""
LOOKS_OFTEN = """
    import os, types
    if "-c" in sys.orig_argv:
        from netmap_supervisor.daemon import supervisor
        from netmap_supervisor.system import code_stamp
        supervisor.FIRST_CODE_LOOK = supervisor.CODE_LOOK_INTERVAL = 0.1
        program = os.environ["PYTHONPATH"] + "/program/__init__.py"
        code_stamp.netmap_actors = types.SimpleNamespace(__file__=program)
        _stamp = code_stamp.code_stamp
        def _told():
            open(os.environ["PYTHONPATH"] + "/looked", "w").close()
            return _stamp()
        supervisor.code_stamp = _told
"""
NEVER_LOADS = """
    import os, sys
    class _Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "netmap_actors.nursery.forking" and {stuck}:
                open(os.environ["PYTHONPATH"] + "/boots/stuck", "w").close()
                while True:
                    signal.pause()
            if name == "netmap_actors.nursery.forking":
                raise ImportError("as the test wants")
    import signal
    sys.meta_path.insert(0, _Broken())
    if "-c" in sys.orig_argv:
        nursery_machine.START_PATIENCE = 1.0
"""


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with tempfile.TemporaryDirectory(prefix="nm-") as path:
        made = FakeDaemon(Path(path))
        # On a busy machine, too, the first children are forked.
        hook(made, PATIENT)
        yield made
        made.close()
        if made.log_path.exists():
            print(made.log_path.read_text()[-8000:])


def hook(daemon: FakeDaemon, text: str, **words: object) -> None:
    """Have this in every process of the daemon."""
    with (daemon.place / "sitecustomize.py").open("a") as file:
        file.write(textwrap.dedent(text.format(**words) if words else text))


def roles(daemon: FakeDaemon) -> list[str]:
    """Of all children that there are, dead ones not counted."""
    return sorted(role for pid in children_of(daemon.pid) if (role := role_of(pid)))


def nursery(daemon: FakeDaemon) -> dict | None:
    return daemon.request("status")["nursery"]


def wait_nursery(daemon: FakeDaemon, after: int = 0) -> dict:
    """A nursery that forks, of a later generation."""
    return wait_for(
        lambda: (found := nursery(daemon)) and found["generation"] > after and found, LIMIT, "a nursery"
    )


def kill(daemon: FakeDaemon, name: str) -> dict:
    """Kill this actor; its row once the next one works."""
    before = daemon.row(name)
    os.kill(before["pid"], signal.SIGKILL)
    daemon.wait_event("actor_ready", actor=name, generation=before["generation"] + 1)
    after = daemon.row(name)
    assert after["generation"] == before["generation"] + 1
    return after


def test_every_actor_is_forked_and_the_nursery_holds_nothing_but_its_line(daemon: FakeDaemon) -> None:
    daemon.up()
    assert roles(daemon) == sorted([*NAMES, "nursery"])
    held = nursery(daemon)
    assert held is not None
    assert (held["generation"], held["forked"]) == (1, len(NAMES))
    proc = Path(f"/proc/{held['pid']}")
    assert len(list((proc / "task").iterdir())) == 1
    kinds = sorted(str(path.readlink()).partition(":")[0] for path in (proc / "fd").iterdir())
    # Landlock's rule for its own /proc lasts as long as that is held (`landlock`).
    assert kinds == [
        "/dev/null",
        *([f"/proc/{held['pid']}"] if landlock.abi() else []),
        "pipe",
        "pipe",
        "socket",
    ]
    assert kill(daemon, "liveness")["state"] == "active"
    assert nursery(daemon) == held | {"forked": len(NAMES) + 1}


@pytest.mark.parametrize("odd", [False, True], ids=["as usual", "started oddly"])
def test_what_a_process_has_from_its_starter_is_the_same_either_way(daemon: FakeDaemon, *, odd: bool) -> None:
    if odd:
        hook(daemon, ODD)
    # Whoever runs these tests may be nice himself.
    ours = str(os.nice(0)), Path("/proc/self/oom_score_adj").read_text().strip()
    expected = (str(min(os.nice(0) + 3, 19)), "321") if odd else ours
    found = {}
    for way in ("all", "off"):
        daemon.write_settings(nursery=way)
        daemon.start()
        daemon.wait_event("up", after=len(found))
        assert roles(daemon) == sorted([*NAMES, "nursery"] if way == "all" else NAMES)
        told = {name: daemon.told(name) for name in NAMES}
        found[way] = {name: told[name]["process"] | told[name]["environment"] for name in NAMES}
        for name, facts in found[way].items():
            assert int(facts.pop("parent")) == daemon.pid
            assert facts["cmdline"] == f"netmap-supervisor: {name}"
            assert (facts["blocked"], facts["umask"], facts["threads"]) == ([], 0o077, ["MainThread"])
            assert facts.pop("group") == str(os.getpgid(daemon.pid))
            assert (facts["nice"], facts["oom_score_adj"]) == expected
        daemon.request("stop")
        assert daemon.wait() == 0
    for name in NAMES:
        assert found["all"][name] == found["off"][name]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_nursery_that_ends_is_followed_by_another_and_nobody_notices(
    daemon: FakeDaemon, number: signal.Signals
) -> None:
    daemon.up()
    first = wait_nursery(daemon)
    before = {name: daemon.row(name)["pid"] for name in NAMES}
    os.kill(first["pid"], number)
    daemon.wait_event("nursery_ended", signal=int(number))
    # At once, by exec: the next nursery is not waited for.
    kill(daemon, "liveness")
    second = wait_nursery(daemon, first["generation"])
    assert second["generation"] == 2
    kill(daemon, "liveness")
    assert wait_nursery(daemon)["forked"] == first["forked"] + 1
    del before["liveness"]
    assert {name: daemon.row(name)["pid"] for name in before} == before
    assert roles(daemon) == sorted([*NAMES, "nursery"])


def test_a_nursery_that_stands_still_is_killed_and_the_child_comes_all_the_same(daemon: FakeDaemon) -> None:
    daemon.up()
    first = wait_nursery(daemon)
    os.kill(first["pid"], signal.SIGSTOP)
    kill(daemon, "liveness")
    assert "no answer within" in daemon.wait_event("nursery_failed")["detail"]
    wait_nursery(daemon, first["generation"])
    assert roles(daemon) == sorted([*NAMES, "nursery"])


@pytest.mark.parametrize("how", ["SIGSTOP", "SIGKILL"])
def test_a_nursery_that_forked_and_does_not_say_so_gives_no_second_connection(
    daemon: FakeDaemon, how: str
) -> None:
    """The child is there and waits for its boot record, and another one is started in its place."""
    hook(daemon, HANGS, hang="hang", how=how)
    daemon.up()
    first = wait_nursery(daemon)
    (daemon.place / "hang").touch()
    name = "control_connection"
    os.kill(daemon.row(name)["pid"], signal.SIGKILL)
    daemon.wait_event("nursery_failed")
    (daemon.place / "hang").unlink()
    ready = daemon.wait_event("actor_ready", actor=name, generation=2)
    assert (
        ready["pid"]
        == daemon.row(name)["pid"]
        == daemon.wait_event("actor_started", actor=name, generation=2)["pid"]
    )
    wait_nursery(daemon, first["generation"])
    wait_for(lambda: roles(daemon) == sorted([*NAMES, "nursery"]), LIMIT, "nobody left of the other one")
    assert not daemon.events("actor_exited", actor=name, generation=2)
    # It was not heard, either: what it says is not the other one's failure.
    assert not daemon.events("actor_failed", generation=2)
    assert daemon.end() == 0


@pytest.mark.parametrize("who", ["publisher", "nursery", "supervisor", "somebody"])
def test_a_nursery_that_names_another_process_harms_nobody(daemon: FakeDaemon, who: str) -> None:
    """Whoever is taken for a child is killed as soon as it does not answer as one."""
    hook(daemon, LIES)
    daemon.up()
    first = wait_nursery(daemon)
    with subprocess.Popen(["sleep", "600"]) as somebody:
        pids = {"supervisor": daemon.pid, "nursery": first["pid"], "somebody": somebody.pid}
        before = {name: daemon.row(name)["pid"] for name in NAMES}
        (daemon.place / "lie").write_text(str((pids | before)[who]))
        assert kill(daemon, "liveness")["state"] == "active"
        assert "cannot fork liveness: " in daemon.wait_event("nursery_failed")["detail"]
        wait_nursery(daemon, first["generation"])
        wait_for(lambda: roles(daemon) == sorted([*NAMES, "nursery"]), LIMIT, "nobody left of the other one")
        del before["liveness"]
        assert {name: daemon.row(name)["pid"] for name in before} == before
        assert daemon.end() == 0
        assert somebody.poll() is None
        somebody.kill()


def test_how_long_a_forked_child_waits_for_a_processor_is_seen_where_others_in_proc_are_hidden(
    daemon: FakeDaemon,
) -> None:
    """As with ProtectProc=invisible: of a process that cannot be dumped nobody else may open anything."""
    hook(daemon, HIDDEN)
    daemon.up()
    pid = kill(daemon, "liveness")["pid"]
    held = set()
    for path in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            held.add(str(path.readlink()))
    assert {f"/proc/{pid}/stat", f"/proc/{pid}/schedstat"} <= held
    seen = {path.partition("/proc/")[2].partition("/")[0] for path in held if path.endswith("/schedstat")}
    assert seen == {str(daemon.row(name)["pid"]) for name in NAMES}, "and none of one that has ended"


def test_where_no_process_can_be_forked_children_are_started_by_exec(daemon: FakeDaemon) -> None:
    hook(daemon, CANNOT_FORK)
    daemon.up()
    first = wait_nursery(daemon)
    (daemon.place / "crowded").touch()
    kill(daemon, "publisher")
    failed = daemon.wait_event("nursery_failed")
    assert failed["detail"] == f"cannot fork publisher: {os.strerror(11)}"
    (daemon.place / "crowded").unlink()
    wait_nursery(daemon, first["generation"])


def test_where_not_even_the_nursery_can_be_forked_it_is_started_by_exec(daemon: FakeDaemon) -> None:
    hook(daemon, CANNOT_FORK)
    (daemon.place / "crowded").touch()
    daemon.up()
    assert wait_nursery(daemon)["forked"] == len(NAMES)


@pytest.mark.parametrize("stuck", [False, True], ids=["ends", "hangs"])
def test_a_nursery_that_cannot_load_keeps_no_run_from_coming_up(daemon: FakeDaemon, *, stuck: bool) -> None:
    hook(daemon, NEVER_LOADS, stuck=stuck)
    daemon.up()
    assert nursery(daemon) is None
    assert daemon.end() == 0


def test_the_end_of_a_nursery_is_seen_though_the_starter_ignored_the_end_of_children(
    daemon: FakeDaemon,
) -> None:
    """The kernel would reap it, and keep from the daemon how it ended (waitpid(2))."""
    hook(daemon, NEVER_LOADS, stuck=False)
    hook(daemon, 'if "-c" in sys.orig_argv: signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n')
    daemon.up()
    assert daemon.wait_event("nursery_ended")["status"] == 1
    assert daemon.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_while_its_nursery_loads_ends_at_once(
    daemon: FakeDaemon, number: signal.Signals
) -> None:
    hook(daemon, NEVER_LOADS, stuck=True)
    daemon.start()
    wait_for((daemon.place / "boots" / "stuck").exists, LIMIT, "a nursery that loads")
    daemon.wait_event("run_started")
    fds = pidfds(children_of(daemon.pid))
    watch = Stopwatch()
    assert daemon.end(number) == 0
    assert watch.seconds() < 5.0
    wait_gone(fds, 0.1)
    assert not daemon.events("up")


def test_a_signal_to_the_whole_group_ends_the_run_in_order(daemon: FakeDaemon) -> None:
    """As `kill -- -PGID` and a service manager do that tells every process."""
    daemon.process_group = 0
    daemon.up()
    fds = pidfds(children_of(daemon.pid))
    for _ in range(5):
        os.killpg(daemon.pid, signal.SIGINT)
    os.killpg(daemon.pid, signal.SIGTERM)
    assert daemon.wait() == 0
    wait_gone(fds, 0.1)
    assert not daemon.events("nursery_ended"), "the nursery is the Supervisor's to end"
    assert not daemon.events("child_killed")


def test_who_has_no_nursery_any_more_gets_one_with_its_runtime_directory(daemon: FakeDaemon) -> None:
    daemon.up()
    wait_nursery(daemon)
    shutil.rmtree(daemon.runtime_dir)
    daemon.wait_event("begins_anew")
    daemon.wait_event("up", after=1)
    assert wait_nursery(daemon)["forked"] == len(NAMES)
    assert roles(daemon) == sorted([*NAMES, "nursery"])


def test_the_first_nursery_loads_the_connection_and_each_other_when_it_is_first_to_fork_it(
    daemon: FakeDaemon,
) -> None:
    """However long that takes: it is no nursery that hangs."""
    hook(daemon, LOADS_SLOWLY, seconds=2 * ORDER_LIMIT)
    daemon.up()
    pid = wait_nursery(daemon)["pid"]

    def loaded() -> list[str]:
        lines = map(str.split, (daemon.place / "boots" / "loads").read_text().splitlines())
        return list(dict.fromkeys(actor for loader, actor in lines if int(loader) == pid))

    order = ["control_connection", "publisher", "liveness"]
    assert loaded() == order
    assert [event["actor"] for event in daemon.events("actor_started")] == ["dev_control", *order]
    assert not daemon.events("nursery_failed")


def test_a_program_that_was_replaced_below_the_run_is_told_and_its_children_go_on(daemon: FakeDaemon) -> None:
    """As an installer does it: what was there is moved away, and something new is put in its place."""
    program, older = daemon.place / "program", daemon.place / "older"
    program.mkdir()
    (program / "__init__.py").write_text("x = 1\n")
    hook(daemon, LOOKS_OFTEN)
    daemon.up()
    wait_nursery(daemon)
    wait_for((daemon.place / "looked").exists, LIMIT, "a look at what was loaded")
    # The first look is over once there is a second one.
    (daemon.place / "looked").unlink()
    wait_for((daemon.place / "looked").exists, LIMIT, "another look")
    assert not daemon.events("degraded")
    program.rename(older)
    shutil.copytree(older, program, copy_function=shutil.copyfile)
    told = daemon.wait_event("degraded", code="version_mismatch")
    assert "restart the daemon" in told["text"]
    assert [one["code"] for one in daemon.request("status")["degraded"]] == ["version_mismatch"]
    assert kill(daemon, "liveness")["state"] == "active"
    shutil.rmtree(program)
    older.rename(program)
    daemon.wait_event("healed", code="version_mismatch")


def test_off_is_off(daemon: FakeDaemon) -> None:
    daemon.write_settings(nursery="off")
    daemon.up()
    assert nursery(daemon) is None
    assert roles(daemon) == sorted(NAMES)


def test_not_connection_forks_all_others(daemon: FakeDaemon) -> None:
    daemon.write_settings(nursery="not-connection")
    daemon.up()
    assert wait_nursery(daemon)["forked"] == len(NAMES) - 1
    kill(daemon, "control_connection")
    assert wait_nursery(daemon)["forked"] == len(NAMES) - 1
    kill(daemon, "publisher")
    assert wait_nursery(daemon)["forked"] == len(NAMES)


def test_a_nursery_that_cannot_be_watched_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def refuse(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    gc.collect()  # as a fork does: what other tests left open is closed now
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(OSError, match="Too many open files"):
        execute_nursery(Rooms(), dict(os.environ))
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(started[0], 0)
