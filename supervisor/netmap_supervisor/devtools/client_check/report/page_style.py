"""The style sheet of the page: light and dark, wide and narrow. No script, no font or picture from elsewhere."""

from __future__ import annotations

from typing import Final

__all__ = ["VERDICT_SIGNS", "filter_rules", "style_sheet"]

VERDICT_SIGNS: Final = {"pass": "✓", "fail": "✕", "warn": "!", "flaky": "~", "skip": "–", "error": "?"}
"""A verdict is never told by its colour alone."""

# Colours of sides and verdicts: Okabe and Ito's, which colour-blind people can tell apart.
# What is drawn by <use> has no ancestors to select by.
_STYLE: Final = """
:root { color-scheme: light dark; --page: #fff; --raised: #f5f6f8; --line: #d3d7dd; --text: #1b1f24; --muted: #59626d;
  --client: #0072b2; --server: #c04e00; --check: #59626d; --fault: #b3005e; --expected: #00785a;
  --pass: #00785a; --fail: #b3261e; --warn: #8a5a00; --flaky: #7a3e9d; --skip: #59626d; --error: #b3005e; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --raised: #1e2328; --line: #3a424b; --text: #e7eaee;
  --muted: #a2abb6; --client: #56b4e9; --server: #f0a030; --check: #a2abb6; --fault: #f78fc3; --expected: #4fd1ab;
  --pass: #4fd1ab; --fail: #ff8a80; --warn: #f0c050; --flaky: #cf9bea; --skip: #a2abb6; --error: #f78fc3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; max-width: 80rem; background: var(--page);
  color: var(--text); font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h2 small { color: var(--muted); font-weight: normal; }
code, pre { font: 13px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
a { color: inherit; }
.facts { margin: 0 0 1rem; } .facts, .told { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { color: var(--muted); } dd { margin: 0; }
.filter { display: inline-block; margin: 0 .35rem .5rem 0; }
input.choose { position: absolute; opacity: 0; pointer-events: none; }
.chip { display: inline-block; padding: .2rem .7rem; border: 1px solid var(--line); border-radius: 1rem;
  cursor: pointer; }
input.choose:focus-visible + .chip { outline: 2px solid var(--client); }
input.choose:checked + .chip { background: var(--text); color: var(--page); border-color: var(--text); }
table { width: 100%; border-collapse: collapse; }
table.group { table-layout: fixed; } th.name { width: 18rem; } th.verdict { width: 5.5rem; } th.number { width: 5rem; }
th { white-space: nowrap; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: normal; font-size: 13px; }
td.name, td.verdict { white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.verdict b { display: inline-block; width: 1.3em; text-align: center; }
.v-pass { color: var(--pass); } .v-fail { color: var(--fail); } .v-warn { color: var(--warn); }
.v-flaky { color: var(--flaky); } .v-skip { color: var(--skip); } .v-error { color: var(--error); }
details.scenario { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; background: var(--raised); }
details.scenario > summary { padding: .5rem .75rem; cursor: pointer; }
details.scenario > summary .seen { color: var(--muted); }
details.scenario > div { padding: 0 .75rem .75rem; }
details.more { margin: .5rem 0; } details.more > summary { cursor: pointer; color: var(--muted); }
pre { margin: .5rem 0; padding: .5rem; background: var(--page); border: 1px solid var(--line); overflow: auto;
  max-height: 24rem; white-space: pre-wrap; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
.scroll { overflow-x: auto; }
.defs { position: absolute; } svg.lanes { display: block; margin-top: .5rem; background: var(--page); }
svg { overflow: visible; } svg.lanes { overflow: hidden; }
svg text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--text); }
.hollow { fill: none; stroke: currentColor; stroke-width: 1.8; } use { fill: currentColor; }
svg text.name, svg text.tick { fill: var(--muted); } svg text.count { font-size: 11px; fill: currentColor; }
svg .wire { stroke: var(--muted); stroke-width: 2; } svg .axis { stroke: var(--muted); }
svg .bar { fill: currentColor; }
svg .client { color: var(--client); } svg .server { color: var(--server); } svg .check { color: var(--check); }
.hatch { stroke: var(--fault); stroke-width: 1.2; stroke-opacity: .35; }
svg .band.fault { fill: url(#hatch); } svg .band.expected { fill: var(--expected); fill-opacity: .22; }
svg .edge { stroke-width: 1.5; } svg .edge.fault { stroke: var(--fault); }
svg .edge.expected { stroke: var(--expected); stroke-dasharray: 5 3; }
svg .edge.step { stroke: var(--check); stroke-dasharray: 2 3; } svg text.step { fill: var(--check); }
svg text.fault { fill: var(--fault); } svg text.expected { fill: var(--expected); }
.caption { margin: .25rem 0; color: var(--muted); font-size: 13px; }
.legend { list-style: none; margin: .25rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem 1rem;
  color: var(--muted); font-size: 13px; } .legend svg { vertical-align: -2px; }
@media (max-width: 46rem) { .wide, .group tr:first-child { display: none; }
  .group tr { display: grid; grid-template-columns: 1fr max-content; border-bottom: 1px solid var(--line); }
  .group tr.one td { border: 0; padding-right: 0; } .group td.name { white-space: normal; font-weight: 600; }
  .group td:nth-last-child(2) { grid-column: 1 / 3; padding-top: 0; }
  details.scenario > summary .seen { display: block; }
  .facts, .told { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .35rem; } }
@media print { .choice { display: none; } }
"""


def filter_rules(verdicts: list[str]) -> str:
    """What is hidden while one verdict is chosen."""
    return "\n".join(
        f"body:has(#show-{verdict}:checked) .one:not(.is-{verdict}) {{ display: none; }}"
        for verdict in verdicts
    )


def style_sheet(verdicts: list[str]) -> str:
    """The whole of it, with the rules to filter by these verdicts."""
    return f"{_STYLE}{filter_rules(verdicts)}\n"
