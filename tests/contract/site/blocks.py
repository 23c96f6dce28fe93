"""The code on the pages of the documentation: what is run, what is only checked, and what is not run, and why. Pure.

A comment in the line before a block says what is special about it, several things with ";" between them:

    not run: WHY                    nobody runs it here
    run by tests/FILE               another test takes it from the page
    save: NAME                      it is the text of this file
    a daemon runs[: OPTIONS]        before it a daemon is started, unless one was on this page
    in a terminal of its own        it goes on while the rest of the page is run
    shown                           the terminals have shown these lines at last
    typed: TEXT                     its commands read this from the keyboard
    then: COMMAND                   which succeeds soon after it
    a machine of its own[: WORDS]   it is root's, with what functions of machine.sh start
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["DATA", "SHELL", "Block", "blocks", "commands", "goes_on", "ports_of", "with_ports"]

SHELL = frozenset({"", "sh", "bash", "console"})
DATA = frozenset({"toml", "json", "yaml", "ini"})
MARKS = frozenset(
    {
        *("not run", "run by", "save", "a daemon runs", "in a terminal of its own", "shown", "typed", "then"),
        "a machine of its own",
    }
)
_FENCE = re.compile(r"^```(\S*)(.*)$")
_MARK = re.compile(f"<!-- ({'|'.join(sorted(MARKS))})\\b")
_LASTING = re.compile(
    r"make run\b|netmap-supervisor (run\b(?!.*--demo-faults)|watch\b|dev-control( --|$)|export .*--follow)|receiver\.py"
)
"""Commands that go on until they are told to stop."""


class Block(NamedTuple):
    """One fenced block."""

    page: Path
    line: int
    """Of its fence."""
    language: str
    text: str
    marks: dict[str, str]
    """What the comment before it says, by its first words."""

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.page.name}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether the page's own run has it."""
        return self.language in SHELL | {"python"} and not self.marks.keys() & {"not run", "run by"}

    @property
    def wants_a_machine(self) -> bool:
        """Whether it is run apart from the page's others, as root."""
        return "a machine of its own" in self.marks


def blocks(page: Path, text: str) -> list[Block]:
    """All blocks of a page, in their order. Raises ValueError for a mark that is unknown or has no block."""
    found: list[Block] = []
    lines = text.splitlines()
    start: int | None = None
    for number, line in enumerate(lines):
        if start is None and _FENCE.match(line):
            start = number
        elif start is not None and line.rstrip() == "```":
            language = _FENCE.sub(r"\1", lines[start]) if start is not None else ""
            before = lines[start - 1] if start else ""
            inside = "\n".join(lines[start + 1 : number]) + "\n"
            found.append(Block(page, start + 1, language, inside, _marks(before, page, start)))
            start = None
        elif (
            start is None
            and (mark := _MARK.match(line))
            and not _FENCE.match("".join(lines[number + 1 :][:1]))
        ):
            raise ValueError(f"cannot find the block of the mark {mark[1]!r} at {page.name}:{number + 1}")
    return found


def _marks(line: str, page: Path, number: int) -> dict[str, str]:
    comment = re.fullmatch(r"<!-- (.*) -->", line.strip())
    if comment is None:
        return {}
    marks = {}
    for one in comment[1].split("; "):
        name = next((name for name in sorted(MARKS) if one.startswith(name)), None)
        if name is None:
            raise ValueError(
                f"cannot read the mark {one!r} at {page.name}:{number}: there are {sorted(MARKS)}"
            )
        marks[name] = one.removeprefix(name).removeprefix(":").strip()
    return marks


def commands(block: Block) -> list[str]:
    """The commands of a shell block, each whole: with its continued lines and its here-document."""
    found: list[str] = []
    end: str | None = None
    for line in block.text.splitlines():
        if block.language == "console":
            if line.startswith("$ "):
                found.append(line[2:])
        elif end is not None:
            found[-1] += f"\n{line}"
            end = None if line == end else end
        elif found and found[-1].endswith("\\"):
            found[-1] += f"\n{line}"
        elif line.strip() and not line.startswith("#"):
            found.append(line)
        if end is None and found and (here := re.search(r"<<-?'?(\w+)'?", found[-1].splitlines()[0])):
            end = here[1] if not found[-1].endswith(f"\n{here[1]}") else None
    return found


def goes_on(command: str) -> bool:
    """Whether it has to be told to stop."""
    return _LASTING.search(re.sub(r"\s+#.*", "", command)) is not None


def with_ports(found: list[Block], ports: dict[str, int]) -> list[Block]:
    """The blocks with other ports of 127.0.0.1; `ports` may lack some, which `ports_of` names."""
    for old, new in ports.items():
        found = [one._replace(text=re.sub(rf"\b{old}\b", str(new), one.text)) for one in found]
    return found


def ports_of(found: list[Block]) -> list[str]:
    """The ports of this machine that the blocks name."""
    return sorted({port for one in found for port in re.findall(r"127\.0\.0\.1:(\d{4,5})\b", one.text)})
