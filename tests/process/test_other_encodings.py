"""A terminal that is not UTF-8 shows everything all the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import running_publisher

PROGRAM = [sys.executable, "-P", "-m", "netmap_supervisor"]


@pytest.mark.parametrize("encoding", ["iso-8859-1", "ascii", "utf-8"])
def test_watch_tells_a_change_in_every_encoding(encoding: str) -> None:
    with running_publisher() as publisher:
        publisher.new_session(full(node(2), node(3)))
        publisher.statistics(peers=2)
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUNBUFFERED": "1"}
        command = [*PROGRAM, "watch", f"--runtime-dir={publisher.runtime_dir}"]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as watch:
            try:
                assert watch.stdout is not None and watch.stderr is not None
                first = watch.stdout.readline()
                assert b"2 peers" in first, first + watch.stderr.read()
                named = node(2) | {"Name": "büro-ü.example.", "HomeDERP": 7, "User": 9}
                publisher.map_response(
                    {"PeersChanged": [named], "UserProfiles": [{"ID": 9, "LoginName": "漢"}]}
                )
                told = b"".join(watch.stdout.readline() for _ in range(2))
            finally:
                watch.kill()
    said = {
        "utf-8": ("büro-ü.example", "→", "漢"),
        "iso-8859-1": ("büro-ü.example", "->", "\\u6f22"),
        "ascii": ("b\\xfcro-\\xfc.example", "->", "\\u6f22"),
    }[encoding]
    for words in said:
        assert words.encode(encoding) in told, told


def test_what_is_cut_in_a_table_is_as_wide_as_the_table_in_every_encoding() -> None:
    tagged = node(2) | {"Tags": ["tag:one", "tag:two", "tag:three"]}
    shown = {}
    with running_publisher() as publisher:
        publisher.new_session(full(tagged, node(3)))
        publisher.statistics(peers=2)
        for encoding in ("iso-8859-1", "ascii", "utf-8"):
            terminal, other = os.openpty()
            environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "76"}
            command = [*PROGRAM, "netmap", f"--connect=ipc://{publisher.runtime_dir}/pub"]
            try:
                subprocess.run(command, env=environment, stdout=other, timeout=60, check=True)
                shown[encoding] = os.read(terminal, 1 << 16).decode(encoding)
            finally:
                os.close(terminal)
                os.close(other)
    assert "…" in shown["utf-8"]
    assert shown["iso-8859-1"] == shown["ascii"] == shown["utf-8"].replace("…", "~")
