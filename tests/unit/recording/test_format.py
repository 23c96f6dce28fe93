"""The lines of a recording: written, read, cut, and not what they should be."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netmap_actors.errors import ConfigurationError
from netmap_actors.recording import files
from netmap_actors.recording.format import (
    FORMAT_VERSION,
    RecordedEnd,
    Recording,
    began_line,
    closing_line,
    document_line,
    end_line,
    header_line,
    missed_line,
    note_line,
    read_recording,
)

FIRST: dict[str, Any] = {"Node": {"ID": 1}, "Unknown": {"Deep": [1, "two"]}}
HEADER = header_line("netmap-supervisor 1", 130, {"Stream": True}, "2026-01-01T00:00:00Z")
SESSION = [
    began_line(1, 4, "2026-01-01T00:00:00Z"),
    document_line(0.0, FIRST, 20),
    note_line(0.5, "something happened"),
    document_line(1.5, {"KeepAlive": True}, 18),
]
END = end_line(2.0, RecordedEnd("closed", "map", "the server closed it"))


def read(*lines: bytes) -> Recording:
    return read_recording(lines, "a.jsonl")


def test_what_was_written_is_read() -> None:
    recording = read(HEADER, *SESSION, END, closing_line("interrupted", 1, 2))
    (session,) = recording.sessions
    assert recording.header.capability_version == 130
    assert recording.header.tailnet == "default"
    assert [(one.at, one.keep_alive) for one in session.documents] == [(0.0, False), (1.5, True)]
    assert msgspec.json.decode(session.documents[0].json) == FIRST
    assert (session.end, session.ended_at) == (RecordedEnd("closed", "map", "the server closed it"), 2.0)
    assert recording.cut == ""


def test_what_is_not_in_it_is_said() -> None:
    assert read(HEADER, *SESSION, END).lacks == []
    lacks = read(HEADER, *SESSION, END, missed_line(3), *SESSION, missed_line(1), b"{").lacks
    assert lacks == ["line 13 is cut off", "its recorder missed 2 sessions"]


@pytest.mark.parametrize("cut", range(1, len(SESSION[3])))
def test_a_file_that_is_cut_in_its_last_line_is_read_up_to_there(cut: int) -> None:
    recording = read(HEADER, *SESSION[:3], SESSION[3][:cut])
    assert recording.cut == "line 5 is cut off"
    assert len(recording.sessions[0].documents) == 1


def test_a_session_without_an_end_that_another_follows_ends_with_its_last_message() -> None:
    first, second = read(HEADER, *SESSION, *SESSION).sessions
    assert (first.end, first.ended_at) == (RecordedEnd("unknown"), 1.5)
    assert second.end is None


def test_a_session_that_was_cut_before_its_netmap_is_none() -> None:
    alive = document_line(0.0, {"KeepAlive": True}, 1)
    assert len(read(HEADER, *SESSION, END, SESSION[0], alive).sessions) == 1


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ((), "line 1 is no header"),
        ((b'{"t": 1}\n',), "line 1 is no header"),
        ((b"[" * 100_000,), "line 1 is no header"),
        (
            (HEADER.replace(b'"version":1', b'"version":%d' % (FORMAT_VERSION + 1)),),
            "line 1: format version 2 is newer",
        ),
        ((HEADER,), "it has no session: a recording begins with the next one; record with --reconnect"),
        ((HEADER, SESSION[1]), "line 2: it belongs to no session"),
        ((HEADER, *SESSION, END, SESSION[3]), "line 7: it belongs to no session"),
        (
            (HEADER, SESSION[0], document_line(0, {"Peers": []}, 1)),
            "line 3: a session has to begin with the whole",
        ),
        ((HEADER, *SESSION, document_line(1.0, {}, 1)), "line 6: its time 1.0 is not between"),
        ((HEADER, *SESSION, document_line(1e9, {}, 1)), "line 6: its time"),
        ((HEADER, *SESSION, b'{"t": NaN}\n'), "line 6: "),
        ((HEADER, *SESSION, b"\xff\n"), "line 6: "),
        ((HEADER, *SESSION, b'{"t": 2, "map_response": "text"}\n'), "line 6: "),
        (
            (
                HEADER,
                *SESSION,
                b'{"t": 2, "map_response": {"A": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}\n",
            ),
            "line 6: ",
        ),
    ],
)
def test_a_bad_file_is_a_sentence_with_the_line(lines: tuple[bytes, ...], why: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^cannot play a\.jsonl: ") as error:
        read(*lines)
    assert why in str(error.value)


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_a_file_of_each_suffix_is_readable_at_every_moment(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    out = files.create(path)
    for line in (HEADER, *SESSION):
        out.write(line)
    size = out.size
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == size
    # As it is when its recorder is killed now.
    (session,) = files.read(path).sessions
    assert len(session.documents) == 2
    out.write(END)
    out.close()
    out.close()
    assert files.read(path).sessions[0].end is not None
    if suffix != "jsonl":
        path.write_bytes(path.read_bytes()[: size - 12])
        assert files.read(path).cut


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    path, link = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    link.symlink_to(tmp_path / "elsewhere")
    path.write_text("mine")
    for one in (path, link):
        with pytest.raises(FileExistsError):
            files.create(one)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "content", [b"no gzip at all", gzip.compress(HEADER, mtime=0)[:20] + b"\0" * 99], ids=["other", "damaged"]
)
def test_a_file_that_is_compressed_otherwise_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "a.jsonl.zst"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=f"^cannot play {path}: line 1"):
            files.read(path)


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 1000)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(HEADER + b" " * 100_000_000, 1))
    with pytest.raises(ConfigurationError, match="line 2: more than 1000 bytes"):
        files.read(path)
