"""The storeys of the house: who may import whom."""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.contract.test_house import parsed

ROOT = Path(__file__).resolve().parents[2]


def test_the_layering_contracts_are_kept() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache", "--config", "pyproject.toml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert result.returncode == 0, result.stdout + result.stderr


def loaded_by(statement: str) -> set[str]:
    """Names of all modules loaded after this statement in a fresh interpreter."""
    program = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    return set(json.loads(shown.stdout))


def rooms(loaded: set[str], *names: str) -> set[str]:
    """Those of the loaded modules that are, or lie in, one of these packages."""
    return {module for module in loaded for name in names if module == name or module.startswith(name + ".")}


ACTOR_ROOMS = (
    "netmap_actors.control_connection",
    "netmap_actors.dev_control",
    "netmap_actors.exports",
    "netmap_actors.http_endpoint",
    "netmap_actors.liveness",
    "netmap_actors.netmap",
    "netmap_actors.process",
    "netmap_actors.protocol",
    "netmap_actors.publisher",
    "netmap_actors.tailcfg",
    "netmap_actors.transport",
)


def test_the_supervisor_process_never_loads_the_code_of_an_actor() -> None:
    """It has to survive what they do; the linter sees imports, this sees what is loaded in the end."""
    loaded = loaded_by("import netmap_supervisor.daemon.run, netmap_supervisor.daemon.supervisor")
    found = rooms(loaded, *ACTOR_ROOMS, "netmap_actors.subscriber", "cryptography", "h2", "h11")
    assert found == set()


def test_importing_the_subscriber_loads_nothing_of_the_daemon() -> None:
    loaded = loaded_by("from netmap_supervisor import Subscriber")
    assert rooms(loaded, "netmap_actors.subscriber")
    daemon = (
        *ACTOR_ROOMS,
        "netmap_actors.bus",
        "netmap_supervisor.daemon",
    )
    assert not rooms(loaded, *daemon, "pykka", "cryptography", "h2", "h11", "structlog", "click", "rich")


def test_the_package_itself_loads_nothing() -> None:
    """`import netmap_supervisor` is cheap: the re-export of Subscriber is lazy."""
    assert not rooms(
        loaded_by("import netmap_supervisor"), "netmap_actors", "zmq", "pykka", "google.protobuf", "click"
    )


@pytest.mark.parametrize("actor", ["control_connection", "liveness", "publisher"])
def test_development_rooms_are_not_loaded_in_production(actor: str) -> None:
    loaded = loaded_by(f"import netmap_actors.{actor}.actor")
    assert not rooms(loaded, "netmap_actors.dev_control", "netmap_supervisor")


def test_only_the_connection_process_can_do_cryptography() -> None:
    """publisher and liveness never hold a key: what opens one is not even loaded."""
    for actor in ("liveness", "publisher"):
        assert not rooms(
            loaded_by(f"import netmap_actors.{actor}.actor"), "cryptography", "ssl", "h2", "h11"
        ), actor


def test_no_two_modules_of_the_control_server_need_each_other() -> None:
    """A reader follows the imports for types, too, which the linter leaves out."""
    package = "netmap_actors.dev_control"
    root = ROOT / "actors/netmap_actors/dev_control"
    modules = {
        ".".join([package, *path.relative_to(root).with_suffix("").parts]): path
        for path in root.rglob("*.py")
    }
    needs = {}
    for name, path in modules.items():
        imports = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.ImportFrom)]
        names = {node.module or "" for node in imports}
        names |= {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
        needs[name] = names & modules.keys()
    assert needs[f"{package}.http.connection"] >= {f"{package}.http.injector", f"{package}.http.machine_api"}
    order = graphlib.TopologicalSorter(needs)
    order.prepare()  # raises CycleError, which names the circle


def test_no_room_looks_up_for_a_type_either() -> None:
    """The storeys hold for what stands under `if TYPE_CHECKING:`, too, which the linter leaves out."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    storeys = [one for one in contracts if one["name"] in {"actors: storeys", "supervisor: storeys"}]
    upwards = []
    for contract in storeys:
        (package,) = contract["containers"]
        floors = {
            room.strip(" ()"): floor
            for floor, layer in enumerate(reversed(contract["layers"]))
            for room in re.split(r"[|:]", layer)
        }
        for path in (ROOT / package.partition("_")[2] / package).rglob("*.py"):
            room = path.relative_to(ROOT / package.partition("_")[2] / package).parts[0].removesuffix(".py")
            for node in ast.walk(parsed(path)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
                    other = (node.module or "").split(".")[1]
                    if room in floors and floors[other] > floors[room]:
                        upwards.append(f"{path.name}: {node.module}")
    assert len(storeys) == 2
    assert upwards == []
