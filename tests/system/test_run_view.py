"""The first seconds of `run` as a person sees them, and that nothing a screen does can hold the daemon up."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.support.processes.daemon import PROGRAM, children_of, clean_environment
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.support.processes.daemon import Daemon

CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """`run` on a terminal of its own that the test reads, or does not."""

    def __init__(self, directory: Path, *options: str, **env: str) -> None:
        self.directory = directory
        self._env = clean_environment(
            directory, {"TERM": "xterm-256color", "LINES": "30", "COLUMNS": "120"} | env
        )
        self._master, terminal = os.openpty()
        self.directories = [f"--state-dir={directory}/s", f"--runtime-dir={directory}/r"]
        self.process = subprocess.Popen(
            [*PROGRAM, "run", *self.directories, *options],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=self._env,
            cwd=directory,
            start_new_session=True,
        )
        os.close(terminal)
        self.text = ""

    def read(self, patience: float = 0.05) -> bool:
        """Take what is there; False when the terminal is gone."""
        if not select.select([self._master], [], [], patience)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False  # nobody holds the other side any more
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def wait_for(self, part: str, limit: float = 20.0) -> None:
        def shown() -> bool:
            self.read()
            return part in CONTROL_SEQUENCE.sub("", self.text)

        wait_for(shown, limit, f"{part!r} on the screen")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*PROGRAM, *arguments, self.directories[1]]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=30, check=False)

    def viewers(self) -> list[int]:
        return [
            pid
            for pid in children_of(self.process.pid)
            if b"\0view\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def end(self, limit: float = 10.0) -> tuple[int, float]:
        """SIGINT to the group, as the terminal sends it at Ctrl-C; the exit status and how long it took."""
        watch = Stopwatch()
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(limit), watch.seconds()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="nmv-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def test_a_terminal_shows_a_picture_that_changes_and_ctrl_c_ends_it(place: Path) -> None:
    with Screen(place) as screen:
        screen.wait_for("a server of our own with 8 simulated nodes")
        screen.wait_for("FRESH")
        screen.wait_for("router-7")
        # The status, which it asks the daemon for like anybody else.
        screen.wait_for("dead in 1")
        screen.wait_for("publisher ")
        assert "\x1b[" in screen.text
        assert "map_session_started" not in screen.text, "the log leaves the screen to the view"
        code, took = screen.end()
        assert code == 0
        assert took < 5.0
        while screen.read():
            pass
        assert "stopping: SIGINT" in screen.text


def test_a_dumb_terminal_gets_lines(place: Path) -> None:
    with Screen(place, TERM="dumb") as screen:
        screen.wait_for("control_connection is up")
        screen.wait_for("8 peers, ")
        assert "\x1b" not in screen.text
        assert screen.end()[0] == 0


def test_no_color_takes_the_colours_away(place: Path) -> None:
    with Screen(place, NO_COLOR="1") as screen:
        screen.wait_for("FRESH")
        assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])m", screen.text)
        assert screen.end()[0] == 0


def test_a_screen_nobody_reads_holds_nothing_up(place: Path) -> None:
    """The terminal's buffer fills while the picture is drawn; the daemon goes on, and ends when it is told to."""
    with Screen(place, "--dev-churn=200") as screen:
        done = screen.command("wait", "--for", "fresh", "--timeout", "20s")
        assert done.returncode == 0, done.stderr
        for _ in range(5):
            assert screen.command("status", "-q").returncode == 0
        code, took = screen.end()
        assert code == 0
        assert took < 5.0


def test_a_view_that_dies_is_not_missed(place: Path) -> None:
    with Screen(place) as screen:
        screen.wait_for("FRESH")
        [viewer] = screen.viewers()
        os.kill(viewer, signal.SIGKILL)
        done = screen.command("fault", "kill", "publisher")
        assert done.returncode == 0, done.stderr
        assert screen.command("wait", "--for", "fresh", "--timeout", "20s").returncode == 0
        assert screen.end()[0] == 0


def test_into_a_pipe_go_lines_and_the_log_apart(place: Path) -> None:
    command = [*PROGRAM, "run", f"--state-dir={place}/s", f"--runtime-dir={place}/r"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(place), cwd=place
    )
    try:
        assert process.stdout is not None
        # What the log tells and what the netmap tells come to the view by two ways.
        told = {"8 peers, ", "control_connection is up"}
        for line in process.stdout:
            told -= {words for words in told if words in line.decode()}
            if not told:
                break
        process.terminate()
        rest, log = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert b"stopping: SIGTERM" in rest
    assert all(line.startswith(b"{") for line in log.splitlines())


@pytest.mark.parametrize("closed", ["<&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed_are_not_missed(closed: str, place: Path) -> None:
    """Their numbers would be given to sockets and pipes, and a line meant for the screen would go into one of them."""
    command = [*PROGRAM, "run", f"--state-dir={place}/s", f"--runtime-dir={place}/r"]
    env = clean_environment(place)
    with (place / "out").open("wb") as out:
        process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *command], env=env, stdout=out, stderr=out, cwd=place
        )
    try:
        wait = [*PROGRAM, "wait", "--for=fresh", "--timeout=20s", f"--runtime-dir={place}/r"]
        assert subprocess.run(wait, env=env, timeout=30, check=False).returncode == 0
        opened = {str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for number in (0, 1, 2)}
        assert opened <= {"/dev/null", str(place / "out")} | {str(Path("/proc/self/fd/0").readlink())}
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (place / "out").read_text()


@pytest.mark.parametrize("options", [("--json",), ()])
def test_watch_ends_quietly_at_ctrl_c(options: tuple[str, ...], place: Path) -> None:
    command = [*PROGRAM, "watch", *options, f"--runtime-dir={place}/r"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(place),
    )
    try:
        # It waits for a daemon: its own sockets are there.
        wait_for(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 2, 10.0, "its threads")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert re.fullmatch(rb"no daemon is running in \S+ yet: waiting for one .*\n", err)
    assert out == b"" or not options


def test_watch_ends_quietly_when_its_reader_has_seen_enough(embedded: Daemon) -> None:
    command = [*PROGRAM, "watch", "--json", f"--runtime-dir={embedded.runtime_dir}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b'{"type":"snapshot"')
        process.stdout.close()
        assert embedded.command("reconnect").returncode == 0
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
