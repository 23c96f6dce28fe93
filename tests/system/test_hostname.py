"""What a node is called stays over restarts, and a change of it is told: every peer hears of it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes.daemon import Daemon
from tests.support.processes.dev_server import running_dev_server
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes.dev_server import DevServer


@pytest.fixture
def server() -> Iterator[DevServer]:
    with running_dev_server("--nodes=1", "--churn=0") as running:
        yield running


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="nmh-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def joined(server: DevServer, place: Path, *options: str) -> tuple[str, str, list[dict[str, object]]]:
    """The host name the tailnet sees, what the view has said, and every `hostname_changed` so far."""
    (place / "key").write_text(server.auth_key)
    (place / "key").chmod(0o600)
    url, key = f"--control-url={server.url}", f"--auth-key=file:{place}/key"
    with Daemon(url, key, *options, "--view=plain", directory=place) as daemon:
        daemon.wait_fresh()
        own = json.loads(daemon.command("netmap", "--json", check=True).stdout)["self"]
        wait_for(lambda: "netmap of" in daemon.out_path.read_text(), 10.0, "the view has the netmap")
        daemon.terminate()
        return (
            own["hostname"],
            daemon.out_path.read_text(),
            daemon.events("hostname_changed"),
        )


def test_a_restart_without_the_option_keeps_the_name_and_a_change_of_it_is_told(
    server: DevServer, place: Path
) -> None:
    assert joined(server, place, "--hostname=observer")[0] == "observer"
    name, _, told = joined(server, place)
    assert (name, told) == ("observer", [])
    name, shown, told = joined(server, place, "--hostname=watcher")
    assert name == "watcher"
    assert [(event["previous"], event["hostname"], event["level"]) for event in told] == [
        ("observer", "watcher", "warning")
    ]
    assert "this node asks to be called watcher, no longer observer" in shown
    name, _, told = joined(server, place, "--hostname=watcher")
    assert (name, len(told)) == ("watcher", 1), "it is told once"
