"""`check-client --attach`: the client is started by somebody else, who reads where."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes.daemon import PROGRAM, Daemon, clean_environment
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("waits")

ROW = re.compile(r"^(url|auth key|no TLS|CA) +(\S+)$", re.MULTILINE)


class Check:
    """A running `check-client --attach`."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.report = directory / "report.json"
        self.out, self.log = directory / "out.txt", directory / "log.txt"
        command = [*PROGRAM, "check-client", "--attach", f"--json={self.report}", *options]
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=clean_environment(directory)
            )

    def rows(self) -> dict[str, str]:
        """What it says about where to attach."""
        wait_for(
            lambda: "a device" in self.out.read_text() or self.process.poll() is not None, 20.0, self.said()
        )
        return dict(ROW.findall(self.out.read_text()))

    def said(self) -> str:
        return self.out.read_text() + self.log.read_text()

    def wait(self, limit: float) -> tuple[int, dict[str, Any]]:
        """Exit status, and outcomes by name."""
        status = self.process.wait(limit)
        return status, {one["name"]: one for one in json.loads(self.report.read_text())["scenarios"]}


@contextlib.contextmanager
def checking(directory: Path, *options: str) -> Iterator[Check]:
    check = Check(directory, *options)
    try:
        yield check
    finally:
        check.process.kill()
        check.process.wait()


def daemon(rows: dict[str, str], directory: Path, *options: str) -> Daemon:
    (directory / "key").write_text(rows["auth key"])
    return Daemon(
        f"--control-url={rows['url']}",
        f"--auth-key=file:{directory}/key",
        "--hostname=desk",
        "--silence-timeout=4s",
        *options,
    )


@pytest.mark.timeout(120)
def test_our_daemon_is_put_through_scenarios_one_by_one_over_tls(tmp_path: Path) -> None:
    names = ("join/first-map", "session/cut", "liveness/silence", "register/null", "session/goaway")
    options = [f"--scenario={name}" for name in names]
    with checking(
        tmp_path, "--limit=4s", "--tls-listen=127.0.0.1:0", "--attach-limit=40s", *options
    ) as check:
        rows = check.rows()
        with daemon(rows, tmp_path, f"--ca-file={rows['CA']}"):
            status, held = check.wait(100.0)
        said = check.said()
    verdicts = {name: (one["verdict"], one["seen"]) for name, one in held.items()}
    skipped = "needs a client that joins for the first time: give check-client a command that starts it"
    assert verdicts.pop("register/null") == ("skip", skipped)
    assert {name: verdict for name, (verdict, _) in verdicts.items()} == dict.fromkeys(
        set(names) - {"register/null"}, "pass"
    ), said
    assert rows["url"].startswith("https://127.0.0.1:")
    assert "the client is there: 127.0.0.1:" in said
    assert "the logs of the client" not in said
    assert "PRIVATE" not in said
    assert not Path(rows["CA"]).exists(), "it was temporary"
    assert status == 0


@pytest.mark.timeout(60)
def test_a_client_that_never_comes_ends_it_with_the_reason(tmp_path: Path) -> None:
    options = ("--scenario=join", "--scenario=session/cut", "--attach-limit=1s")
    with checking(tmp_path, *options) as check:
        status, held = check.wait(40.0)
    assert status == 1
    assert held["join/first-map"]["verdict"] == "error"
    assert held["join/first-map"]["seen"] == "the client did not come within 1 s; nothing connected"
    assert held["session/cut"]["verdict"] == "skip"


@pytest.mark.timeout(60)
def test_what_the_client_lacks_is_said_while_it_is_waited_for(tmp_path: Path) -> None:
    with checking(tmp_path, "--tls-listen=127.0.0.1:0", "--scenario=join") as check:
        rows = check.rows()
        with daemon(rows, tmp_path):  # does not know the CA
            wait_for(lambda: "it does not trust the certificate" in check.log.read_text(), 20.0, "the reason")
        check.process.send_signal(signal.SIGINT)
        assert check.process.wait(20.0) == 130
        assert "Traceback" not in check.said()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--attach", "--", "./client"], "give no COMMAND"),
        (["--listen=127.0.0.1:0", "--", "./client"], "is for --attach"),
        (["--attach", "--jobs=2"], "leave out --jobs"),
        (["--attach", "--listen=0.0.0.0:0"], "--host is needed"),
        (["--attach", "--tls-listen=[::]:0"], "--host is needed"),
        (["--attach", "--tls-key=key.pem"], "needed both"),
        ([], "or --attach"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, options: list[str], why: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "netmap_supervisor", "check-client", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert why in " ".join(done.stderr.split())
