"""The netmap for other machines and for HTTP clients, with the whole daemon and the commands a user has."""

from __future__ import annotations

import ast
import http.client
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from netmap_supervisor import Subscriber
from tests.support.availability import unavailable
from tests.support.host.free_ports import free_address, free_port
from tests.support.processes.daemon import PROGRAM, Daemon
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 20.0


PAGE = Path(__file__).parents[2] / "docs" / "subscribers.md"
AT = "tcp://192.0.2.1:9740"
"""The daemon of the page."""


class Reachable(Daemon):
    """A daemon with both doors open."""

    def __init__(self) -> None:
        self.listen, self.http = f"tcp://127.0.0.1:{free_port(2)}", free_address()
        super().__init__(f"--listen={self.listen}", f"--http-listen={self.http}", "--dev-churn=1")

    def keys(self, *arguments: str) -> str:
        """What `keys` prints; it works on files and needs no daemon."""
        words = [*arguments] if arguments[0] == "generate" else [*arguments, f"--state-dir={self.state_dir}"]
        done = self.run_free("keys", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def healthy(self) -> bool:
        """The endpoint answers, and its netmap is fresh."""
        try:
            return self.get("/healthz")[0] == 200
        except ConnectionError:
            return False

    def get(self, target: str) -> tuple[int, bytes]:
        client = http.client.HTTPConnection(self.http, timeout=LIMIT)
        try:
            client.request("GET", target)
            response = client.getresponse()
            return response.status, response.read()
        finally:
            client.close()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Reachable]:
    with Reachable() as daemon:
        daemon.wait_fresh()
        yield daemon


def test_from_a_new_key_to_the_netmap_and_back_to_nothing(daemon: Reachable, tmp_path: Path) -> None:
    key_file = tmp_path / "laptop.key_secret"
    public = daemon.keys("generate", str(key_file))
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    secret = key_file.read_text().splitlines()[2]
    server_key = daemon.keys("server")
    with Subscriber.remote(daemon.listen, key_file=key_file, server_key=server_key) as early:
        assert not early.wait_for_answer(1.0)
    daemon.keys("allow", "laptop", public)
    assert json.loads(daemon.keys("list", "--json")) == [{"name": "laptop", "public_key": public}]
    with Subscriber.remote(daemon.listen, key_file=key_file, server_key=server_key) as remote:
        assert remote.wait_for(lambda view: view.state == "fresh", LIMIT)
        seq = remote.store.snapshot().seq
        assert remote.wait_for(lambda view: view.seq > seq, LIMIT)
        daemon.keys("revoke", "laptop")
        assert remote.wait_for(lambda view: view.state == "stale", LIMIT)
    assert daemon.events("subscriber_refused", actor="publisher")
    log = daemon.log_path.read_text()
    assert secret not in log
    server_secret = (daemon.state_dir / "curve" / "server.key_secret").read_text().splitlines()[2]
    assert server_secret not in log


def first_line(*command: str) -> str:
    """What it prints first; it is ended then."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            return process.stdout.readline()
        finally:
            process.terminate()


def test_the_lines_of_the_page_lead_to_the_netmap(daemon: Reachable, tmp_path: Path) -> None:
    section = PAGE.read_text().partition("\n## From another machine\n")[2].partition("\n## ")[0]
    values = {AT: daemon.listen, "laptop.key_secret": str(tmp_path / "laptop.key_secret")}

    def here(text: str) -> str:
        for name, value in values.items():
            text = text.replace(name, value)
        return text

    (program,) = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    typed = re.findall(r"^(?:laptop|daemon)\$ netmap-supervisor (.*?)(?: +#.*)?$", section, re.MULTILINE)
    for line in typed:
        command, *words = shlex.split(here(line))
        if command == "run":
            assert words == ["--listen", daemon.listen], "as the fixture has it"
        elif command == "watch":
            assert "peers" in first_line(*PROGRAM, command, *words)
        else:
            assert command == "keys"
            said = daemon.keys(*words)
            values |= {"generate": {"PUBLIC-KEY": said}, "server": {"SERVER-KEY": said}}.get(words[0], {})
    try:
        assert ast.literal_eval(first_line(sys.executable, "-u", "-c", here(program)))["type"] == "snapshot"
    finally:
        daemon.keys("revoke", "laptop")


SERVICE_USER = 4242
"""A user the machine has no name for, as with DynamicUser=."""


class OfAnotherUser(Daemon):
    """A daemon of a user who is not root, while the commands are root's."""

    def __init__(self) -> None:
        self.listen = f"tcp://127.0.0.1:{free_port(2)}"
        # It may read everything, for the interpreter may lie in root's home; it may write what is its own.
        rights = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
        who = (f"--reuid={SERVICE_USER}", f"--regid={SERVICE_USER}", "--clear-groups")
        super().__init__(f"--listen={self.listen}", "--dev-churn=0", prefix=("setpriv", *who, *rights))
        for made in (self.state_dir, self.runtime_dir):
            made.mkdir(mode=0o700)
        for path in (self.directory, self.state_dir, self.runtime_dir):
            os.chown(path, SERVICE_USER, SERVICE_USER)

    def as_root(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`keys …` by root, without the prefix."""
        command = [*PROGRAM, "keys", *words]
        return subprocess.run(
            command, env=self._env, capture_output=True, text=True, timeout=LIMIT, check=False
        )


@pytest.fixture
def of_another_user() -> Iterator[OfAnotherUser]:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        unavailable("a daemon of another user needs root and setpriv")
    with OfAnotherUser() as daemon:
        daemon.wait_fresh()
        yield daemon


def test_roots_keys_are_those_of_the_daemon_that_runs_as_somebody_else(
    of_another_user: OfAnotherUser, tmp_path: Path
) -> None:
    daemon, there = of_another_user, f"--runtime-dir={of_another_user.runtime_dir}"
    key_file = tmp_path / "laptop.key_secret"
    assert daemon.as_root("generate", str(key_file)).returncode == 0
    public = key_file.read_text().splitlines()[1]
    # Its files alone do not say where it runs: nothing is changed behind its back.
    refused = daemon.as_root("allow", "laptop", public, f"--state-dir={daemon.state_dir}")
    assert refused.returncode == 1
    assert "--runtime-dir" in refused.stderr
    allowed = daemon.as_root("allow", "laptop", public, there)
    assert (allowed.returncode, allowed.stderr) == (0, "laptop may subscribe\n")
    shown = daemon.as_root("list", "--json", there, f"--state-dir={daemon.state_dir}")
    assert json.loads(shown.stdout) == [{"name": "laptop", "public_key": public}]
    elsewhere = daemon.as_root("list", "--json", there, f"--state-dir={tmp_path}/other")
    assert json.loads(elsewhere.stdout) == [], "another state directory is not this daemon's"
    server_key = daemon.as_root("server", there).stdout.strip()
    with Subscriber.remote(daemon.listen, key_file=key_file, server_key=server_key) as remote:
        assert remote.wait_for(lambda view: view.state == "fresh", LIMIT)
        assert daemon.as_root("revoke", "laptop", there).returncode == 0
        assert remote.wait_for(lambda view: view.state == "stale", LIMIT)
    again = daemon.as_root("revoke", "laptop", there)
    assert again.returncode == 1
    assert "not among the allowed clients (nobody)" in again.stderr
    found = [daemon.state_dir, *daemon.state_dir.rglob("*")]
    assert {path.lstat().st_uid for path in found} == {SERVICE_USER}
    # What root has put there once is named, and does not end the daemon.
    os.chown(daemon.state_dir / "curve" / "allowed", 0, 0)
    taken = daemon.as_root("allow", "laptop", public, there)
    assert taken.returncode == 1
    assert "belongs to user 0" in taken.stderr
    assert daemon.running()


def test_wrong_keys_and_names_are_told_and_change_nothing(daemon: Reachable, tmp_path: Path) -> None:
    file = tmp_path / "one.key_secret"
    public = daemon.keys("generate", str(file))
    before = file.read_bytes()
    for words in (
        ("generate", str(file)),
        ("allow", "x", "no key", f"--state-dir={daemon.state_dir}"),
        ("allow", "../x", public, f"--state-dir={daemon.state_dir}"),
        ("revoke", "nobody", f"--state-dir={daemon.state_dir}"),
    ):
        done = daemon.run_free("keys", *words)
        assert done.returncode == 1, words
        assert done.stderr.startswith("netmap-supervisor: cannot "), done.stderr
    assert file.read_bytes() == before
    assert json.loads(daemon.keys("list", "--json")) == []


def test_http_shows_the_netmap_and_the_daemon(daemon: Reachable) -> None:
    assert wait_for(daemon.healthy, LIMIT, "a fresh netmap")

    def same() -> bool:
        shown = json.loads(daemon.get("/netmap")[1])
        printed = json.loads(daemon.command("netmap", "--json", check=True).stdout)
        assert set(shown) == set(printed)
        # Its peers come and go: two looks at one commit have to agree.
        names = [{peer["stable_id"]: peer for peer in one["peers"]} for one in (shown, printed)]
        return shown["seq"] == printed["seq"] and names[0] == names[1]

    assert wait_for(same, LIMIT, "the same netmap from both")
    families = {f.name: f for f in text_string_to_metric_families(daemon.get("/metrics")[1].decode())}
    up = {sample.labels["actor"]: sample.value for sample in families["netmap_actor_up"].samples}
    assert up == dict.fromkeys(
        ("supervisor", "dev_control", "publisher", "liveness", "control_connection", "http_endpoint"), 1.0
    )
    states = {
        s.labels["netmap_connection_state"]: s.value for s in families["netmap_connection_state"].samples
    }
    assert states["map_session"] == 1
    counted = {(s.labels["actor"], s.labels["event"]) for s in families["netmap_actor_events"].samples}
    assert ("publisher", "suppressed") in counted


def test_the_endpoint_may_die_and_comes_back_alone(daemon: Reachable) -> None:
    before = daemon.wait_fresh()
    killed = daemon.signal_actor("http_endpoint")
    after = daemon.wait_status(
        lambda status: any(
            row["name"] == "http_endpoint" and row["state"] == "active" and row["pid"] != killed
            for row in status["actors"]
        ),
        LIMIT,
        "a new http_endpoint",
    )
    pids = [
        {r["name"]: r["pid"] for r in s["actors"] if r["name"] != "http_endpoint"} for s in (before, after)
    ]
    assert pids[0] == pids[1]
    assert wait_for(daemon.healthy, LIMIT, "a fresh netmap")


def test_plain_tcp_is_refused_where_others_could_reach_it() -> None:
    with Daemon("--listen=tcp://0.0.0.0:9740", "--listen-plaintext") as refused:
        assert refused.wait() == 78
        assert "cannot serve tcp://0.0.0.0:9740 without CURVE" in refused.log_path.read_text()
    with Daemon("--http-listen=0.0.0.0:9641") as refused:
        assert refused.wait() == 78
        assert "cannot listen on 0.0.0.0:9641: other machines reach it" in refused.log_path.read_text()
