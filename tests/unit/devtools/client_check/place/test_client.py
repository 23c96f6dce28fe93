"""The client under test as a process, and its log."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from netmap_actors.clock import SystemClock
from netmap_supervisor.devtools.client_check.place.client import PLACEHOLDERS, Client, filled_in, mistyped
from netmap_supervisor.devtools.client_check.place.log import BEGINNING, END
from tests.support.waiting import wait_for


def test_only_known_braces_are_filled_in() -> None:
    assert filled_in(["{url}/{x}", "a{dir}b{dir}", "{}"], {"url": "u", "dir": "d"}) == ["u/{x}", "adbd", "{}"]


def test_its_whole_group_is_ended_and_its_last_words_are_kept(tmp_path: Path) -> None:
    client = Client(
        ["sh", "-c", 'sleep 100 & echo $! > "$1"; echo "at $NETMAP_CHECK_URL"; wait', "sh", "{dir}/pid"],
        {"url": "http://there", "dir": str(tmp_path)},
        tmp_path / "log",
        SystemClock(),
    )
    number = wait_for(
        lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 10.0, "its child"
    )
    wait_for(lambda: "at http://there" in client.last_words(), 10.0, "its words")
    assert client.ended() == ""
    client.end()
    # It may stay a zombie where nobody reaps orphans.
    wait_for(lambda: not _lives(int(number)), 10.0, "the end of its child")


def test_a_child_that_has_left_the_group_is_ended_too(tmp_path: Path) -> None:
    daemon = 'trap "" TERM; echo $$ > "$1.new"; mv "$1.new" "$1"; while :; do sleep 100; done'
    client = Client(
        ["sh", "-c", 'setsid sh -c "$2" sh "$1" & wait', "sh", "{dir}/pid", daemon],
        {"dir": str(tmp_path)},
        tmp_path / "log",
        SystemClock(),
    )
    wait_for((tmp_path / "pid").exists, 10.0, "its child")
    client.end()
    wait_for(lambda: not _lives(int((tmp_path / "pid").read_text())), 10.0, "the end of its child")


def test_who_prints_without_end_fills_no_disk_and_is_not_held_up(tmp_path: Path) -> None:
    noise = f"print('begin', flush=True); print('x' * {BEGINNING + (5 << 20)}); print('panic: the end')"
    client = Client([sys.executable, "-c", noise], {}, tmp_path / "log", SystemClock())
    assert wait_for(client.ended, 20.0, "its end").endswith(": panic: the end")
    client.end()
    written = (tmp_path / "log").read_bytes()
    assert written.startswith(b"begin\n")
    assert written.endswith(b"panic: the end\n")
    assert re.search(rb"\.\.\. \d{7} bytes left out \.\.\.", written)
    assert len(written) < BEGINNING + END + 100


def test_what_is_a_little_too_long_is_whole(tmp_path: Path) -> None:
    text = "".join(f"{number}\n" for number in range(3 << 20))[: BEGINNING + 1000]
    (tmp_path / "text").write_text(text)
    client = Client(["cat", str(tmp_path / "text")], {}, tmp_path / "log", SystemClock())
    wait_for(client.ended, 20.0, "its end")
    client.end()
    assert (tmp_path / "log").read_text() == text


def _lives(pid: int) -> bool:
    try:
        return " Z " not in (Path("/proc") / str(pid) / "stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_what_is_filled_in_and_braces_of_another_kind_are_not_mistyped(name: str) -> None:
    assert mistyped([f"--x={{{name}}}", "{}", "{0}", "{name}", "{json}", '{"a": 1}', "${HOME}"]) == ""
