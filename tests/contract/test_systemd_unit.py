"""The unit file: what systemd thinks of it, and what the daemon relies on in it."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

from netmap_supervisor.cli.process.exit_codes import ExitCode
from tests.support.availability import unavailable

UNIT = Path(__file__).parents[2] / "docs" / "systemd" / "netmap-supervisor.service"
EXPOSURE = 3.0
"""Of 10; what `systemd-analyze security` gives the unit at most."""


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(
        interpolation=None, strict=True, delimiters=("=",), comment_prefixes=("#",)
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


def test_the_daemons_own_words_are_in_it() -> None:
    unit = service()
    assert unit["Type"] == "notify"
    assert float(unit["WatchdogSec"]) >= 10.0, "the loop looks at its children every five seconds"
    final = {str(int(code)) for code in (ExitCode.AUTH_REFUSED, ExitCode.CONFIGURATION)}
    assert set(unit["RestartPreventExitStatus"].split()) == final
    assert "AF_NETLINK" in unit["RestrictAddressFamilies"]
    assert unit["LoadCredential"].startswith("auth_key:")
    assert float(unit["TimeoutStopSec"]) > 5.0, "everything is gone within five seconds of SIGTERM"


OPERATIONS = UNIT.parents[1] / "operations.md"


def test_the_page_says_how_a_group_is_let_in_under_it() -> None:
    page = OPERATIONS.read_text()
    drop_ins = re.findall(
        r"```ini\n# (\S+netmap-supervisor\.service\.d/\S+\.conf)\n(.*?)```", page, re.DOTALL
    )
    assert len(drop_ins) == 1
    told = re.search(r'^socket_group = "([a-z-]+)"$', page, re.MULTILINE)
    assert told is not None
    lines = drop_ins[0][1].split()
    # PrivateUsers=yes leaves root and the unit's own user and group; a supplementary group cannot be given a file.
    assert service()["PrivateUsers"] == "yes"
    assert lines == ["[Service]", f"Group={told[1]}"]
    assert f"groupadd -r {told[1]}" in page
    # Preserved, it would lie in /run/private of a DynamicUser=, where only root gets in.
    assert service().get("RuntimeDirectoryPreserve", "no") == "no" or service().get("DynamicUser") != "yes"
    assert "Group=" in UNIT.read_text(), "the unit itself mentions it"


def test_a_start_may_take_as_long_as_a_slow_machine_needs() -> None:
    # Before it can ask for more time the daemon has to come up itself; then it asks every few seconds.
    assert float(service()["TimeoutStartSec"]) >= 2 * 90.0, "systemd's default is 90 s"


def test_a_child_that_runs_out_of_memory_is_the_supervisors_to_replace() -> None:
    unit = service()
    assert unit["OOMPolicy"] == "continue"
    assert re.fullmatch(r"[1-9][0-9]*[MG]", unit["MemoryMax"])


def test_threads_have_an_end() -> None:
    """One of the processes may start them, and no kernel counts them for a process."""
    assert 64 <= int(service()["TasksMax"]) <= 1024


def test_stopping_is_the_supervisors_to_order() -> None:
    assert service()["KillMode"] == "mixed"


def test_no_core_file_is_written() -> None:
    assert service()["LimitCORE"] == "0"


def test_a_reload_that_fails_fails_for_systemctl_too() -> None:
    program, *words = service()["ExecReload"].split()
    assert program == service()["ExecStart"].split()[0]
    assert words == ["reload", "--runtime-dir", "%t/" + service()["RuntimeDirectory"]]


def test_the_install_lines_of_the_page_name_a_control_server(tmp_path: Path) -> None:
    page = OPERATIONS.read_text()
    block = next(
        one for one in re.findall(r"```\n(.*?)```", page, re.DOTALL) if "/etc/systemd/system/" in one
    )
    target = "/etc/netmap-supervisor/config.toml"
    (line,) = (one for one in block.splitlines() if f"> {target}" in one)
    subprocess.run(["sh", "-c", line.replace(target, str(tmp_path / "config.toml"))], check=True, timeout=10)
    settings = tomllib.loads((tmp_path / "config.toml").read_text())
    assert settings["control"]["url"].startswith("https://")


def test_systemd_takes_it(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        unavailable("checking the unit needs systemd-analyze")
    # The program need not be installed where the unit says.
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", UNIT.read_text(), flags=re.MULTILINE))
    done = subprocess.run(
        [program, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert complaints == []
    done = subprocess.run(
        [program, "security", "--offline=true", f"--threshold={int(EXPOSURE * 10)}", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    exposure = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= EXPOSURE, done.stdout
