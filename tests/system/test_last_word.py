"""Why a run ended for good stands whole on standard error, whatever showed the run, however narrow the screen."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import struct
import subprocess
import tempfile
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes.daemon import PROGRAM, clean_environment
from tests.support.processes.dev_server import running_dev_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes.dev_server import DevServer

CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
REFUSED = re.compile(
    r"cannot register: the control server refuses the auth key: .+; make a new one and put it where the old one was"
)
DAMAGED = re.compile(
    r"cannot read \S+/node\.json: .+; restore it from a backup, or move it away to become a new node"
)
LIMIT = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[DevServer]:
    with running_dev_server("--nodes=2", "--churn=0") as running:
        yield running


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nml-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def command(server: DevServer, place: Path, *options: str) -> list[str]:
    (place / "key").write_text("tskey-of-nobody")
    (place / "key").chmod(0o600)
    return [
        *(*PROGRAM, "run", f"--control-url={server.url}", f"--auth-key=file:{place}/key"),
        *(f"--state-dir={place}/s", f"--runtime-dir={place}/r", *options),
    ]


def on_terminal(words: list[str], place: Path, columns: int) -> tuple[int, str]:
    """The exit status, and everything that was written to the terminal."""
    master, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = clean_environment(place, {"TERM": "xterm-256color"})
    del env["COLUMNS"]
    process = subprocess.Popen(
        words, stdin=terminal, stdout=terminal, stderr=terminal, env=env, cwd=place, start_new_session=True
    )
    os.close(terminal)
    text = b""
    try:
        while select.select([master], [], [], LIMIT)[0]:
            try:
                text += os.read(master, 65536)
            except OSError:
                break  # nobody holds the other side any more
        return process.wait(LIMIT), CONTROL_SEQUENCE.sub("", text.decode("utf-8", "replace"))
    finally:
        process.kill()
        process.wait()
        os.close(master)


def damage(server: DevServer, place: Path) -> None:
    """The state of this control URL is no longer readable."""
    words = command(server, place, "--view=off")
    (place / "key").write_text(server.auth_key)
    process = subprocess.Popen(words, env=clean_environment(place), stderr=subprocess.DEVNULL)
    try:
        wait = [*PROGRAM, "wait", "--for=fresh", "--timeout=20s", f"--runtime-dir={place}/r"]
        assert subprocess.run(wait, env=clean_environment(place), timeout=30, check=False).returncode == 0
        process.terminate()
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait()
    [node] = (place / "s").glob("*/node.json")
    node.write_text("{}")
    node.chmod(0o600)


@pytest.mark.parametrize(
    ("view", "columns"), [("live", 80), ("live", 40), ("plain", 80), ("plain", 40), ("off", 40)]
)
def test_on_a_terminal_the_last_line_says_why_a_key_was_refused(
    server: DevServer, place: Path, view: str, columns: int
) -> None:
    code, text = on_terminal(command(server, place, f"--view={view}"), place, columns)
    assert code == 77
    last = text.rstrip().splitlines()[-1].strip()
    assert re.fullmatch(rf"netmap-supervisor: {REFUSED.pattern}", last), text[-1500:]


@pytest.mark.parametrize("view", ["plain", "off"])
@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("level", ["info", "error"])
def test_into_a_pipe_the_last_line_says_it_too(
    server: DevServer, place: Path, view: str, form: str, level: str
) -> None:
    words = command(server, place, f"--view={view}", f"--log-format={form}", f"--log-level={level}")
    done = subprocess.run(
        words, env=clean_environment(place), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 77
    last = done.stderr.splitlines()[-1]
    if form == "json":
        told = json.loads(last)
        assert (told["level"], told["event"], told["exit_code"]) == ("error", "stopped", 77)
        assert REFUSED.fullmatch(told["detail"])
        assert all(line.startswith("{") for line in done.stderr.splitlines())
    else:
        assert re.fullmatch(rf"netmap-supervisor: {REFUSED.pattern}", last)


def test_a_file_that_cannot_be_read_is_named_whole(server: DevServer, place: Path) -> None:
    damage(server, place)
    for view, columns in (("live", 40), ("plain", 80)):
        code, text = on_terminal(command(server, place, f"--view={view}"), place, columns)
        assert code == 78
        last = text.rstrip().splitlines()[-1].strip()
        assert re.fullmatch(rf"netmap-supervisor: {DAMAGED.pattern}", last), text[-1500:]


@pytest.mark.parametrize("columns", [80, 40])
def test_what_another_process_than_the_connection_cannot_use_is_named_whole(
    place: Path, columns: int
) -> None:
    (place / "s" / "embedded-server").mkdir(mode=0o700, parents=True)
    (place / "s").chmod(0o700)
    (place / "s" / "embedded-server" / "state.json").write_text("{}")
    words = [*PROGRAM, "run", f"--state-dir={place}/s", f"--runtime-dir={place}/r", "--view=live"]
    code, text = on_terminal(words, place, columns)
    assert code == 78
    last = text.rstrip().splitlines()[-1].strip()
    assert re.fullmatch(r"netmap-supervisor: cannot .+state.+; .+", last), text[-1500:]


def test_a_second_daemon_says_whole_that_it_is_the_second(place: Path) -> None:
    words = [*PROGRAM, "run", f"--state-dir={place}/s", f"--runtime-dir={place}/r", "--view=live"]
    first = subprocess.Popen([*words, "--view=off"], env=clean_environment(place), stderr=subprocess.DEVNULL)
    try:
        wait = [*PROGRAM, "wait", "--for=fresh", "--timeout=20s", f"--runtime-dir={place}/r"]
        assert subprocess.run(wait, env=clean_environment(place), timeout=30, check=False).returncode == 0
        code, text = on_terminal(words, place, 40)
    finally:
        first.terminate()
        first.wait(LIMIT)
    assert code == 1
    assert re.fullmatch(rf"netmap-supervisor: cannot .*{place}.*", text.rstrip().splitlines()[-1].strip()), (
        text
    )
