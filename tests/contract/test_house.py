"""Laws of the house that no linter knows."""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.confinement.permissions import DEV_CLIENTS, ROWS
from netmap_actors.dev_control.http.server import MAX_CLIENTS
from netmap_actors.process.bootstrap import ACTOR_CLASSES
from netmap_supervisor.daemon.output.child_output import CHILD_EVENTS
from tests.support.availability import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = (ROOT / "actors", ROOT / "supervisor")
PACKAGES = (ROOT / "actors" / "netmap_actors", ROOT / "supervisor" / "netmap_supervisor")
MAX_LINES = 500
FORBIDDEN_STEMS = {"util", "utils", "helper", "helpers", "common", "misc", "tools"}
WIRE = PACKAGES[0] / "wire"


def modules() -> list[Path]:
    """Every hand-written module of the product."""
    found = [path for package in PACKAGES for path in package.rglob("*.py") if not path.stem.endswith("_pb2")]
    return sorted(found)


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The module as a tree, for reading: taken apart once for all who ask, and by nobody while tests are collected."""
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def committed_files() -> list[Path]:
    """What git tracks; without git, unavailable()."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        unavailable("not a git checkout")
    # The folder may belong to another user: nothing is written.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("root", SOURCE_ROOTS, ids=lambda root: root.name)
def test_a_source_root_is_not_a_package(root: Path) -> None:
    """With an __init__.py, `import supervisor` from the repository would no longer be supervisord's."""
    assert root.is_dir()
    assert not (root / "__init__.py").exists()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_tells_type_checkers_that_it_is_typed(package: Path) -> None:
    assert (package / "py.typed").is_file()


def offenders(broken: Callable[[Path], object]) -> list[str]:
    return [name_of(path) for path in modules() if broken(path)]


def test_every_module_is_small() -> None:
    others = [path for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    large = [
        name_of(path) for path in (*modules(), *others) if len(path.read_text().splitlines()) > MAX_LINES
    ]
    assert large == []


def test_every_module_says_what_it_is_for() -> None:
    assert offenders(lambda path: not ast.get_docstring(parsed(path))) == []


def test_no_room_is_a_drawer() -> None:
    def is_drawer(path: Path) -> object:
        return FORBIDDEN_STEMS & {
            part.removesuffix(".py").strip("_") for part in path.relative_to(ROOT).parts
        }

    assert offenders(is_drawer) == []


def test_no_error_is_passed_over_in_silence() -> None:
    """`contextlib.suppress` names what it passes over; a broad or bare handler that does nothing hides a defect."""

    def hides(path: Path) -> bool:
        handlers = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.ExceptHandler)]
        broad = [
            node
            for node in handlers
            if node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        ]
        return any(all(isinstance(step, ast.Pass) for step in node.body) for node in broad)

    assert offenders(hides) == []


def test_nothing_is_left_for_later_and_nothing_sleeps() -> None:
    assert offenders(lambda path: re.search(r"\b(TODO|FIXME|XXX)\b|time\.sleep\(", path.read_text())) == []


def test_a_url_is_taken_apart_in_one_place() -> None:
    """Two parsers find two hosts in the same text: what one has checked, the other must not dial or show."""
    parser = re.compile(r"\b(?:urlsplit|urlparse|SplitResult)\b")
    assert offenders(lambda path: parser.search(path.read_text())) == []


def test_only_the_room_of_confinement_speaks_of_giving_up() -> None:
    """One order of steps, one table, in one place."""
    call = re.compile(r"\.(?:prctl|capset|syscall)\(")
    others = [path for path in modules() if path.parent.name != "confinement"]
    assert [name_of(path) for path in others if call.search(path.read_text())] == []


def test_every_process_has_a_row() -> None:
    assert set(ROWS) == {*ACTOR_CLASSES, "supervisor", "view"}
    assert DEV_CLIENTS == MAX_CLIENTS, "as many files as connections"


@pytest.mark.parametrize("name", ["supervisor", "liveness", "publisher"])
def test_no_process_can_take_the_last_file_of_one_that_listens_for_it(name: str) -> None:
    """libzmq ends a process that has none left to accept with (4.3.5: src/ipc_listener.cpp)."""
    connects = ("control_connection", "http_endpoint", "view")
    assert ROWS[name].max_files >= 256 + sum(ROWS[one].max_files for one in connects)


def test_only_exit_reason_names_exit_statuses_of_children() -> None:
    """A process of ours never picks a number: `sys.exit(41)` or `os._exit(42)` would bypass the table."""
    number = re.compile(r"\b(?:sys\.exit|os\._exit)\((?:4[1-9]|77|78)\)")
    assert offenders(lambda path: number.search(path.read_text())) == []


@pytest.mark.timeout(240)
def test_the_generated_code_is_what_the_schema_says(tmp_path: Path) -> None:
    """`make generate` would change nothing."""
    python = ROOT / ".venv-protoc" / "bin" / "python"
    if not python.exists():
        made = subprocess.run(
            ["make", "--no-print-directory", ".venv-protoc/.ready", f"PYTHON={sys.executable}"],
            cwd=ROOT,
            env={
                key: value
                for key, value in os.environ.items()
                if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        if made.returncode != 0:
            unavailable(f"cannot install the protobuf compiler: {made.stderr[-300:]}")
    schemas = sorted(path.relative_to(ROOT / "actors") for path in WIRE.glob("*.proto"))
    assert schemas
    command = [
        python,
        "-P",
        "-m",
        "grpc_tools.protoc",
        "-I",
        "actors",
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
    ]
    subprocess.run([*command, *map(str, schemas)], cwd=ROOT, check=True, timeout=50)
    generated = sorted(path for path in tmp_path.rglob("*_pb2.py*"))
    assert [path.name for path in generated] == sorted(path.name for path in WIRE.glob("*_pb2.py*"))
    for path in generated:
        assert path.read_text() == (WIRE / path.name).read_text(), (
            f"{path.name} is not current: run make generate"
        )


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonical(name): version for name, version in pins.items()}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_has_a_range_and_a_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    ours = {f"{project['name']}[{extra}]" for extra in extras}
    requirements = {
        *project["dependencies"],
        *(needed for extra in extras.values() for needed in extra),
    } - ours
    assert len(requirements) > len(project["dependencies"]) + 5
    for requirement in sorted(requirements):
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name, requirement
        assert ">=" in requirement, requirement
        assert canonical(name.group()) in pinned(), requirement


def test_pins_are_exact_and_name_no_place() -> None:
    for name in ("constraints.txt", "constraints-lowest.txt", "constraints-protoc.txt"):
        for line in (ROOT / name).read_text().splitlines():
            assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_no_lock_file_and_no_path_of_a_machine_is_committed() -> None:
    lock_files = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pip.conf"}
    # Options that name a registry, and the paths behind any host at which registries have what they serve.
    registry = re.compile(rb"index-url|find-links|GOPROXY|//[^\s\"']+/(?:simple|packages)\b")
    machine = re.compile(rb"/(?:work|opt/wheels|home/(?!you/)[a-z]+|root)/[a-z]")
    for path in committed_files():
        assert path.name not in lock_files
        if path == Path(__file__).resolve():
            continue
        data = path.read_bytes()
        if b"\0" in data[:4096]:
            continue
        assert not registry.search(data), name_of(path)
        assert not machine.search(data), name_of(path)


def test_the_installed_packages_are_these() -> None:
    """Tests see the installed product, and the install is this tree."""
    probe = "import netmap_actors, netmap_supervisor; print(netmap_actors.__file__); print(netmap_supervisor.__file__)"
    shown = subprocess.run(
        [sys.executable, "-P", "-c", probe], capture_output=True, text=True, check=True, cwd="/"
    )
    assert [Path(line).resolve().parent for line in shown.stdout.split()] == list(PACKAGES)


def test_no_fault_is_expected_any_more() -> None:
    """A test of a fault is marked so until the fault is mended, and no longer."""
    marked = [
        name_of(path) for path in (ROOT / "tests").rglob("*.py") if re.search(r"\bxfail\(", path.read_text())
    ]
    assert marked == []


def test_what_children_log_is_known_to_who_reads_it() -> None:
    """Under any other event the Supervisor takes a child's line for one that was forged."""
    said: set[str] = set()
    for path in modules():
        if path.is_relative_to(PACKAGES[0]) and "dev_control" not in path.parts:
            said |= _logged_events(parsed(path))
    assert said == CHILD_EVENTS


def _logged_events(tree: ast.AST) -> set[str]:
    levels = {"debug", "info", "warning", "error"}
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in levels
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


BETWEEN_OURSELVES = {
    "actors/netmap_actors/access_tokens.py": "the files of tokens",
    "actors/netmap_actors/confinement/run_bounds.py": "what a nursery is told to give up",
    "actors/netmap_actors/control_connection/client/registration/hostinfo.py": "a digest",
    "actors/netmap_actors/control_connection/client/registration/node_file.py": "the node's file",
    "actors/netmap_actors/control_connection/client/registration/record.py": "the node's file",
    "actors/netmap_actors/dev_control/actor.py": "an answer to the Supervisor",
    "actors/netmap_actors/process/child_log.py": "lines for the Supervisor, which writes them anew",
    "actors/netmap_actors/bus/tap.py": "headers of messages to recorders",
    "actors/netmap_actors/history/questions.py": "questions and answers of programs, which show them by that encoder",
    "actors/netmap_actors/history/store.py": "the history's file",
    "actors/netmap_actors/shown_json.py": "the encoder itself",
    "actors/netmap_actors/tailcfg/go_json.py": "requests to the control server, and what is kept of its answers",
    "supervisor/netmap_supervisor/admin/socket.py": "requests and answers of commands",
    "supervisor/netmap_supervisor/admin/server.py": "answers to commands",
    "supervisor/netmap_supervisor/daemon/output/history_feed.py": "a message to a child",
    "supervisor/netmap_supervisor/daemon/boot_records.py": "the boot record of a child",
    "supervisor/netmap_supervisor/devtools/dev_socket.py": "requests of commands",
    "supervisor/netmap_supervisor/system/held_environment.py": "only measured",
    "supervisor/netmap_supervisor/daemon/operator_requests.py": "messages to children",
    "supervisor/netmap_supervisor/system/nursery_process.py": "orders to a nursery",
    "actors/netmap_actors/nursery/forking.py": "its answers",
    "actors/netmap_actors/webhooks/standing_file.py": "a file of its own",
    "actors/netmap_actors/webhooks/actor.py": "answers to the Supervisor",
    "supervisor/netmap_supervisor/config/webhooks.py": "only measured",
}
"""Modules whose JSON only our own processes and the control server read, and what it is."""


def test_json_for_others_goes_through_one_encoder() -> None:
    """Any other leaves characters as they are that a terminal obeys or that hide."""
    encoder = re.compile(r"\bjson\.(?:encode|Encoder|format|dumps?|JSONEncoder)\(")
    found = {
        name
        for name in offenders(lambda path: encoder.search(path.read_text()))
        if "/dev_control/" not in name or name.endswith("/actor.py")
    }
    assert found == set(BETWEEN_OURSELVES)


def test_labels_for_prometheus_are_made_in_one_place() -> None:
    """Each value of a label that is not a word of ours: Prometheus's format escapes a line break and nothing else."""
    tree = parsed(PACKAGES[0] / "http_endpoint" / "metrics.py")
    named = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    given = [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "add_metric"
    ]
    lists = [named[one.id] if isinstance(one, ast.Name) else one for one in given]
    plain = [
        ast.unparse(value)
        for values in lists
        for value in (values.elts if isinstance(values, ast.List) else [values])
        if not ast.unparse(value).startswith("label(")
    ]
    assert len(lists) >= 8
    assert plain == ["word"]
    tree = parsed(PACKAGES[0] / "http_endpoint" / "peer_metrics.py")
    written = [
        node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and '="' in ast.unparse(node)
    ]
    values = [
        ast.unparse(one.value)
        for text in written
        for one in text.values
        if isinstance(one, ast.FormattedValue)
    ]
    assert {one for one in values if not one.startswith("_quoted(")} == {"TAILNET", "named", "here"}


def test_nothing_is_printed_but_through_click() -> None:
    def prints(path: Path) -> bool:
        calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
        return any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls)

    assert offenders(prints) == []
