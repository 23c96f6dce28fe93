from __future__ import annotations

import os
import secrets
import socket
import tempfile
from pathlib import Path

import pytest

from netmap_supervisor.system.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request):
    """A service manager's socket, and the name it is known by."""
    with tempfile.TemporaryDirectory(prefix="nm-") as directory:
        name = str(Path(directory) / "notify") if request.param == "path" else f"@nm-{secrets.token_hex(8)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind("\0" + name[1:] if name.startswith("@") else name)
            listening.settimeout(5)
            yield listening, name


def test_words_arrive_one_a_line(manager) -> None:
    listening, name = manager
    Notifier({"NOTIFY_SOCKET": name}).send(READY="1", STATUS="fresh, 3 peers")
    assert listening.recv(1000) == b"READY=1\nSTATUS=fresh, 3 peers"


def test_a_start_that_takes_long_asks_for_more_time_in_microseconds(manager) -> None:
    listening, name = manager
    Notifier({"NOTIFY_SOCKET": name}).extend_timeout(120.0)
    assert listening.recv(1000) == b"EXTEND_TIMEOUT_USEC=120000000"


def test_a_status_cannot_smuggle_in_another_word(manager) -> None:
    listening, name = manager
    Notifier({"NOTIFY_SOCKET": name}).send(STATUS="x\nMAINPID=1")
    assert listening.recv(1000).count(b"\n") == 0


def test_without_a_manager_nothing_happens() -> None:
    notifier = Notifier({})
    notifier.send(READY="1")
    assert (notifier.lost, notifier.watchdog_interval) == (0, None)


def test_a_manager_that_is_gone_costs_the_word_only(tmp_path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notifier.send(READY="1")
    assert notifier.lost == 1


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_pinged_twice_as_often_as_it_asks(environment, interval) -> None:
    assert Notifier(environment).watchdog_interval == interval
