"""The runtime directory is taken away under a running daemon, as logind does when the user's last login ends."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_supervisor import Subscriber
from tests.support.processes.daemon import children_of
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.support.processes.daemon import Daemon

LIMIT = 30.0


def test_the_daemon_makes_it_anew_and_is_found_again(embedded: Daemon) -> None:
    before = embedded.wait_fresh()
    with Subscriber(embedded.runtime_dir) as subscriber:
        assert subscriber.wait_for(lambda one: one.state == "fresh", LIMIT)
        peers = len(subscriber.store.netmap.peers)
        shutil.rmtree(embedded.runtime_dir)
        embedded.wait_event("runtime_dir_removed", LIMIT)
        assert subscriber.wait_for(lambda one: one.state != "fresh", LIMIT)
        assert subscriber.wait_for(lambda one: one.state == "fresh", LIMIT)
        assert len(subscriber.store.netmap.peers) == peers
    after = embedded.wait_fresh()
    assert embedded.running()
    assert after["netmap"]["epoch"] != before["netmap"]["epoch"]
    assert after["netmap"]["self"]["stable_id"] == before["netmap"]["self"]["stable_id"], "the same node"
    descriptors = len(list(Path(f"/proc/{embedded.pid}/fd").iterdir()))
    shutil.rmtree(embedded.runtime_dir)
    wait_for(lambda: embedded.status() is not None, LIMIT, "a daemon that can be reached again")
    embedded.wait_fresh()
    assert len(list(Path(f"/proc/{embedded.pid}/fd").iterdir())) == descriptors
    assert embedded.terminate() == 0
    assert not embedded.running()


def test_the_log_tells_the_status_it_ends_with(embedded: Daemon) -> None:
    embedded.wait_fresh()
    shutil.rmtree(embedded.runtime_dir)
    wait_for(lambda: embedded.status() is not None, LIMIT, "a daemon that can be reached again")
    assert embedded.events("stopped") == [], "it goes on"
    shutil.rmtree(embedded.runtime_dir)
    embedded.runtime_dir.touch()
    assert embedded.wait(LIMIT) == 1
    [last] = embedded.events("stopped")
    assert (last["exit_code"], last["level"]) == (1, "error")
    assert last["detail"].startswith(
        f"cannot go on: the runtime directory {embedded.runtime_dir} was removed"
    )


def test_without_a_place_for_it_the_daemon_ends_and_says_why(embedded: Daemon) -> None:
    embedded.wait_fresh()
    children = children_of(embedded.pid)
    shutil.rmtree(embedded.runtime_dir)
    embedded.runtime_dir.touch()
    # Not 78: whoever starts it again makes the directory first.
    assert embedded.wait(LIMIT) == 1
    told = embedded.log_path.read_text().splitlines()[-1]
    assert told.startswith(
        f"netmap-supervisor: cannot go on: the runtime directory {embedded.runtime_dir} was removed, and now: "
    )
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_who_tells_it_to_stop_meanwhile_is_obeyed(embedded: Daemon) -> None:
    embedded.wait_fresh()
    [publisher] = [actor["pid"] for actor in embedded.wait_fresh()["actors"] if actor["name"] == "publisher"]
    # It takes a while to stop: its end has to be forced.
    os.kill(publisher, signal.SIGSTOP)
    shutil.rmtree(embedded.runtime_dir)
    embedded.wait_event("runtime_dir_removed", LIMIT)
    assert embedded.terminate() == 0
    assert len(embedded.events("run_started")) == 1
