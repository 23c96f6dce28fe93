"""The server's own share, from counts of what it read and wrote."""

from __future__ import annotations

import subprocess

import pytest

from bench.instruments.process_tree import boottime
from bench.instruments.server_watch import Count, ServerWatch, Share, share_of
from tests.support.waiting import wait_for

COUNTS = [
    Count(1.0, 0, 0),
    Count(1.1, 24, 0),  # its own event descriptors
    Count(1.2, 400, 0),
    Count(1.3, 400, 20_000),
    Count(1.4, 500, 90_000),
    Count(1.5, 500, 90_400),  # an answer
    Count(1.6, 500, 190_000),
]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (1.0, 1.55, Share(1.2, 1.55)),
        (1.0, 1.45, Share(1.2, 1.4)),
        (1.0, 1.7, Share(1.2, 1.6)),
        (1.35, 1.45, Share(1.4, 1.4)),
    ],
)
def test_it_begins_with_the_first_request_and_ends_with_the_last_part_of_the_map(
    since: float, until: float, expected: Share
) -> None:
    assert share_of(COUNTS, since, until) == expected


def test_a_server_that_sent_nothing_has_no_share() -> None:
    with pytest.raises(ValueError, match="asked 1 times and sent 0 parts"):
        share_of(COUNTS[:3], 1.0, 2.0)


def test_the_kernel_counts_what_a_process_reads_and_writes() -> None:
    data = b"x" * 20_000
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        assert cat.stdin is not None
        assert cat.stdout is not None
        began = boottime()
        with ServerWatch(cat.pid) as watch:
            cat.stdin.write(data)
            cat.stdin.flush()
            assert cat.stdout.read(len(data)) == data
            wait_for(lambda: watch.counts[-1].written >= len(data), 20.0, "all that was written is counted")
        share = share_of(watch.counts, began, boottime())
    assert began <= share.first_read <= share.last_written <= boottime()
