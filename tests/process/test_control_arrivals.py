"""The control_connection process says how old a message may be that waited for it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import make_options, running_server
from tests.process.test_control_connection import LIMIT, House, boottime
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_what_waited_for_a_stopped_process_is_as_old_as_the_wait(tmp_path: Path) -> None:
    with (
        running_server(nodes=3, options=make_options(keep_alive=1.0)) as server,
        House(server, tmp_path).connection() as process,
    ):
        first, _ = process.next_map()
        assert first.sent_since <= first.present_since == first.received_at
        before, _ = process.next_map()
        assert before.sent_since == first.received_at, "it was sent after the one before it"
        process.process.send_signal(signal.SIGSTOP)
        stopped_at = boottime()
        try:
            wait_for(lambda: boottime() > stopped_at + 9.0, LIMIT, "more than a lateness")
        finally:
            process.process.send_signal(signal.SIGCONT)
        waited = []
        while not waited or waited[-1].received_at < stopped_at + 9.0:
            waited.append(process.next_map()[0])
        assert len(waited) > 5
        assert all(header.sent_since <= header.received_at for header in waited)
        assert min(header.received_at for header in waited[1:]) <= stopped_at
        # What came a moment after it went on may have been held up as well: for a clock it proves nothing yet.
        assert waited[-1].sent_since <= stopped_at
