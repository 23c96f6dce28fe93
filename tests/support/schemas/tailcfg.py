"""Fields of the structures that Go's package tailcfg reads from a control server, as its source declares them.

`python -m tests.support.schemas.tailcfg DIRECTORY` writes them anew from the module tailscale.com in DIRECTORY.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "tailcfg-fields.txt"
"""One line for each: structure, member as JSON has it, type."""
ROOTS = ("MapResponse", "MapRequest", "Login", "User")
_FILES = ("tailcfg/tailcfg.go", "tailcfg/derpmap.go", "tailcfg/tka.go", "tailcfg/proto_port_range.go",
          "types/dnstype/dnstype.go")  # fmt: skip
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_ALIAS = re.compile(r"^type (\w+) (?!struct\b|interface\b|func\b)(\S+)$", re.MULTILINE)
_FIELD = re.compile(
    r"^\t(\w+(?:, \w+)*)\s+([^\s`]+(?:\{\})?)\s*(?:`(?:[^`]*?json:\"([^\"]*)\")?[^`]*`)?\s*(?://.*)?$"
)
_NAMED = re.compile(r"[A-Z]\w*$")


class GoField(NamedTuple):
    """One field of a structure."""

    struct: str
    member: str
    type: str
    """With names for what they stand for: `[]netip.Prefix`, `map[string]*DERPRegion`."""


def known_fields() -> list[GoField]:
    """As they were when they were written down."""
    return [GoField(*line.split()) for line in FIXTURE.read_text().splitlines() if not line.startswith("#")]


def declared_fields(module: Path) -> list[GoField]:
    """As the source in this directory of a module declares them."""
    source = "\n".join((module / file).read_text() for file in _FILES)
    aliases = dict(_ALIAS.findall(source))
    bodies = dict(_STRUCT.findall(source))
    found: list[GoField] = []
    waiting, seen = list(ROOTS), set(ROOTS)
    while waiting:
        struct = waiting.pop(0)
        for field in _fields(struct, bodies[struct], aliases):
            found.append(field)
            inner = field.type.rpartition("]")[2].lstrip("*")
            if inner in bodies and inner not in seen:
                seen.add(inner)
                waiting.append(inner)
    return sorted(found)


def _fields(struct: str, body: str, aliases: dict[str, str]) -> list[GoField]:
    found = []
    for line in body.splitlines():
        match = _FIELD.match(line)
        if match is None:
            continue
        names, go_type, tag = match.groups()
        for name in names.split(", "):
            member = (tag or "").partition(",")[0] or name
            if member != "-" and name[0].isupper():
                found.append(GoField(struct, member, _resolved(go_type, aliases)))
    return found


def _resolved(go_type: str, aliases: dict[str, str]) -> str:
    """Without names of this package for other types, and without views."""
    go_type = go_type.replace("dnstype.Resolver", "Resolver").removesuffix("View")
    for name in re.findall(r"\b[A-Z]\w*", go_type):
        if name in aliases and f".{name}" not in go_type:
            go_type = go_type.replace(name, _resolved(aliases[name], aliases))
    return go_type


if __name__ == "__main__":
    module = Path(sys.argv[1])
    lines = [f"# tailscale.com {module.name.partition('@')[2]}", *map(" ".join, declared_fields(module))]
    FIXTURE.write_text("\n".join(lines) + "\n")
