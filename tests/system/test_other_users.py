"""The commands of users who may not see everything: what they may not is told, and no daemon is said to be missing."""

from __future__ import annotations

import grp
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.availability import unavailable
from tests.support.host import netns
from tests.support.processes.daemon import Daemon
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "netmap-supervisor-export@.service"
LIMIT = 20.0
SOMEBODY = 4242
SCRIPT = """
import difflib, os, sys
user, group, *words = sys.argv[1:]
# Loaded first: the interpreter may lie in root's home.
import netmap_supervisor.cli as cli
context = cli.commands.make_context("x", ["status"], resilient_parsing=True)
loaded = [cli.commands.get_command(context, name) for name in cli.commands.list_commands(context)]
from netmap_actors.subscriber import Subscriber
import pwd
os.setgroups([])
os.setresgid(int(group), int(group), int(group))
os.setresuid(int(user), int(user), int(user))
sys.exit(cli.main(words))
"""
ORDERS = (
    ("status",), ("status", "--json"), ("stop",), ("reconnect",), ("reload",), ("fault", "kill", "publisher"),
)  # fmt: skip
READERS = (
    ("netmap",), ("netmap", "--json"), ("export", "hosts"), ("wait", "--timeout", "2s"),
    ("export", "json", "-o", "/nowhere/x"),
)  # fmt: skip


@pytest.fixture(scope="module")
def group() -> grp.struct_group:
    return next(group for group in grp.getgrall() if group.gr_gid != 0)


@pytest.fixture(scope="module")
def daemon(group: grp.struct_group) -> Iterator[Daemon]:
    """Root's, which lets a group subscribe."""
    if os.geteuid() != 0:
        unavailable("to be somebody else needs root")
    settings = f'[subscribers]\nsocket_group = "{group.gr_name}"\n'
    with Daemon("--dev-churn=0", config=settings) as daemon:
        daemon.directory.chmod(0o711)
        daemon.wait_fresh()
        yield daemon


def as_somebody(daemon: Daemon, gid: int, *words: str, there: str = "") -> subprocess.CompletedProcess[str]:
    """A command of a user who is not the daemon's; `there`: about another runtime directory."""
    command = [sys.executable, "-P", "-c", SCRIPT, str(SOMEBODY), str(gid), *words]
    return subprocess.run(
        [*command, f"--runtime-dir={there or daemon.runtime_dir}"],
        env=daemon._env,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize(
    "words", [*ORDERS, *READERS, ("watch", "--json"), ("export", "hosts", "-o", "/tmp/x", "--follow")]
)
def test_a_stranger_is_told_whose_daemon_it_is(daemon: Daemon, words: tuple[str, ...]) -> None:
    done = as_somebody(daemon, SOMEBODY, *words)
    assert done.returncode == (124 if words[0] == "wait" else 1), done.stderr
    assert done.stdout == ""
    assert "belongs to user root" in done.stderr
    assert "running" not in done.stderr
    assert daemon.status() is not None


@pytest.mark.parametrize("member", [True, False])
@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("server",), ("revoke", "web")])
def test_whose_keys_they_are_is_said_to_who_may_not_look(
    daemon: Daemon, group: grp.struct_group, words: tuple[str, ...], member: bool
) -> None:
    done = as_somebody(daemon, group.gr_gid if member else SOMEBODY, "keys", *words)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert (
        f"cannot look into {daemon.runtime_dir}: it belongs to user root; run this command as root"
        in done.stderr
    )
    assert "admitted" not in done.stderr


def test_root_is_named_once(daemon: Daemon) -> None:
    done = as_somebody(daemon, SOMEBODY, "status")
    assert done.stderr.count("as root") == 1


def test_a_member_of_the_group_reads_the_netmap_and_gives_no_orders(
    daemon: Daemon, group: grp.struct_group
) -> None:
    for words in READERS[:-1]:
        done = as_somebody(daemon, group.gr_gid, *words)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout or words[0] == "wait"
    for words in ORDERS:
        done = as_somebody(daemon, group.gr_gid, *words)
        assert done.returncode == 1, words
        assert "belongs to user root" in done.stderr
        assert "running" not in done.stderr


def test_where_there_is_no_daemon_that_is_said_to_everybody(daemon: Daemon) -> None:
    done = as_somebody(daemon, SOMEBODY, "status", there="/tmp/nobody-is-here")
    assert (done.returncode, "none is running" in done.stderr) == (3, True)


@pytest.mark.netns
def test_the_exporter_keeps_its_file_as_its_unit_starts_it(daemon: Daemon, group: grp.struct_group) -> None:
    """Its user, a group that may subscribe, and no network; neither systemd nor its sandbox is here."""
    if (reason := netns.problem()) is not None:
        unavailable(reason)
    unit = UNIT.read_text()
    assert "\nPrivateNetwork=yes\n" in unit
    (line,) = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    (settings,) = re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)
    with tempfile.TemporaryDirectory(prefix="nm-", dir="/tmp") as directory:
        os.chown(directory, SOMEBODY, SOMEBODY)
        places = {"%i": "hosts", "/run/tailnet": directory, "%t/netmap-supervisor": str(daemon.runtime_dir)}
        for name, value in places.items():
            settings, line = settings.replace(name, value), line.replace(name, value)
        env = dict(word.split("=", 1) for word in settings.split())
        words = shlex.split(re.sub(r"\$\{?(\w+)\}?", lambda at: env[at[1]], line))
        command = [
            "unshare",
            "--net",
            sys.executable,
            "-P",
            "-c",
            SCRIPT,
            str(SOMEBODY),
            str(group.gr_gid),
            *words,
        ]
        exporter = subprocess.Popen(command, env=daemon._env | env, stdin=subprocess.DEVNULL)
        try:
            wait_for((file := Path(directory, "hosts")).exists, LIMIT, "the exported file")
            assert "# State: fresh." in file.read_text()
            assert file.stat().st_uid == SOMEBODY
            exporter.terminate()
            assert exporter.wait(LIMIT) == 0
        finally:
            exporter.kill()
            exporter.wait()
