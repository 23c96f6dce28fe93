"""Real child processes: however an actor ends, its parent learns why; however the parent ends, no child stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import msgspec
import pytest
import zmq

from netmap_actors.boot import Boot, Endpoints, LivenessSettings
from netmap_actors.exit_reason import ExitReason, status_of
from netmap_actors.wire import internal_pb2
from tests.support.processes import pairs
from tests.support.waiting import Stopwatch

RUN = "0123456789abcdef"
LIMIT = 20


@pytest.fixture
def runtime():
    # Unix socket paths are short; pytest's own directories are not.
    with tempfile.TemporaryDirectory(prefix="nm-") as path:
        yield Path(path)


class Parent:
    """The least a Supervisor must be: a ROUTER, a life pipe and a spawn."""

    def __init__(self, runtime: Path) -> None:
        self.codec = pairs.supervisor(RUN, "liveness")
        self.endpoints = Endpoints(
            **{
                name: f"ipc://{runtime}/{name}"
                for name in ("supervisor", "liveness", "publisher", "updates", "requests")
            }
        )
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.bind(self.endpoints.supervisor)
        self.life_read, self.life_write = os.pipe()
        self.child: subprocess.Popen[bytes] | None = None
        self.address = b""

    def boot(self, **changes) -> Boot:
        fields = {
            "run": RUN,
            "actor": "liveness",
            "generation": 1,
            "parent_pid": os.getpid(),
            "life_fd": self.life_read,
            "endpoints": self.endpoints,
            "secrets": pairs.secrets_of("liveness"),
            "heartbeat_interval": 0.1,
            "settings": msgspec.Raw(msgspec.json.encode(LivenessSettings())),
        }
        return Boot(**(fields | changes))

    def spawn(self, boot: bytes | None = None, program: str | None = None) -> subprocess.Popen[bytes]:
        read_fd, write_fd = os.pipe()
        os.write(write_fd, boot if boot is not None else msgspec.json.encode(self.boot()))
        os.close(write_fd)
        start = ["-m", "netmap_actors", "liveness", "--boot-fd", str(read_fd)]
        if program is not None:
            start = ["-c", textwrap.dedent(program), str(read_fd)]
        self.child = subprocess.Popen(
            [sys.executable, "-P", *start], pass_fds=(read_fd, self.life_read), stderr=subprocess.PIPE
        )
        os.close(read_fd)
        return self.child

    def next(self, body: str) -> internal_pb2.Envelope:
        """Wait for the next message of this kind."""
        deadline = time.monotonic() + LIMIT
        while self.router.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            self.address, data = self.router.recv_multipart()
            envelope = self.codec.open(data)
            if envelope.WhichOneof("body") == body:
                return envelope
        raise AssertionError(f"no {body} within {LIMIT} s")

    def tell(self, body) -> None:
        self.router.send_multipart([self.address, self.codec.wrap(body)])

    def log(self) -> list[dict]:
        assert self.child is not None
        _, err = self.child.communicate(timeout=LIMIT)
        return [json.loads(line) for line in err.splitlines()]

    def close(self) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.router.close(0)
        self.context.term()
        for fd in (self.life_read, self.life_write):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def parent(runtime):
    parent = Parent(runtime)
    yield parent
    parent.close()


def test_a_child_says_hello_then_ready_then_beats(parent) -> None:
    child = parent.spawn()
    hello = parent.next("hello")
    assert hello.hello.pid == child.pid
    assert hello.hello.time_namespace == str(Path("/proc/self/ns/time").readlink())
    parent.next("ready")
    first = parent.next("heartbeat").heartbeat
    second = parent.next("heartbeat").heartbeat
    assert second.number > first.number
    assert first.rss_bytes > 1_000_000


def test_a_child_that_is_asked_to_stop_ends_normally(parent) -> None:
    child = parent.spawn()
    parent.next("ready")
    parent.tell(internal_pb2.Stop(reason="test"))
    assert child.wait(LIMIT) == 0


def test_ctrl_c_reaches_the_group_but_stops_no_child(parent) -> None:
    child = parent.spawn()
    parent.next("ready")
    child.send_signal(signal.SIGINT)
    parent.next("heartbeat")
    child.send_signal(signal.SIGTERM)
    assert child.wait(LIMIT) == 0


def test_the_end_of_the_life_pipe_ends_the_child(parent) -> None:
    child = parent.spawn()
    parent.next("ready")
    os.close(parent.life_write)
    parent.life_write = -1
    assert child.wait(LIMIT) == status_of(ExitReason.PARENT_GONE)


@pytest.mark.parametrize("boot", [b"", b"not json", b"[]", b"{}"])
def test_a_boot_record_that_is_none_is_a_configuration_error(parent, boot) -> None:
    child = parent.spawn(boot)
    assert child.wait(LIMIT) == status_of(ExitReason.CONFIGURATION)
    assert "cannot read what to do" in parent.log()[0]["detail"]


def test_a_child_of_somebody_else_does_not_start(parent) -> None:
    child = parent.spawn(msgspec.json.encode(parent.boot(parent_pid=1)))
    assert child.wait(LIMIT) == status_of(ExitReason.PARENT_GONE)


ACTOR = """
    import sys, types
    from netmap_actors.process import bootstrap
    from netmap_actors.process.actor_base import ActorBase
    from netmap_actors.errors import *
    from netmap_actors.exit_reason import ExitReason

    class Liveness(ActorBase):
        def setup(self):
            {setup}
        def on_supervisor(self, envelope):
            {on_supervisor}

    module = types.ModuleType("fake")
    module.Liveness = Liveness
    sys.modules["fake"] = module
    bootstrap.ACTOR_CLASSES["liveness"] = "fake:Liveness"
    bootstrap.main("liveness", int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        ("raise ValueError('boom')", ExitReason.CRASHED),
        ("raise SystemExit(0)", ExitReason.CRASHED),
        ("raise AuthRefused('no')", ExitReason.LOGIN_REFUSED),
        ("raise RemoteProtocolError('no')", ExitReason.ERROR),
        ("self.finish(ExitReason.CLOSED)", ExitReason.CLOSED),
        ("self.loop.call_soon(lambda: 1 / 0)", ExitReason.CRASHED),
        ("self.actor_ref.tell('a message it does not know')", ExitReason.CRASHED),
        ("self.actor_ref.stop(block=False)", ExitReason.NORMAL),
    ],
)
def test_f51_every_end_of_an_actor_is_an_exit_status(parent, setup, reason) -> None:
    child = parent.spawn(program=ACTOR.format(setup=setup, on_supervisor="pass"))
    assert child.wait(LIMIT) == status_of(reason)


def test_f51_an_exception_in_a_handler_is_logged_with_its_place_and_ends_the_process(parent) -> None:
    program = ACTOR.format(setup="self.ready()", on_supervisor="raise KeyError('what')")
    child = parent.spawn(program=program)
    parent.next("ready")
    parent.tell(internal_pb2.Resync(reason="test"))
    assert child.wait(LIMIT) == status_of(ExitReason.CRASHED)
    line = next(line for line in parent.log() if line["event"] == "actor_failed")
    assert line["error"] == "KeyError"
    assert any("on_supervisor" in place for place in line["where"])
    assert (line["actor"], line["pid"], line["generation"]) == ("liveness", child.pid, 1)


def test_a_child_with_a_full_log_pipe_goes_on_working(parent) -> None:
    program = ACTOR.format(
        setup="[self.log.info('noise', text='x' * 3000) for _ in range(1000)]; self.ready()",
        on_supervisor="pass",
    )
    parent.spawn(program=program)
    parent.next("ready")


def test_no_child_outlives_a_parent_that_was_killed(runtime) -> None:
    """A parent of its own, killed with SIGKILL: the child's end is seen by the end of a pipe it holds."""
    read_fd, write_fd = os.pipe()
    program = f"""
        import os, sys, time
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from tests.process.test_bootstrap import Parent
        parent = Parent(Path({str(runtime)!r}))
        os.set_inheritable({write_fd}, True)
        import subprocess, msgspec
        r, w = os.pipe(); os.write(w, msgspec.json.encode(parent.boot())); os.close(w)
        child = subprocess.Popen([sys.executable, "-P", "-m", "netmap_actors", "liveness", "--boot-fd", str(r)],
                                 pass_fds=(r, parent.life_read, {write_fd}))
        parent.next("ready")
        print(child.pid, flush=True)
        child.wait()
    """
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(program)], pass_fds=(write_fd,), stdout=subprocess.PIPE
    )
    os.close(write_fd)
    assert parent.stdout is not None
    assert int(parent.stdout.readline()) > 0
    watch = Stopwatch()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    os.set_blocking(read_fd, True)
    assert os.read(read_fd, 1) == b"", "the pipe is at its end when the last process that held it is gone"
    assert watch.seconds() < 2.0
    os.close(read_fd)


@pytest.mark.parametrize(
    "given", [[], ["nobody", "--boot-fd", "3"], ["liveness", "--boot-fd", "x"], ["liveness"]]
)
def test_who_starts_an_actor_by_hand_is_told_who_does_it(given: list[str]) -> None:
    command = [sys.executable, "-P", "-m", "netmap_actors", *given]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert ended.returncode == 1
    assert ended.stderr.startswith("cannot start an actor: ")
    assert "as netmap-supervisor run calls it" in ended.stderr
