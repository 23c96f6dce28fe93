"""The nursery that is forked before a run has read anything: when there is one, and that no run leaves it behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_supervisor.system.nursery_process import BOTH_LOAD, expects_nursery
from tests.contract.test_layers import loaded_by
from tests.support.processes.daemon import PROGRAM, Daemon, clean_environment
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT = 40.0
VARIABLE = "NETMAP_SUPERVISOR_AUTH_KEY"


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["run"], {}, True),
        (["run", "--config=x", "--auth-key=file:/key"], {"HTTPS_PROXY": "http://proxy:3128"}, True),
        (["run"], {VARIABLE: "file:/key"}, True),
        ([], {}, False),
        (["status"], {}, False),
        (["watch", "run"], {}, False),
        (["run", "--help"], {}, False),
        (["run", "--view=off", "-h"], {}, False),
        (["run", "--demo-faults"], {}, False),
        (["run", "--auth-key=env:KEY"], {}, False),
        (["run", "--auth-key", "env:KEY"], {}, False),
        (["run"], {VARIABLE: "env:KEY"}, False),
        (["run"], {"https_proxy": "http://user:password@proxy:3128"}, False),
        (["run"], {"ALL_PROXY": "socks5://user:password@proxy:3128"}, False),
        (["run"], {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "nonsense"}, False),
    ],
)
def test_when_a_nursery_is_forked_first(
    arguments: Sequence[str], environment: Mapping[str, str], *, expected: bool
) -> None:
    assert expects_nursery(arguments, environment) == expected


def of_group(group: int) -> list[int]:
    """Processes of this group, dead ones that nobody has waited for, too."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has gone
        if int(fields[2]) == group:
            found.append(int(stat.parent.name))
    return found


def run_to_its_end(place: Path, *options: str) -> tuple[int, list[int]]:
    """Its exit status, and who is left of its group."""
    command = [*PROGRAM, "run", f"--state-dir={place / 'state'}", f"--runtime-dir={place / 'run'}", *options]
    started = subprocess.Popen(
        command,
        env=clean_environment(place),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    status = started.wait(LIMIT)
    return status, of_group(started.pid)


@pytest.mark.parametrize(
    ("options", "status"),
    [(["--help"], 0), (["--nonsense"], 2), (["--silence-timeout=never"], 78), (["--proxy=env:X"], 78)],
)
def test_a_run_that_does_not_begin_leaves_no_process(tmp_path: Path, options: list[str], status: int) -> None:
    assert run_to_its_end(tmp_path, *options) == (status, [])


def test_a_second_run_leaves_no_process() -> None:
    with Daemon().start() as daemon:
        daemon.wait_event("up", LIMIT)
        assert run_to_its_end(daemon.directory, "--view=off") == (1, [])


FORKS = """
    import json, os, sys
    from pathlib import Path
    from netmap_supervisor.system import nursery_process
    {before}
    first = nursery_process.fork_first(["run"], os.environ)
    if first is not None:
        pid = first._nursery.process.pid
    {after}
    try:
        left = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        left = []
    print(json.dumps([first is not None, left, sorted(os.listdir("/proc/self/fd"))[3:-1]]))
"""


def forks(before: str = "", after: str = "first.close()") -> list[object]:
    """Whether there was one, the child that is left, open files."""
    program = textwrap.dedent(FORKS.format(before=before, after=after))
    shown = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=LIMIT
    )
    told: list[object] = json.loads(shown.stdout)
    return told


def test_one_that_nobody_takes_is_ended_and_reaped() -> None:
    assert forks() == [True, [], []]


@pytest.mark.parametrize(
    "before",
    [
        "os.pidfd_open = lambda pid: os.open('/does-not-exist', 0)",
        "os.fork = lambda: os.open('/does-not-exist', 0)",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "sys.stdin = None",
    ],
    ids=["cannot be watched", "cannot be forked", "a thread", "no standard input"],
)
def test_where_it_cannot_be_there_is_none_and_nothing_is_left(before: str) -> None:
    assert forks(before, after="") == [False, [], []]


def test_what_both_load_is_loaded_before_the_fork() -> None:
    """After it, each would load it, and hold it, by itself."""
    first = loaded_by(
        "import importlib, netmap_supervisor.system.nursery_process\n"
        f"for name in {BOTH_LOAD}: importlib.import_module(name)"
    )
    ours = loaded_by(
        "import netmap_supervisor.__main__, netmap_supervisor.cli.run, netmap_supervisor.daemon.run, "
        "netmap_supervisor.daemon.supervisor"
    )
    theirs = loaded_by(
        "from netmap_actors.nursery import forking\nforking.bootstrap.preload()\n"
        "forking.load(['control_connection', 'publisher', 'liveness'])"
    )
    assert (ours & theirs) - first == set()
    assert {name for name in first - ours - theirs if "." in name} == set(), "and nothing else is"


def test_it_is_confined_as_the_supervisor_is() -> None:
    with Daemon().start() as daemon:
        daemon.wait_event("up", LIMIT)
        status = wait_for(
            lambda: (found := daemon.status()) and found["nursery"] and found, LIMIT, "a nursery"
        )
        places = [Path(f"/proc/{pid}") for pid in (daemon.pid, status["nursery"]["pid"])]
        held, limits = [], []
        for place in places:
            lines = dict(line.split(":\t", 1) for line in (place / "status").read_text().splitlines())
            kept = (
                "CapInh",
                "CapPrm",
                "CapEff",
                "CapBnd",
                "CapAmb",
                "NoNewPrivs",
                "Seccomp",
                "Seccomp_filters",
            )
            held.append({name: lines[name] for name in kept})
            limits.append((place / "limits").read_text())
        assert held[0] == held[1]
        assert limits[0] == limits[1]


@pytest.mark.parametrize("told", ["flag", "variable", "file"])
def test_where_the_environment_holds_the_key_it_is_started_by_exec(told: str) -> None:
    """Only the settings tell in which variable it lies, and they are read after the fork."""
    if os.geteuid() != 0:
        pytest.skip("only root sees where the libraries of a process that cannot be dumped lie")
    source = "env:TAILNET_KEY"
    options = ["--control-url=http://127.0.0.1:9", *([f"--auth-key={source}"] if told == "flag" else [])]
    env = {"TAILNET_KEY": "tskey-auth-marker"} | ({VARIABLE: source} if told == "variable" else {})
    config = f'[control]\nauth_key = "{source}"\n' if told == "file" else ""
    with Daemon(*options, env=env, config=config).start() as daemon:
        daemon.wait_event("actor_ready", LIMIT, actor="publisher")
        status = wait_for(lambda: (found := daemon.status()) and found["nursery"] and found, LIMIT, "one")
        supervisor, nursery = (
            next(
                line.partition("-")[0]
                for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
                if "libc.so" in line
            )
            for pid in (daemon.pid, status["nursery"]["pid"])
        )
        assert supervisor != nursery, "its address space is another one"
