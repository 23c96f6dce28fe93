"""The fixture `dev_control` in the test suite of somebody else, which is a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from netmap_supervisor.testing import DevControl
from tests.support.waiting import Stopwatch

START = """
import sys, time
import pytest

def test_it_is_there_soon_and_loaded_only_now(request):
    assert not [name for name in sys.modules if name.startswith(("netmap_actors.dev_control", "h2", "zmq"))]
    began = time.monotonic()
    server = request.getfixturevalue("dev_control")
    took = time.monotonic() - began
    assert server.url.startswith("http://127.0.0.1:")
    print(f"took {took:.3f} s")

@pytest.mark.dev_control(nodes=5, keep_alive=1.0)
class TestMarked:
    def test_marker_of_the_class(self, dev_control):
        assert len(dev_control.nodes()) == 5

    @pytest.mark.dev_control(nodes=2)
    def test_marker_of_the_function_goes_before_it(self, dev_control):
        assert len(dev_control.nodes()) == 2

def test_each_test_has_its_own(dev_control):
    assert dev_control.nodes() == dev_control.clients() == dev_control.seen() == []
"""
WRONG = """
import pytest

@pytest.mark.dev_control(node=5)
def test_unknown(dev_control): ...

@pytest.mark.dev_control(5)
def test_nameless(dev_control): ...
"""
FOREIGN = """
def test_nothing_of_it_is_loaded():
    import sys
    assert not [name for name in sys.modules if name.startswith(("netmap_actors", "zmq", "h2", "cryptography"))]
"""


def pytest_says(directory: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *options]
    # The program is found as in an activated environment.
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=directory, env=env, timeout=50, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def run(directory: Path, source: str, *options: str) -> tuple[int, str]:
    """pytest on a project of one file."""
    (directory / "test_sample.py").write_text(source)
    return pytest_says(directory, "--rootdir=.", "--strict-markers", "-rP", "-Werror", *options)


def test_a_project_gets_the_fixture_without_asking_for_a_plugin(tmp_path: Path) -> None:
    watch = Stopwatch()
    status, said = run(tmp_path, START)
    assert status == 0, said
    took = float(said.partition("took ")[2].split()[0])
    assert took < watch.allowed(1.5), "0.3 s on an idle machine, its own imports included"


def test_a_wrong_option_is_an_error_that_says_which_there_are(tmp_path: Path) -> None:
    status, said = run(tmp_path, WRONG)
    assert status == 1
    assert "it has no option 'node'; did you mean nodes? The options are" in said
    assert "takes options by name" in said
    assert "Traceback" not in said
    assert "2 errors" in said


def test_a_project_that_does_not_use_it_is_left_alone(tmp_path: Path) -> None:
    status, said = run(tmp_path, FOREIGN)
    assert status == 0, said
    _, options = pytest_says(tmp_path, "--help")
    assert "dev-control" not in options
    assert "dev_control" not in options
    assert "@pytest.mark.dev_control(**options)" in pytest_says(tmp_path, "--markers")[1]
    assert "dev_control" not in run(tmp_path, FOREIGN, "--collect-only")[1]


def test_the_example_of_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
    section = page.partition("## In your own tests\n")[2].partition("\n## ")[0]
    test, without_pytest = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    with tempfile.TemporaryDirectory(prefix="nm-", dir="/tmp") as short:  # paths of sockets are limited
        status, said = run(tmp_path, test, f"--basetemp={short}/t")
    assert status == 0, said
    shown = subprocess.run(
        [sys.executable, "-P", "-c", without_pytest], capture_output=True, text=True, timeout=30, check=True
    )
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ devkey-auth-\w+\n", shown.stdout)


def test_the_table_of_the_page_names_what_there_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
    cells = re.findall(r"^\| (`\..*?`) \|", page, re.MULTILINE)
    told = {name for cell in cells for name in re.findall(r"`\.([a-z_]+)", cell)}
    public = {name for name in vars(DevControl) if not name.startswith("_")}
    assert told == public
