"""One who holds all the places of a server: whoever comes and asks is answered all the same.

Not here: the sockets of subscribers (`test_connection_floods`), who has to go (`tests/unit/bus/test_admission`).
"""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from netmap_actors.http_endpoint.actor import MAX_CONNECTIONS, MAX_FOLLOWERS
from tests.support.host.free_ports import free_address
from tests.support.netmaps.publishing import full, node
from tests.support.processes.dev_server import running_dev_server
from tests.support.processes.http_process import HttpProcess, running_http
from tests.support.processes.publisher_process import LIMIT, running_publisher
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SOON = 5.0
"""Seconds to an answer; it takes a hundredth, and who only holds a place keeps it for ten and more."""
FILES = 150
FOLLOW = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"GET /netmap HTTP/1.1\r\nHost: localhost\r\n\r\n"


def answered(connect: Callable[[], socket.socket], target: str = "/healthz") -> tuple[int, float]:
    """(status, seconds) of one request on a new connection."""
    began = time.monotonic()
    client = http.client.HTTPConnection("localhost", timeout=SOON)
    try:
        client.sock = connect()
        client.sock.settimeout(SOON)
        client.request("GET", target)
        return client.getresponse().status, time.monotonic() - began
    finally:
        client.close()


def at_unix(path: Path) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.connect(str(path))
    return one


def at_port(address: str, receive: int = 0) -> socket.socket:
    one = socket.socket()
    if receive:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    host, _, port = address.rpartition(":")
    one.connect((host, int(port)))
    return one


@contextlib.contextmanager
def serving(listen: str, peers: int = 3) -> Iterator[HttpProcess]:
    with running_publisher() as publisher:
        publisher.new_session(full(*(node(number) for number in range(2, 2 + peers))))
        with running_http(publisher, listen) as endpoint:
            endpoint.fresh()
            yield endpoint


def test_one_who_follows_with_all_he_has_leaves_a_place_to_who_follows_once(tmp_path: Path) -> None:
    path = tmp_path / "http"
    greedy = (
        "import socket, sys\n"
        "held = []\n"
        f"for _ in range({MAX_FOLLOWERS}):\n"
        "    one = socket.socket(socket.AF_UNIX)\n"
        "    one.connect(sys.argv[1])\n"
        f"    one.sendall({FOLLOW!r})\n"
        "    held.append((one, one.recv(1)))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with serving(f"unix:{path}"), contextlib.ExitStack() as stack:
        other = subprocess.Popen(
            [sys.executable, "-c", greedy, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        stack.callback(other.wait, LIMIT)
        assert other.stdin is not None
        assert other.stdout is not None
        stack.callback(other.stdout.close)
        stack.callback(other.stdin.close)
        assert other.stdout.readline() == b"held\n"
        assert answered(lambda: at_unix(path), "/events")[0] == 200


def test_who_takes_nothing_of_his_answers_makes_room_for_who_asks() -> None:
    address = free_address()
    with serving(address, peers=3000), contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS + 20):
            one = stack.enter_context(at_port(address, receive=4096))
            one.sendall(LARGE)
        for _ in range(20):
            assert answered(lambda: at_port(address))[0] == 200


def test_without_a_free_descriptor_who_only_waits_makes_room_for_who_asks() -> None:
    address = free_address()
    with serving(address) as endpoint, contextlib.ExitStack() as stack:
        resource.prlimit(endpoint.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        for begun in range(2 * FILES):
            stack.enter_context(at_port(address)).sendall(b"GET" * (begun % 2))
        for _ in range(20):
            assert answered(lambda: at_port(address))[0] == 200


def test_a_control_server_with_few_files_answers_while_others_hold_connections() -> None:
    limit = ("sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh")
    with (
        running_dev_server("--nodes=0", "--churn=0", prefix=limit) as server,
        contextlib.ExitStack() as stack,
    ):
        address = server.url.removeprefix("http://")
        for begun in range(2 * FILES):
            stack.enter_context(at_port(address)).sendall(b"GET" * (begun % 2))
        wait_for(lambda: answered(lambda: at_port(address), "/health")[0] == 200, LIMIT, "an answer")
        for _ in range(20):
            assert answered(lambda: at_port(address), "/health")[0] == 200
