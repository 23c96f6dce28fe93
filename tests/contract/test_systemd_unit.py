"""The units of deploy/: what systemd thinks of them, and what the daemon relies on in its own."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from netmap_supervisor.cli.export.command import command as export
from netmap_supervisor.cli.process.exit_codes import ExitCode
from tests.support.availability import unavailable
from tests.support.command_line import root_context

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
UNIT = UNITS / "netmap-supervisor.service"
TEMPLATE = UNITS / "netmap-supervisor@.service"
EXPORT = UNITS / "netmap-supervisor-export@.service"
EXPOSURE = 3.0
"""Of 10; what `systemd-analyze security` gives a unit at most."""


def service(unit: Path = UNIT) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(
        interpolation=None, strict=True, delimiters=("=",), comment_prefixes=("#",)
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
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


OPERATIONS = ROOT / "docs" / "howto" / "systemd.md"


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
    assert f"groupadd -r -f {told[1]}" in page
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


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        unavailable(f"checking the units needs {program}")
    return found


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_systemd_takes_it(tmp_path: Path, unit: Path) -> None:
    program = needed("systemd-analyze")
    # The program need not be installed where the unit says.
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", unit.read_text(), flags=re.MULTILINE))
    done = subprocess.run(
        [program, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name.partition("@")[0] in line]
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


def test_the_template_is_the_unit_with_a_name_in_each_of_its_places() -> None:
    """No two daemons share a directory, and one that is mended is mended in both."""
    named = re.sub(
        r"^((?:State|Runtime)Directory=netmap-supervisor|ExecReload=.*)$",
        r"\1-%i",
        UNIT.read_text(),
        flags=re.MULTILINE,
    )
    named = re.sub(
        r"^(ConfigurationDirectory=netmap-supervisor|Description=.*)$", r"\1/%i", named, flags=re.MULTILINE
    )
    named = named.replace("/etc/netmap-supervisor/", "/etc/netmap-supervisor/%i/").replace(
        "tailnet/%i", "tailnet %i"
    )
    assert TEMPLATE.read_text().splitlines()[1:] == named.splitlines()[1:]


def test_the_exporter_is_a_command_there_is_and_writes_where_it_may() -> None:
    unit = service(EXPORT)
    words = unit["ExecStart"].split()[1:]
    arguments = [word.replace("%i", "hosts") for word in words if word != "$OPTIONS"]
    assert words[0] == export.name
    export.make_context("export", arguments[1:], parent=root_context())
    places = dict(word.split("=", 1) for word in unit["Environment"].split())
    assert Path(places["FILE"]).parent == Path(unit["ReadWritePaths"])
    assert places["NETMAP_SUPERVISOR_RUNTIME_DIR"] == "%t/" + service()["RuntimeDirectory"]


def test_sysusers_and_tmpfiles_make_what_the_exporter_needs(tmp_path: Path) -> None:
    sysusers, tmpfiles = needed("systemd-sysusers"), needed("systemd-tmpfiles")
    if os.geteuid() != 0:
        unavailable("making users and their directories needs root")
    keys = [tmp_path / "etc/netmap-supervisor/auth_key", tmp_path / "etc/netmap-supervisor/office/auth_key"]
    for key in keys:
        key.parent.mkdir(parents=True, exist_ok=True)
        key.touch(0o644)
    for program, kind in ((sysusers, "sysusers.d"), (tmpfiles, "tmpfiles.d")):
        (file,) = (UNITS / kind).iterdir()
        create = ["--create"] if kind == "tmpfiles.d" else []
        done = subprocess.run(
            [program, *create, f"--root={tmp_path}", str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    user, group = service(EXPORT)["User"], "netmap-readers"
    passwd = {row.split(":")[0]: row.split(":") for row in (tmp_path / "etc/passwd").read_text().splitlines()}
    groups = {row.split(":")[0]: row.split(":") for row in (tmp_path / "etc/group").read_text().splitlines()}
    assert groups[group][3].split(",") == [user]
    assert f'socket_group = "{group}"' in OPERATIONS.read_text()
    written = (tmp_path / service(EXPORT)["ReadWritePaths"].lstrip("/")).stat()
    assert (written.st_uid, written.st_mode & 0o777) == (int(passwd[user][2]), 0o755)
    assert [key.stat().st_mode & 0o777 for key in keys] == [0o600, 0o600]
