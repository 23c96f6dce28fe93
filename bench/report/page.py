"""The generated parts of docs/performance.md: the bounds with what was measured last, what it costs a user. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.bounds import BOUNDS
from bench.report.drawing import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Figure
    from bench.history import Run

TAILNETS = (
    ("real.10", "10, small"),
    ("real.1000", "1 000, small"),
    ("real.10000", "10 000, small"),
    ("real.50000", "50 000, small"),
    ("embedded.100000-real", "100 000 of real size"),
    ("embedded.250000-small", "250 000, small"),
)
"""Whose memory is shown."""
RATES = (1, 10, 100)
"""Changes a second."""


class Newest:
    """For each figure the newest run that has it: a whole one if there is one, else a quick one."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._of: dict[str, Run] = {}
        for quick in (True, False):
            for run in runs:
                if run.quick is quick:
                    self._of |= dict.fromkeys(run.figures, run)

    def run(self, key: str) -> Run | None:
        """Which run that is."""
        return self._of.get(key)

    def figure(self, key: str) -> Figure | None:
        """What it measured."""
        run = self._of.get(key)
        return run.figures[key] if run else None


def bounds_part(runs: Sequence[Run]) -> str:
    """A row for each bound, and the runs they come from."""
    newest = Newest(runs)
    lines = ["| work | server | to reach | measured | spread | |", "| --- | --- | --- | --- | --- | --- |"]
    used: dict[str, Run] = {}
    for bound in BOUNDS:
        figure, run = newest.figure(bound.figure), newest.run(bound.figure)
        server = bound.figure.partition(".")[0]
        unit = f" {bound.unit}" if bound.unit else ""
        if figure is None or run is None:
            lines.append(f"| {bound.work} | {server} | ≤ {shown(bound.most)}{unit} | not measured yet | | |")
            continue
        used[run.at] = run
        value = getattr(figure, bound.taken)
        verdict = "reached" if value <= bound.most else "**missed**"
        if run.quick:
            verdict += ", quick"
        spread = f"{shown(figure.min)} to {shown(figure.max)}, {figure.n} times" if figure.n > 1 else "once"
        lines.append(
            f"| {bound.work} | {server} | ≤ {shown(bound.most)}{unit} | {shown(value)}{unit} | {spread} | {verdict} |"
        )
    return "\n".join([*lines, "", *(f"* {_conditions(used[at])}" for at in sorted(used))]) + "\n"


def cost_part(runs: Sequence[Run]) -> str:
    """Memory, CPU and subscribers, from the newest runs."""
    newest = Newest(runs)
    lines = ["\n**Memory of the whole tree (PSS)**\n"]
    lines += [
        "| peers | while it starts | at rest | tailscaled while it starts |",
        "| --- | --- | --- | --- |",
    ]
    for key, name in TAILNETS:
        peak, steady, theirs = (
            newest.figure(f"{key}.{what}") for what in ("pss_peak", "pss_steady", "tailscaled_pss_peak")
        )
        if peak and steady:
            other = f"{shown(theirs.median)} MiB" if theirs else ""
            lines.append(f"| {name} | {shown(peak.median)} MiB | {shown(steady.median)} MiB | {other} |")
    return "\n".join([*lines, "", *_history(newest), *_cpu(newest), *_subscribers(newest)]) + "\n"


def _history(newest: Newest) -> list[str]:
    """What the process that keeps the history adds."""
    memory, woken = (
        newest.figure("real.10.pss_peak_with_history"),
        newest.figure("real.10.wake_ups_with_history"),
    )
    if not memory or not woken:
        return []
    text = (
        f"All without the history (`history.keep`). With it: {shown(memory.median)} MiB at 10 peers, and "
        f"{shown(woken.median)} wake-ups a second when nothing happens."
    )
    return [text, ""]


def _cpu(newest: Newest) -> list[str]:
    """What changes cost."""
    alone, told = newest.figure("fed.100.change_cpu"), newest.figure("fed.100.delivered_change_cpu")
    idle, churn = newest.figure("real.10.core_share"), newest.figure("embedded.1000.churn_share")
    lines = ["**CPU of the publisher, as a share of a core**", ""]
    lines += ["| changes a second | no subscriber | 1 000 subscribers |", "| --- | --- | --- |"]
    lines += [f"| {rate} | {_share(rate, alone)} | {_share(rate, told)} |" for rate in RATES]
    whole = [
        f"{shown(figure.median)} % {when}"
        for figure, when in (
            (idle, "when nothing happens"),
            (churn, "at 100 changes a second in a tailnet of 1 000, without subscribers"),
        )
        if figure
    ]
    return [*lines, "", *([f"The whole tree: {', '.join(whole)}.", ""] if whole else [])]


def _share(rate: int, change: Figure | None) -> str:
    """Of a core, for so many changes a second."""
    if change is None:
        return ""
    percent = rate * change.median / 10
    return f"{shown(percent)} %" if percent <= 100 else "more than a core"


def _subscribers(newest: Newest) -> list[str]:
    """How many one machine serves."""
    change, late = newest.figure("fed.100.delivered_change_cpu"), newest.figure("fed.100.delivery_p99")
    if not change or not late:
        return []
    text = (
        f"1 000 on one machine: 99 of 100 have a change after {shown(late.median)} ms, the change costs the publisher "
        f"{shown(change.median)} ms, and a core that did nothing else would serve them "
        f"{shown(1000 / change.median)} changes a second."
    )
    return ["**Subscribers**", "", text, ""]


def _conditions(run: Run) -> str:
    machine, versions = run.machine, run.versions
    commit = f"commit {run.commit}" if run.commit else "no commit"
    tree = "" if run.clean else " with changes that are in none"
    quick = ", a quick run" if run.quick else ""
    return (
        f"{run.at[:16].replace('T', ' ')} UTC, {commit}{tree}{quick}: {machine.kernel}, {machine.cores} cores "
        f"({machine.processor}), {shown(machine.memory_mib / 1024)} GiB; Python {versions.python}, "
        f"libzmq {versions.libzmq}, pyzmq {versions.pyzmq}, Tailscale {versions.tailscale}; load before "
        f"{run.load:.1f}, `python -c pass` {shown(run.yardstick.median)} ms."
    )
