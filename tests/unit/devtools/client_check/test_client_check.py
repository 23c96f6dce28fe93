"""`check-client` as a command, and one attempt at a scenario with programs that are no clients."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from netmap_supervisor.cli import main
from netmap_supervisor.devtools.client_check.attempt import run_attempt
from netmap_supervisor.devtools.client_check.outcome import CheckVerdict
from netmap_supervisor.devtools.client_check.place.place import Settings
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, Limits

LIMITS = Limits()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/nonexistent/client",), "cannot start /nonexistent/client: No such file or directory"),
        (("sh", "-c", "echo one; echo panic >&2; exit 3"), "exit status 3: one / panic"),
        (("sh", "-c", "kill -9 $$"), "signal 9"),
        (("sleep", "100"), "did not join within 1 s; the server saw nothing of it"),
    ],
)
def test_a_client_that_is_no_client_is_a_verdict(tmp_path: Path, command: tuple[str, ...], said: str) -> None:
    held = run_attempt(
        SCENARIOS["liveness/silence"],
        Settings(command, Limits(join=1.0), tmp_path),
        tmp_path / "log",
        threading.Event(),
    )
    assert held is not None
    assert held.verdict is CheckVerdict.ERROR
    assert said in held.seen
    assert held.never_started == (command[0] == "/nonexistent/client")


def test_an_interrupted_trial_has_no_outcome(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    settings = Settings(("sleep", "100"), Limits(), tmp_path)
    assert run_attempt(SCENARIOS["liveness/silence"], settings, tmp_path / "log", stop) is None


# The command


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "a client is needed"),
        (
            ["--scenario", "nonsense", "--", "x"],
            2,
            "is no scenario and no group; the groups are join, liveness",
        ),
        (["--scenario", "half_frame", "--", "x"], 2, "did you mean liveness/half-frame?"),
        (["--expected-failures", "/nonexistent/x", "--", "x"], 1, "cannot read /nonexistent/x: No such file"),
        (["--peers-command", 'a "', "--", "x"], 2, "No closing quotation"),
        (["--peers-command", "nosuchprog {dir}", "--", "x"], 2, "cannot find a program 'nosuchprog'"),
        (["--", "x", "--to={urll}"], 2, "{urll} is not filled in; did you mean {url}?"),
        (["--peers-command", "cat {dri}/peers", "--", "x"], 2, "did you mean {dir}?"),
        (["--limit", "1s", "--", "x"], 2, "--limit"),
        (
            ["--json", "/nonexistent/x", "--", "x"],
            1,
            "cannot write /nonexistent/x: there is no directory /nonexistent",
        ),
        (["--junit", "/nonexistent/x", "--", "x"], 1, "cannot write /nonexistent/x"),
        (["--html", "/dev/null", "--", "x"], 1, "cannot write /dev/null: it is no regular file"),
        (["--output", "/dev/null/x", "--", "x"], 1, "cannot keep logs in /dev/null/x"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-client", *arguments]) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_expected_failures_are_read_before_anything_starts_and_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "known"
    arguments = [
        "check-client",
        "--scenario=join",
        f"--expected-failures={known}",
        "--",
        "sh",
        "-c",
        "exit 7",
    ]
    known.write_text("join/frist-map = it ends at once")
    assert main(arguments) == 2
    assert "line 1: 'join/frist-map' is no scenario; did you mean join/first-map?" in " ".join(
        capsys.readouterr().err.split()
    )
    known.write_text("join/first-map = it ends at once")
    assert main(arguments) == 0
    assert "1 fail" in capsys.readouterr().out


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-client", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SCENARIOS)


def test_a_failed_course_names_its_logs_and_writes_its_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    arguments = ["check-client", "--scenario", "join/first-map", "--output", str(tmp_path / "logs")]
    arguments += [f"--{kind}={path}" for kind, path in places.items()]
    assert main([*arguments, "--", "sh", "-c", "printf 'no\\033[31m\\377\\n'; exit 7", "{auth_key}"]) == 1
    shown = capsys.readouterr()
    assert "1 fail" in shown.out
    assert "join/first-map: fail" in shown.out, "what there is to know stands below the table"
    assert str(tmp_path / "logs") in shown.err
    assert "1 scenario, at most about 30 s" in shown.err
    assert "    1/1  fail   join/first-map: " in shown.err
    made = json.loads(places["json"].read_text())
    assert made["command"] == ["sh", "-c", "printf 'no\\033[31m\\377\\n'; exit 7", "{auth_key}"]
    assert made["scenarios"][0]["verdict"] == "fail"
    assert made["strict"] is False
    assert "no\ufffd" in ET.parse(places["junit"]).findtext("testsuite/testcase/system-err", "")
    assert "1 of 1 scenario failed" in places["html"].read_text()
    assert "devkey" not in "".join(path.read_text() for path in places.values())
    assert (tmp_path / "logs" / "join.first-map.log").read_bytes() == b"no\x1b[31m\xff\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "logs",
        *sorted(path.name for path in places.values()),
    ]
