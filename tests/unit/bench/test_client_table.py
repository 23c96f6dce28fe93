"""The table of all clients: from the reports of their courses to a part of a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.client_table.__main__ import main
from bench.client_table.markdown import MARKS, cell, on_page, part
from bench.client_table.measurement import Machine, Measurement

ROOT = Path(__file__).resolve().parents[3]
MACHINE = Machine(system="Linux 6.18", processor="AMD EPYC", cores=2, load=0.4)


def row(name: str, verdict: str = "pass", seen: str = "map session after 0.2 s") -> dict[str, Any]:
    return {"name": name, "verdict": verdict, "seen": seen}


def measurement(client: str, *rows: dict[str, Any], load: float = 0.4, limit: float = 120.0) -> Measurement:
    return Measurement(
        client=client,
        what="Tailscale v1.102.5",
        started="2026-11-29T11:00:00+00:00",
        took=754.0,
        jobs=12,
        side_by_side=3,
        machine=Machine(MACHINE.system, MACHINE.processor, MACHINE.cores, load),
        report={"version": 2, "limit_s": limit, "scenarios": list(rows)},
    )


@pytest.mark.parametrize(
    ("verdict", "seen", "shown"),
    [
        ("pass", "map session after 0.2 s", "0.2 s"),
        ("pass", "same connection and map session for 156.0 s", "kept 156.0 s"),
        ("pass", "new TCP connection after 121.1 s, map session after 121.2 s", "new TCP 121.2 s"),
        (
            "pass",
            "new TCP connection after 80.1 s, map session after 80.2 s; its HTTP/2 PING after 60.0 s was not answered",
            "new TCP 80.2 s, PING unanswered",
        ),
        (
            "pass",
            "ended the session at once; new map session on the same connection after 0.0 s",
            "ended at once; same connection 0.0 s",
        ),
        ("pass", "7 map requests while it was refused; back after 1.8 s", "7 requests; back 1.8 s"),
        (
            "pass",
            "6 map requests, at least 7.7 s apart while it was refused; back after 1.0 s",
            "6 requests, at least 7.7 s apart; back 1.0 s",
        ),
        ("pass", "as expected after each step (says nothing: 0.4 s, adds birch: 2.1 s, cuts: 0.3 s)", "2.1 s"),
        ("pass", "registered anew after 618.2 s", "registered anew after 618.2 s"),
        (
            "fail",
            "asked again on the same dead connection after 120.0 s, no new one in 137.0 s",
            "**fail**: asked on the dead connection, no new one",
        ),
        (
            "fail",
            "no new connection in 137.0 s; what is asked on the dead one gets lost",
            "**fail**: no new connection in 137.0 s",
        ),
        (
            "warn",
            "asked again on the same connection after 120.0 s, and was answered",
            "**warn**: asked on the same connection after 120.0 s",
        ),
        (
            "warn",
            "25 map requests while it was refused, 20 are enough; back after 2.9 s",
            "**warn**: 25 requests, 20 are enough; back 2.9 s",
        ),
        (
            "fail",
            "20.1 s after step 2 (the server removes birch): birch is still listed",
            "**fail**: birch is still listed",
        ),
        (
            "warn",
            "9 s after step 2 (the server cuts): 1 register request with the spent auth key, none expected (after 3 s)",
            "**warn**: 1 request with the spent auth key",
        ),
        (
            "fail",
            "the client ended by itself after 3.2 s, exit status 1: cannot go | on",
            "**fail**: ended by itself, exit status 1",
        ),
        (
            "flaky",
            "asked nothing and made no new connection in 137.0 s; passed when it was run again alone",
            "**flaky**: nothing in 137.0 s",
        ),
        ("error", "did not join within 30.0 s; its log ends with: no", "**error**: did not join within 30.0 s"),
        ("skip", "the client does not ask for zstd (Compress)", "–"),
    ],
)  # fmt: skip
def test_a_cell_is_short(verdict: str, seen: str, shown: str) -> None:
    assert cell(row("x/y", verdict, seen)) == shown


def test_what_has_no_short_form_is_cut_between_words_and_breaks_no_table() -> None:
    shown = cell(row("x/y", "fail", "one | two <three> four *five* six_seven\neight nine ten eleven"))
    assert shown == r"**fail**: one \| two &lt;three&gt; four \*five\* six\_seven eight …"


def test_one_row_a_scenario_by_group_and_one_column_a_client() -> None:
    text = part(
        [
            measurement("tsp", row("join/first-map"), row("map/gone", "skip", "needs it"), row("map/there")),
            measurement("tsnet", row("join/first-map"), row("map/gone", "warn", "looked away")),
        ]
    )
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table == [
        "| scenario | tsp | tsnet |",
        "| --- | --- | --- |",
        "| **join** | | |",
        "| `join/first-map` | 0.2 s | 0.2 s |",
        "| **map** | | |",
        "| `map/gone` | – | **warn**: looked away |",
        "| `map/there` | 0.2 s | |",
    ]
    assert "* **tsp**, Tailscale v1.102.5: passed 2, warned 0, failed 0, skipped 1 (needs it). 13 min" in text
    assert "* **tsnet**, Tailscale v1.102.5: passed 1, warned 1, failed 0, skipped 0. 13 min" in text


def test_what_is_rare_is_counted_only_where_it_is() -> None:
    text = part([measurement("tsp", row("a/b", "flaky"), row("a/c", "error"))])
    assert "passed 0, warned 0, failed 0, skipped 0, flaky 1, not judged 1. 13 min" in " ".join(text.split())


def test_it_says_where_and_when_it_was_measured() -> None:
    text = " ".join(part([measurement("tsp", row("a/b"))]).split())
    assert text.startswith(
        "2026-11-29, `--limit 120s --jobs 12`, up to 3 courses side by side, on Linux 6.18 with 2 cores (AMD EPYC)."
    )
    assert "loaded" not in text


def test_its_prose_fits_the_page() -> None:
    lines = part([measurement("tsp", row("a/b", "skip", "for reasons " * 12), load=9.0)]).splitlines()
    assert [line for line in lines if len(line) > 118 and not line.startswith("|")] == []


def test_it_says_when_the_machine_was_loaded() -> None:
    text = " ".join(part([measurement("tsp", row("a/b"), load=9.04)]).split())
    assert "On a loaded machine (load average up to 9.0)" in text


def test_it_stands_between_its_marks() -> None:
    page = f"before\n{MARKS[0]}old\n{MARKS[1]}after\n"
    assert on_page(page, "new\n") == f"before\n{MARKS[0]}new\n{MARKS[1]}after\n"
    assert on_page(on_page(page, "new\n"), "new\n") == on_page(page, "new\n")


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        on_page("before\nafter\n", "new\n")


def test_the_documentation_has_the_marks() -> None:
    assert "new\n" in on_page((ROOT / "docs" / "clients.md").read_text(), "new\n")


def test_a_measurement_is_kept_whole() -> None:
    one = measurement("tsp", row("a/b"))
    assert Measurement.from_document(one.document()) == one


def test_the_table_is_made_anew_from_what_was_kept(tmp_path: Path) -> None:
    (tmp_path / "tsp.json").write_text(json.dumps(measurement("tsp", row("a/b")).document()))
    done = CliRunner().invoke(main, ["--from", str(tmp_path)])
    assert (done.exit_code, "| `a/b` | 0.2 s |" in done.output) == (0, True), done.output
    assert "docs/clients.md stays as it is" in done.output


def test_nothing_kept_is_an_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--from", str(tmp_path)])
    assert (done.exit_code, "cannot make a table: no report in" in done.output) == (1, True)
