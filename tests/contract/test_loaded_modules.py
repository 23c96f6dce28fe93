"""What each process and command loads at its start: every import costs each of them time and memory."""

from __future__ import annotations

import ast

import pytest

from tests.contract.test_house import modules, name_of, parsed
from tests.contract.test_layers import loaded_by, rooms

HEAVY = {
    "argparse",
    "asyncio",
    "csv",
    "difflib",
    "email",
    "html",
    "importlib.metadata",
    "rich",
    "shutil",
    "subprocess",
    "tempfile",
    "tomllib",
    "zipfile",
}
"""Loaded by the few calls that need them."""
CLI = "import netmap_supervisor.cli, netmap_supervisor.cli."
SUBSCRIBER = {
    *HEAVY, "ctypes", "dataclasses", "logging", "pykka", "netmap_actors.confinement", "netmap_supervisor.daemon",
    "netmap_supervisor.devtools",
}  # fmt: skip
NOT_LOADED = {
    "import netmap_supervisor.cli": {
        *HEAVY, "ctypes", "dataclasses", "google.protobuf", "logging", "pathlib", "pykka", "socket", "zmq",
    },
    f"{CLI}state.status": {*SUBSCRIBER, "hashlib", "zmq", "netmap_actors.subscriber", "netmap_supervisor.devtools"},
    f"{CLI}state.wait": SUBSCRIBER,
    f"{CLI}netmap": SUBSCRIBER,
    f"{CLI}run, netmap_supervisor.daemon.run": {
        *HEAVY, "dataclasses", "ssl", "netmap_actors.subscriber", "netmap_supervisor.devtools",
    },
    "import netmap_supervisor.daemon.supervisor": {"ssl", "netmap_actors.access_tokens", "netmap_actors.history"},
    "import netmap_actors.__main__": {*HEAVY, "dataclasses", "ssl", "zmq", "netmap_actors.bus"},
    "import netmap_actors.publisher.actor, netmap_actors.liveness.actor": {
        *HEAVY, "dataclasses", "ssl", "netmap_actors.control_connection",
    },
    "import netmap_actors.control_connection.actor": {*HEAVY, "ssl", "netmap_actors.publisher"},
    "import netmap_actors.dev_control.actor": {*HEAVY, "ssl"},
    "import netmap_actors.http_endpoint.actor": {
        "netmap_actors.http_endpoint.openapi", "netmap_actors.schemas",
    },
}  # fmt: skip
"""By what is imported: libraries and rooms of which it needs none, or not yet."""


@pytest.mark.parametrize("statement", NOT_LOADED)
def test_what_is_not_needed_is_not_loaded(statement: str) -> None:
    assert rooms(loaded_by(statement), *NOT_LOADED[statement]) == set()


def test_no_class_is_compiled_when_its_module_is_loaded() -> None:
    """A dataclass writes its methods as text and compiles it at every start; a msgspec.Struct does not."""
    compiled = [
        f"{name_of(path)}: {node.name}"
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        and any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert compiled == []
