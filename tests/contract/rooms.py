"""The rooms of the product by storey, from the packages' docstrings and the contracts in pyproject.toml."""

from __future__ import annotations

import ast
import functools
import re
import textwrap
import tomllib
from typing import TYPE_CHECKING, Any

from tests.contract.test_house import PACKAGES, ROOT, modules, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH = 110
MARGIN = 24
TOUCHES = {
    "files": "os",
    "sockets": "socket",
    "processes": "subprocess",
    "ZeroMQ": "zmq",
    "pykka": "pykka",
    "cryptography": "cryptography",
}
"""What a room may touch, and a library that gives it."""
PURE = "°"


def dotted(path: Path) -> str:
    """netmap_actors.wire.codec; a package without its __init__."""
    parts = path.relative_to(next(package.parent for package in PACKAGES if package in path.parents))
    return ".".join(parts.with_suffix("").parts).removesuffix(".__init__")


CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
    "importlinter"
]["contracts"]


@functools.cache
def paths() -> dict[str, Path]:
    """Every module's, by its dotted name."""
    return {dotted(path): path for path in modules()}


def touches(module: str) -> list[str]:
    """What no contract forbids it; for a package, what not every module in it is forbidden."""
    above = {module[:at] for at, letter in enumerate(module) if letter == "."} | {module}
    forbidden = {
        library
        for contract in CONTRACTS
        if contract["type"] == "forbidden" and above & set(contract["source_modules"])
        for library in contract["forbidden_modules"]
    }
    return [touch for touch, library in TOUCHES.items() if library not in forbidden]


def drawn() -> str:
    """Both packages, the highest storey first."""
    return "\n".join(line for package in PACKAGES for line in (*_package(package.name), ""))


def _package(package: str) -> Iterator[str]:
    yield f"{package}/"
    rooms = _inside(package)
    storeys = sorted({_storey(room) for room in rooms})
    for storey in storeys:
        yield ""
        for room in rooms:
            if _storey(room) == storey:
                yield from _room(room, f"{len(storeys) - storeys.index(storey):>2}  ")


def _room(room: str, indent: str) -> Iterator[str]:
    inside = _inside(room)
    may, folders = touches(room), [one for one in inside if _inside(one)]
    names = [
        one.rpartition(".")[2] + PURE * ("files" in may and "files" not in touches(one))
        for one in inside
        if one not in folders
    ]
    touched = ",\xa0".join(may if "files" in may else ["pure", *may])
    lines = textwrap.wrap(f"{_sentence(room)} [{touched}]", WIDTH - MARGIN)
    lines += textwrap.wrap("  ".join(names), WIDTH - MARGIN)
    head = indent + room.rpartition(".")[2] + "/" * bool(inside)
    yield from (f"{head * (not at):{MARGIN}}{line}".replace("\xa0", " ") for at, line in enumerate(lines))
    for folder in folders:
        yield from _room(folder, " " * len(indent) + "  ")


def _inside(package: str) -> list[str]:
    """Modules and packages in this one, by storey where it has storeys, then by name."""
    return sorted(
        (name for name in paths() if name.rpartition(".")[0] == package),
        key=lambda name: (_storey(name), name),
    )


def _storey(module: str) -> int:
    """Counted from the top; 0 where there are none."""
    container, _, name = module.rpartition(".")
    layers = next((one["layers"] for one in CONTRACTS if container in one.get("containers", ())), [])
    return next((at for at, layer in enumerate(layers) if name in re.findall(r"\w+", layer)), 0)


def _sentence(module: str) -> str:
    text = " ".join((ast.get_docstring(parsed(paths()[module])) or "").split())
    return re.split(r"(?<=\.) ", text)[0].removesuffix(".")
