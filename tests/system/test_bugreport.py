"""`bugreport` of a daemon that is busy, and of one whose Supervisor hangs."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

from tests.support.host.free_ports import free_address
from tests.support.processes.dev_server import running_dev_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.processes.daemon import Daemon

NOBODYS = re.compile(r"127\.0\.0\.1|0\.0\.0\.0/0|::/0|default|[0-9]{1,8}|")


def originals(
    nodes: list[dict[str, Any]], profiles: list[dict[str, Any]], status: dict[str, Any]
) -> Iterator[str]:
    """Everything that is somebody's, as the netmap and the status have it."""
    for node in nodes:
        yield from (node["name"], node["stable_id"], node["key"], node["machine_key"], node["disco_key"])
        yield from node["name"].split(".")[:2]
        yield from (node["hostname"], node["user"] or "", *node["tags"])
        for address in (*node["addresses"], *node["routes"], *node["endpoints"]):
            yield address
            yield address.partition("/")[0]
    yield status["netmap"]["domain"]
    yield from (profile["display_name"] for profile in profiles)
    yield status["control"]["server_key"]
    yield from status["netmap"]["self"]["addresses"]


def test_no_original_of_a_busy_run_is_in_the_report(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    with running_dev_server("--churn=5", "--nodes=12") as control:
        running = daemon(
            f"--control-url={control.url}",
            "--auth-key=env:NETMAP_TEST_KEY",
            "--hostname=quartz-box",
            f"--http-listen={free_address()}",
            env={"NETMAP_TEST_KEY": control.auth_key},
            history=True,
        )
        running.wait_fresh()
        running.signal_actor("control_connection")
        running.wait_event("map_session_started", generation=2)
        running.wait_fresh()
        before = json.loads(running.command("netmap", "--json").stdout)
        path = tmp_path / "report.md"
        told = running.command(
            "bugreport",
            f"--output={path}",
            f"--log={running.log_path}",
            limit=60.0,
        )
        assert told.returncode == 0, told.stderr
        status = running.status()
    text = path.read_text()
    assert status is not None
    nodes = [*before["peers"], before["self"]]
    assert len(nodes) > 8
    found = {
        one
        for one in originals(nodes, before["user_profiles"], status)
        if not NOBODYS.fullmatch(one) and re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text, re.IGNORECASE)
    }
    assert found == set()
    for secret in (control.auth_key, "quartz"):
        assert secret not in text
    missing = re.findall(r"^## (.*)\n\n\*Missing\*", text, re.MULTILINE)
    assert missing == []
    assert "| --hostname | … |" in text
    assert "| --view | off |" in text
    assert "history.sqlite3" in text.partition("## State directory")[2], "of the daemon, not of this user"
    assert "session_ended" in text
    assert "node_offline" in text


def test_a_supervisor_that_hangs_is_one_part_that_is_missing(
    daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    running = daemon(history=True)
    running.wait_fresh()
    path = tmp_path / "report.md"
    running.process.send_signal(signal.SIGSTOP)
    try:
        told = running.command("bugreport", f"--output={path}", f"--log={running.log_path}", limit=60.0)
    finally:
        running.process.send_signal(signal.SIGCONT)
    assert told.returncode == 0, told.stderr
    text = path.read_text()
    parts = dict(re.findall(r"^## (.*)\n\n(.*)$", text, re.MULTILINE))
    assert parts["Status"].startswith("*Missing*: cannot reach the daemon")
    assert not parts["Netmap"].startswith("*Missing*")
    assert not parts["History"].startswith("*Missing*")
