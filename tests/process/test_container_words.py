"""What containers and other people's environments do to a command: it works, or one sentence says what to do."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_supervisor.config.network_kinds import HttpAddress, SubscriberEndpoint
from tests.support.availability import unavailable
from tests.support.clients.control_client import ControlClient, Node
from tests.support.processes.daemon import PROGRAM, clean_environment
from tests.support.processes.dev_server import running_dev_server

if TYPE_CHECKING:
    from collections.abc import Iterator

SOMEBODY = 4242
"""A user nobody here is."""


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nmc-", dir="/tmp") as directory:
        yield Path(directory)


def told(command: list[str], place: Path, **variables: str) -> tuple[int, str]:
    """Exit status and standard error; no traceback in it."""
    done = subprocess.run(
        command,
        env=clean_environment(place, variables),
        cwd=place,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def as_somebody(script: str) -> list[str]:
    """Python code as another user: the interpreter may lie in root's home, so what it needs is loaded first."""
    if os.geteuid() != 0:
        unavailable("to be somebody else needs root")
    become = f"import os; os.setgroups([]); os.setresgid({SOMEBODY}, {SOMEBODY}, {SOMEBODY}); "
    become += f"os.setresuid({SOMEBODY}, {SOMEBODY}, {SOMEBODY})"
    return [sys.executable, "-P", "-c", f"import sys, pwd\n{script.replace('BECOME', become)}"]


# A volume


@pytest.mark.parametrize("which", ["state", "run"])
def test_a_volume_that_belongs_to_root_says_whose_it_has_to_be(place: Path, which: str) -> None:
    place.chmod(0o755)
    (place / which).mkdir(mode=0o755)
    directory = place / which
    script = f"""
from pathlib import Path
from netmap_supervisor.system.single_instance import make_private
from netmap_supervisor.cli import _failed
BECOME
for wanted in ({str(directory)!r}, {str(directory / "below")!r}):
    try:
        make_private(Path(wanted))
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)
"""
    _, said = told(as_somebody(script), place)
    first, second = said.splitlines()
    for line in (first, second):
        assert line.startswith(f"ConfigurationError cannot use the directory {directory}")
        assert f"`chown {SOMEBODY}:{SOMEBODY} {directory}`" in line
    assert f"belongs to user 0, not to us ({SOMEBODY})" in first
    assert "Permission denied" in second


# A runtime directory

ASKING = [
    ["run", "--view=off", "--state-dir=state"], ["status"], ["status", "--json"], ["stop"], ["reconnect"], ["reload"],
    ["fault", "kill", "publisher"], ["netmap"], ["netmap", "--json"], ["watch", "--json"], ["wait", "--timeout=1s"],
    ["export", "hosts"], ["export", "hosts", "-o", "/nowhere/hosts", "--follow"], ["keys", "list", "--state-dir=state"],
    ["config", "check"], ["config", "show"],
]  # fmt: skip
"""Whatever looks for a daemon where nobody has named a directory."""


def test_a_directory_in_tmp_that_somebody_else_made_is_a_sentence_of_every_command(place: Path) -> None:
    place.chmod(0o755)
    (place / f"runtime-{SOMEBODY}").mkdir(mode=0o700)
    script = f"""
from pathlib import Path
import difflib  # click does it with the first short option
from netmap_actors import runtime_paths
import netmap_supervisor.cli as cli, netmap_supervisor.cli.config.check, netmap_supervisor.daemon.run
context = cli.commands.make_context("x", ["status"], resilient_parsing=True)
for name in cli.commands.list_commands(context):
    cli.commands.get_command(context, name)
from netmap_actors.subscriber import Subscriber
runtime_paths._LOGINS, runtime_paths._LAST_RESORT = Path("/nowhere"), Path({str(place)!r})
BECOME
for words in {ASKING!r}:
    sys.stderr.write(f"{{' '.join(words)}}:{{cli.main(words)}}\\n")
"""
    _, said = told(as_somebody(script), place)
    for words in ASKING:
        sentence, ended, said = said.partition(f"{' '.join(words)}:78\n")
        assert ended, f"{words}: {sentence}"
        assert f"cannot use {place}/runtime-{SOMEBODY}, where the sockets belong" in sentence
        assert "--runtime-dir" in sentence
    assert said == ""


# Addresses


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "localhost."])
def test_localhost_is_this_machine(name: str) -> None:
    assert HttpAddress().parse(f"{name}:9641", Path("/")) == "127.0.0.1:9641"
    assert SubscriberEndpoint().parse(f"tcp://{name}:9740", Path("/")) == "tcp://127.0.0.1:9740"


# The environment


@pytest.mark.parametrize("kind", ["cpp", "fast", "UPB"])
@pytest.mark.parametrize("words", [["status"], ["run", "--view=off"], ["--version"]])
def test_a_protobuf_that_there_is_not_is_a_sentence(place: Path, kind: str, words: list[str]) -> None:
    status, said = told([*PROGRAM, *words], place, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=kind)
    assert status == 78
    assert said.count("\n") == 1
    assert f"{kind!r}" in said
    assert "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION" in said


def test_without_a_native_protobuf_the_run_says_how_to_get_one(place: Path) -> None:
    """As on musl, for which protobuf's only wheel is the pure one."""
    script = """
import sys
sys.modules["google._upb"] = None
from netmap_supervisor.cli import main
sys.exit(main(["run", "--view=off", "--state-dir=state", "--runtime-dir=run"]))
"""
    status, said = told([sys.executable, "-P", "-c", script], place)
    assert status == 78
    assert said.count("\n") == 1
    # Which compiles it: the source distribution holds the native parser.
    assert "pip install --force-reinstall --no-binary protobuf protobuf" in said
    assert "musl" in said
    assert not (place / "state").exists(), "nothing was begun"


@pytest.mark.parametrize("name", ["click", "errno", "signal", "typing", "zmq", "msgspec"])
def test_nothing_is_imported_from_the_working_directory(place: Path, name: str) -> None:
    (place / f"{name}.py").write_text("raise SystemExit('taken from the working directory')\n")
    for words in (["--version"], ["status", "--runtime-dir=/nonexistent"]):
        status, said = told([sys.executable, "-m", "netmap_supervisor", *words], place)
        assert (status, "working directory" in said) == (0 if words == ["--version"] else 3, False), said


# The command line


def test_a_raw_map_response_is_written_as_the_json_it_is(place: Path) -> None:
    with running_dev_server("--nodes=1", "--churn=0") as server:
        assert server.socket is not None
        client = ControlClient(server.url, Node("gopher"))
        client.register(server.auth_key)
        stream = client.map()
        client.message(stream, 0)
        command = [*PROGRAM, "dev-control", "do", "raw", f"--socket={server.socket}"]
        status, said = told([*command, 'json={"Health": ["one", "two"]}'], place)
        assert status == 0, said
        assert client.message(stream, 1) == {"Health": ["one", "two"]}
        client.close()


def test_a_text_that_reads_as_json_says_how_it_is_written(place: Path) -> None:
    with running_dev_server("--nodes=1", "--churn=0") as server:
        command = [*PROGRAM, "dev-control", "do", "rename", f"--socket={server.socket}"]
        shown = subprocess.run(
            [*PROGRAM, "dev-control", "nodes", "--json", f"--socket={server.socket}"],
            capture_output=True, text=True, timeout=30, check=True, env=clean_environment(place),
        )  # fmt: skip
        assert '"id": 1' in shown.stdout
        status, said = told([*command, "node=1", "name=7"], place)
        assert status == 1
        assert shlex.split(said)[-1].endswith('name="7"')
