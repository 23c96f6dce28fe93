"""The parts of a report: what each holds, or why it is missing. Nothing here asks anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from netmap_actors import shown_json
from netmap_actors.errors import NetmapError, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from netmap_actors.pseudonyms import Pseudonyms

__all__ = ["ReportPart", "gathered", "page", "table"]


Form = Literal["text", "replaced", "json", "lines", "table", "metrics"]
"""`json`: one document; `lines`: a list of documents and of text; `replaced`: text without originals."""
_WIDTH = 110
"""Characters of a line of JSON."""
_ROW = 400
"""The same of what stands in a list: one line each can be read down, as a log is."""
_OURS = ("# HELP netmap_", "# TYPE netmap_")
"""Lines of metrics that are the program's own."""


class ReportPart(msgspec.Struct, frozen=True):
    """One part, with originals."""

    title: str
    content: Any = None
    form: Form = "text"
    missing: str = ""
    """Why there is nothing; empty: there is."""


def gathered(title: str, work: Callable[[], Any], form: Form = "text") -> ReportPart:
    """The part that `work` finds. Whatever it raises is why there is none: a report is for when things are broken."""
    try:
        return ReportPart(title, work(), form)
    except NetmapError as error:
        return ReportPart(title, missing=str(error))
    except OSError as error:
        return ReportPart(title, missing=f"cannot read {error.filename or 'it'}: {error.strerror or error}")
    except Exception as error:  # noqa: BLE001
        return ReportPart(title, missing=f"cannot find it out: {type(error).__name__}: {escape(str(error))}")


def page(head: Sequence[str], parts: Sequence[ReportPart], pseudonyms: Pseudonyms) -> str:
    """The report: Markdown, of which each line can be read. All is known before the first text is written."""
    # A log has names that only the history tells of.
    for part in parts:
        if part.form in {"json", "lines"}:
            pseudonyms.document(part.content, "report")
    made = {part.title: list(_made(part, pseudonyms)) for part in parts}
    lines = list(head)
    lines += ["", "What was replaced: " + (table_of_counts(pseudonyms.counts) or "nothing") + "."]
    for part in parts:
        lines += ["", f"## {part.title}", "", *made[part.title]]
    return "\n".join(lines) + "\n"


def table_of_counts(counts: Mapping[str, int]) -> str:
    """What was replaced and how often, in words."""
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))


def table(rows: Mapping[str, object]) -> dict[str, str]:
    """Facts as a table shows them."""
    return {name: str(value) for name, value in rows.items() if value not in {None, ""}}


def _made(part: ReportPart, pseudonyms: Pseudonyms) -> Iterator[str]:
    if part.missing:
        yield f"*Missing*: {pseudonyms.text(_shown(part.missing))}"
        return
    content = part.content
    if part.form == "table":
        yield "| | |"
        yield "| --- | --- |"
        for name, value in content.items():
            yield f"| {name} | {pseudonyms.text(_shown(value)).replace('|', '/')} |"
        return
    lines = [line for one in _lines(part, pseudonyms) for line in one.split("\n")]
    # Longer than any in it: no content ends the block.
    fence = "~" * max(8, *(len(line) + 1 for line in lines if line.strip().startswith("~~~")), 0)
    yield from (fence, *lines, fence)


def _lines(part: ReportPart, pseudonyms: Pseudonyms) -> Iterator[str]:
    content = part.content
    match part.form:
        case "json":
            yield from _json(pseudonyms.document(content, "report"), "", "")
        case "lines":
            for one in content:
                yield _line(one, pseudonyms)
        case "replaced":
            yield content
        case "metrics":
            lines = content.splitlines()
            yield from (line if line.startswith(_OURS) else pseudonyms.text(_shown(line)) for line in lines)
        case _:
            yield "\n".join(pseudonyms.text(_shown(line)) for line in str(content).splitlines())


def _json(value: Any, indent: str, name: str, comma: str = "", width: int = _WIDTH) -> Iterator[str]:
    """Indented, with what fits on one line on one line."""
    short = shown_json.encode(value).decode()
    if len(indent) + len(name) + len(short) <= width or not value or not isinstance(value, dict | list):
        yield f"{indent}{name}{short}{comma}"
        return
    begin, end = "{}" if isinstance(value, dict) else "[]"
    named = (
        [(f"{shown_json.encode(key).decode()}: ", one) for key, one in value.items()]
        if isinstance(value, dict)
        else [("", one) for one in value]
    )
    yield f"{indent}{name}{begin}"
    for number, (key, one) in enumerate(named, start=1):
        yield from _json(
            one, indent + "  ", key, "," if number < len(named) else "", _WIDTH if begin == "{" else _ROW
        )
    yield f"{indent}{end}{comma}"


def _line(one: Any, pseudonyms: Pseudonyms) -> str:
    if isinstance(one, str):
        return pseudonyms.text(_shown(one))
    return shown_json.encode(pseudonyms.document(one, "report")).decode()


def _shown(text: str) -> str:
    """A line that no terminal obeys."""
    return "\\n".join(escape(line, 10_000) for line in text.split("\n"))
