"""The table of all clients as a part of a page: from the measurements to Markdown. Pure."""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.client_table.measurement import Measurement

MARKS = ("<!-- measured by bench/client_table -->\n", "<!-- end of what was measured -->\n")
"""What the table stands between."""
WORDS = 8
"""Of a cell, besides its verdict."""
WIDTH = 118
LOADED = 2.0
"""Load average for each core, from which on the machine is slow enough to be seen in the figures."""
SHORTER = (
    (r"; (?:passed when it was run again alone|run again alone: .*)$", ""),
    (r"^the client ended by itself after [\d.]+ s, (exit status|signal) (\d+).*$", r"ended by itself, \1 \2"),
    (r"^(did not join within [\d.]+ s).*$", r"\1"),
    (r"^[\d.]+ s after step \d+ \(the server .*?\): ", ""),
    (r", (?:none|at (?:most|least) \d+) expected(?: \(after [\d.]+ s\))?$", ""),
    (r"^map session after ([\d.]+ s)$", r"\1"),
    (r"^same connection and map session for ", "kept "),
    (r"new TCP connection after [\d.]+ s, map session after", "new TCP"),
    (r"new map session on the same connection after", "same connection"),
    (r"map session on another connection after", "other connection"),
    (r"^ended the session ", "ended "),
    (r"; its HTTP/2 PING after [\d.]+ s was not answered$", ", PING unanswered"),
    (r"^asked again on the same dead connection after .*$", "asked on the dead connection, no new one"),
    (r"^asked again on the same connection (after [\d.]+ s), and was answered$", r"asked on the same connection \1"),
    (r"; what is asked on the dead one gets lost$", ""),
    (r"^asked nothing and made no new connection in", "nothing in"),
    (r" while it was refused", ""),
    (r"\b(\d+) (?:map|register) request", r"\1 request"),
    (r"^asked for the key anew and trusted it, .*?;", "trusted the new key;"),
    (r"back after", "back"),
)  # fmt: skip
"""Sentences of `check-client`, and what stands for them in a cell; each is tried, in this order."""
RARE = (("flaky", "flaky"), ("error", "not judged"))
COUNTED = (("pass", "passed"), ("warn", "warned"), ("fail", "failed"), ("skip", "skipped"))


def cell(row: dict[str, Any]) -> str:
    """A verdict and its figure: a row of a report in few words."""
    if row["verdict"] == "skip":
        return "–"
    said = " ".join(str(row["seen"]).split())
    if said.startswith("as expected after each step"):
        said = f"{max((float(found) for found in re.findall(r': ([0-9.]+) s', said)), default=0.0):.1f} s"
    for pattern, short in SHORTER:
        said = re.sub(pattern, short, said)
    words = said.split(" ")
    if len(words) > WORDS + 2:
        said = " ".join([*words[:WORDS], "…"])
    return _escaped(said) if row["verdict"] == "pass" else f"**{row['verdict']}**: {_escaped(said)}"


def _escaped(text: str) -> str:
    """A client's own words may be among it."""
    marked = re.sub(r"[\\|*_`\[\]]", r"\\\g<0>", text)
    return marked.replace("<", "&lt;").replace(">", "&gt;")


def part(measured: Sequence[Measurement]) -> str:
    """Where and when it was measured, a line for each client, and the table."""
    lines = [_conditions(measured), "", *map(_summary, measured), "", *_table(measured)]
    return "\n".join(lines) + "\n"


def _conditions(measured: Sequence[Measurement]) -> str:
    days = " and ".join(sorted({one.started[:10] for one in measured}))
    limits = " and ".join(sorted({f"{one.report['limit_s']:g}s" for one in measured}))
    jobs = " and ".join(sorted({str(one.jobs) for one in measured}))
    places = " and ".join(
        sorted({
            f"{one.machine.system} with {one.machine.cores} cores ({one.machine.processor})" for one in measured
        })
    )  # fmt: skip
    most = max(one.side_by_side for one in measured)
    how = f"up to {most} courses side by side" if most > 1 else "one course after the other"
    text = f"{days}, `--limit {limits} --jobs {jobs}`, {how}, on {places}. One run each."
    if max(one.machine.load / one.machine.cores for one in measured) > LOADED:
        load = max(one.machine.load for one in measured)
        text += (
            f" On a loaded machine (load average up to {load:.1f}): figures of a few seconds are its own as "
            "much as the client's."
        )
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _summary(one: Measurement) -> str:
    rows = one.report["scenarios"]
    tally = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict, _ in (*COUNTED, *RARE)}
    counts = [f"{word} {tally[verdict]}" for verdict, word in COUNTED]
    reasons = dict.fromkeys(str(row["seen"]).partition(":")[0] for row in rows if row["verdict"] == "skip")
    if reasons:
        counts[-1] += f" ({_escaped('; '.join(reasons))})"
    counts += [f"{word} {tally[verdict]}" for verdict, word in RARE if tally[verdict]]
    text = f"* **{one.client}**, {one.what}: {', '.join(counts)}. {one.took / 60:.0f} min"
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _table(measured: Sequence[Measurement]) -> list[str]:
    held = [{row["name"]: row for row in one.report["scenarios"]} for one in measured]
    names = list(dict.fromkeys(itertools.chain.from_iterable(held)))
    groups = list(dict.fromkeys(map(_group, names)))
    names.sort(key=lambda name: groups.index(_group(name)))
    lines = [
        f"| scenario | {' | '.join(one.client for one in measured)} |",
        f"| {' | '.join(['---'] * (1 + len(measured)))} |",
    ]
    for group, members in itertools.groupby(names, _group):
        lines.append(f"| **{group}** |{' |' * len(measured)}")
        for name in members:
            cells = [cell(rows[name]) if name in rows else "" for rows in held]
            lines.append(f"| `{name}` |{''.join(f' {one} |' if one else ' |' for one in cells)}")
    return lines


def _group(name: str) -> str:
    return name.partition("/")[0]


def on_page(page: str, text: str) -> str:
    """The page with this between its marks. Raises ValueError."""
    before, begin, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise ValueError(f"no place for the table: {MARKS[0].strip()} and its end do not stand in the page")
    return before + begin + text + end + after
