"""Refused system calls of real processes: answered with EPERM, counted, at a bounded rate, also late and not at all."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netmap_actors.bus.loop import Loop
from netmap_actors.confinement.seccomp_calls import AARCH64, X86_64
from netmap_supervisor.daemon.refused_calls import BURST, MAX_LINES, PER_SECOND, RefusedCalls
from tests.support.waiting import Stopwatch

LIMIT = 20.0

PROGRAM = """
    import json, os, sys, time
    from netmap_actors.confinement import seccomp
    from netmap_actors.confinement.seccomp_filter import ANYHOW, NEVER, CallRule
    from netmap_actors.confinement.seccomp_calls import native

    def told(**facts):
        os.write(1, json.dumps(facts).encode() + b"\\n")

    def tried(call):
        try:
            call()
            return 0
        except OSError as error:
            return error.errno

    rules = dict.fromkeys(native().numbers, ANYHOW)
    refused = sys.argv[2].split(",")
    rules = {name: rule for name, rule in rules.items() if name not in refused}
    line = int(sys.argv[1])
    began = time.perf_counter()
    told(how=seccomp.restrict(rules, line), took=time.perf_counter() - began)
    if line >= 0:
        os.close(line)
"""


class Child:
    def __init__(
        self, then: str, refused: str = "getpriority", *, first: str = "", line: bool = True
    ) -> None:
        self.ours, theirs = socket.socketpair()
        program = textwrap.dedent(first) + textwrap.dedent(PROGRAM) + textwrap.dedent(then)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", program, str(theirs.fileno() if line else -1), refused],
            pass_fds=(theirs.fileno(),),
            stdout=subprocess.PIPE,
        )
        theirs.close()

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], LIMIT)[0], "it says nothing"
        return json.loads(self.process.stdout.readline())

    def says_nothing(self) -> bool:
        assert self.process.stdout is not None
        return not select.select([self.process.stdout], [], [], 0.2)[0]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.ours.close()


class Holder:
    """As the Supervisor does it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.lines: list[tuple[str, int, str]] = []
        self.calls = RefusedCalls(self.loop, lambda *line: self.lines.append(line))
        self.children: list[Child] = []

    def start(self, *arguments: Any, **options: Any) -> Child:
        child = Child(*arguments, **options)
        self.children.append(child)
        self.calls.expect("publisher", 7, child.ours)
        return child

    def run(self, until: Any, limit: float = LIMIT) -> None:
        end = self.loop.now() + limit
        timer = self.loop.every(0.02, lambda: None)
        self.loop.run(lambda: until() or self.loop.now() > end)
        timer.cancel()
        assert until()

    def close(self) -> None:
        for child in self.children:
            child.close()
        self.calls.close()
        self.loop.close()


@pytest.fixture
def holder() -> Iterator[Holder]:
    made = Holder()
    yield made
    made.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def listeners() -> list[int]:
    """Descriptors of ours."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if str(path.readlink()) == "anon_inode:seccomp notify":
                found.append(int(path.name))
    return found


def test_a_refused_call_is_answered_counted_and_told_once(holder: Holder) -> None:
    before = descriptors()
    watch = Stopwatch()
    child = holder.start("told(errors=[tried(lambda: os.getpriority(0, 0)) for _ in range(3)])")
    holder.run(lambda: holder.calls.counts() == {"publisher": {"getpriority": 3}})
    assert holder.calls.filtered() == {"publisher": "counted"}
    (listener,) = listeners()
    assert not os.get_inheritable(listener), "who holds it answers for us"
    first = child.told()
    assert first["how"] == ["counted", ""]
    assert first["took"] < watch.allowed(0.05), "two milliseconds on an idle machine"
    assert child.told() == {"errors": [1, 1, 1]}
    assert holder.lines == [("publisher", 7, "getpriority")]
    holder.run(lambda: child.process.poll() is not None)
    holder.calls.forget("publisher")
    child.close()
    assert descriptors() <= before, "its listener is closed"


def test_threads_that_were_there_before_are_held_to_it(holder: Holder) -> None:
    first = """
        import threading, os
        go = threading.Event()
        def work():
            go.wait()
            mode = [line for line in open("/proc/thread-self/status") if line.startswith("Seccomp:")]
            told(thread=tried(lambda: os.getpriority(0, 0)), mode=mode)
        thread = threading.Thread(target=work)
        thread.start()
    """
    child = holder.start("go.set(); thread.join()", first=first)
    holder.run(lambda: bool(holder.calls.counts()))
    child.told()
    assert child.told() == {"thread": 1, "mode": ["Seccomp:\t2\n"]}


def test_a_flood_of_refused_calls_is_slowed_to_what_costs_nothing(holder: Holder) -> None:
    child = holder.start("while True: tried(lambda: os.getpriority(0, 0))")
    holder.run(lambda: bool(holder.calls.counts()))
    began, used = time.monotonic(), time.process_time()
    holder.run(lambda: time.monotonic() > began + 3.0)
    counted = holder.calls.counts()["publisher"]["getpriority"]
    passed = time.monotonic() - began
    assert BURST + PER_SECOND <= counted <= BURST + PER_SECOND * (passed + 1.0)
    assert time.process_time() - used < 0.1 * passed
    assert child.process.poll() is None
    assert len(holder.lines) == 1


def test_a_child_that_tries_everything_gets_so_many_lines_and_no_more(holder: Holder) -> None:
    names = [
        "getpriority", "sync", "getsid", "setsid", "chdir", "fchdir", "linkat", "symlinkat", "mknodat", "truncate",
        "setitimer", "acct", "inotify_init1", "memfd_create", "splice", "tee", "vmsplice", "sched_setaffinity",
        "setpgid", "chroot",
    ]  # fmt: skip
    assert X86_64.numbers.keys() & AARCH64.numbers.keys() >= set(names), "on either machine"
    then = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        numbers = [native().numbers[name] for name in refused]
        told(all={libc.syscall(number, 0, 0, 0) for number in numbers} == {-1})
    """
    child = holder.start(then, ",".join(names))
    holder.run(lambda: len(holder.calls.counts().get("publisher", {})) >= MAX_LINES + 1)
    holder.run(lambda: child.process.poll() is not None)
    child.told()
    assert child.told() == {"all": True}
    assert len(holder.lines) == MAX_LINES


def test_a_holder_that_stands_still_costs_the_child_time_and_nothing_else(holder: Holder) -> None:
    child = holder.start("told(error=tried(lambda: os.getpriority(0, 0)))\nimport time; time.sleep(60)")
    child.told()
    assert child.says_nothing(), "nobody has answered"
    holder.run(lambda: bool(holder.calls.counts()))
    assert child.told() == {"error": 1}


def test_a_child_that_is_killed_while_it_waits_holds_nobody_up(holder: Holder) -> None:
    child = holder.start("tried(lambda: os.getpriority(0, 0))")
    holder.run(lambda: holder.calls.filtered()["publisher"] == "counted")
    child.told()
    child.process.send_signal(signal.SIGKILL)
    child.process.wait()
    watch = Stopwatch()
    holder.run(lambda: watch.wall() > 0.3, 5)
    assert watch.seconds() < 2


def test_without_a_listener_calls_are_refused_uncounted_and_it_is_said(holder: Holder) -> None:
    # An outer filter has a listener of its own: the kernel admits one (EBUSY).
    first = """
        import socket
        from netmap_actors.confinement import seccomp
        from netmap_actors.confinement.seccomp_calls import native
        from netmap_actors.confinement.seccomp_filter import ANYHOW, COUNTED, program
        outer = program(native(), dict.fromkeys(native().numbers, ANYHOW), COUNTED)
        assert seccomp._install(outer, seccomp._NEW_LISTENER) > 0
    """
    child = holder.start("told(error=tried(lambda: os.getpriority(0, 0)))", first=first)
    holder.run(lambda: holder.calls.filtered()["publisher"] is not None)
    assert holder.calls.filtered() == {"publisher": "refused"}
    how, why = child.told()["how"]
    assert how == "refused"
    assert "busy" in why
    assert child.told() == {"error": 1}
    assert holder.calls.counts() == {}


def test_where_the_kernel_takes_no_filter_it_is_off_and_said(holder: Holder) -> None:
    first = """
        from netmap_actors.confinement import seccomp
        from netmap_actors.confinement.seccomp_calls import native
        from netmap_actors.confinement.seccomp_filter import ALLOW, CallRule, program, refuse
        assert seccomp._install(program(native(), {"seccomp": CallRule((), refuse(38))}, ALLOW), 0) == 0
    """
    child = holder.start("told(error=tried(lambda: os.getpriority(0, 0)))", first=first)
    holder.run(lambda: holder.calls.filtered()["publisher"] is not None)
    assert holder.calls.filtered() == {"publisher": "off"}
    how, why = child.told()["how"]
    assert how == "off"
    assert "Function not implemented" in why
    assert child.told() == {"error": 0}


def test_what_is_no_listener_is_not_taken_for_one(holder: Holder) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        holder.calls.expect("liveness", 1, ours)
        read, write = os.pipe()
        socket.send_fds(theirs, [b"counted"], [read])
        os.close(read)
        holder.run(lambda: holder.calls.filtered()["liveness"] is not None)
        assert holder.calls.filtered()["liveness"] == "off"
        with pytest.raises(BrokenPipeError):
            os.write(write, b"x")  # the other end was closed
        os.close(write)
        holder.calls.forget("liveness")


def test_a_process_that_ends_before_it_is_up_leaves_nothing(holder: Holder) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        holder.calls.expect("liveness", 1, ours)
        theirs.close()
        began = time.monotonic()
        waits = holder.loop.waits
        holder.run(lambda: time.monotonic() > began + 0.2)
        assert holder.loop.waits - waits < 40, "the end of its line is told once"
        holder.calls.forget("liveness")
