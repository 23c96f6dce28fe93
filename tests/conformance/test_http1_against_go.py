"""HTTP/1.1 as Go's net/http reads it: what we take, Go takes, and reads the same, in both roles.

A second reader of the same bytes is what request smuggling needs. What we refuse and Go takes is no matter; where we
take what Go refuses, the reason is one of those named here.
"""

from __future__ import annotations

import base64
import json
import random
import re
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from netmap_actors.errors import NetmapError
from netmap_actors.protocol.http1_exchange import HttpExchange
from netmap_actors.protocol.http1_server import HttpServer
from tests.support.availability import unavailable
from tests.support.inputs.http1_grammar import request, response
from tests.support.peers.go_tools import GoToolsUnavailable, build_http1_reader

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.interop, pytest.mark.slow]

MESSAGES = 4000
LEAKED = b"GET /leaked HTTP/1.1\r\nHost: h\r\n\r\n"
SCHEME = re.compile(r"https?://[^/?]*", re.IGNORECASE)

ENDS = "the connection ends behind it"


class Read(NamedTuple):
    """One request as somebody read it."""

    method: str
    target: str
    host: str
    body: bytes


class Go:
    """Asks Go for many at once: its readings, and what it said of the last."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def readings(self, role: str, messages: list[bytes]) -> list[dict[str, Any]]:
        asked = (json.dumps({"role": role, "data": base64.b64encode(one).decode()}) for one in messages)
        answered = subprocess.run(
            [self._program], input="\n".join(asked), capture_output=True, text=True, check=True, timeout=50
        )
        found = [json.loads(line) for line in answered.stdout.splitlines()]
        assert len(found) == len(messages)
        return found


@pytest.fixture(scope="module")
def go() -> Go:
    try:
        return Go(build_http1_reader())
    except GoToolsUnavailable as error:
        unavailable(str(error))


def read_by_us(data: bytes) -> list[Read]:
    server, found = HttpServer(), list[Read]()
    came = server.receive(data)
    while came:
        found += [Read(one.method, one.target, one.header("host") or "", one.body) for one in came]
        came = server.respond(200)
    return found


def read_by_go(reading: dict[str, Any]) -> list[Read]:
    """Of the complete ones; the absolute form of a target is taken apart, as we do it."""
    return [
        Read(one["method"], _origin_form(one["target"]), one["host"], base64.b64decode(one["body"] or ""))
        for one in reading["messages"]
        if one["whole"]
    ]


def _origin_form(target: str) -> str:
    rest = SCHEME.sub("", target) if SCHEME.match(target) else target
    return rest if rest.startswith("/") or rest == "*" else f"/{rest}"


def why_go_refuses(data: bytes, ours: Read) -> str:
    """Why we may take it all the same; empty: there is no reason."""
    if data.startswith(b"\r\n"):
        return "an empty line before a request should be overlooked (RFC 9112, 2.2)"
    if ours[:2] == ("OPTIONS", "*"):
        return "Go answers it by itself"
    if b"chunked" in data.lower():
        # Lines of chunks and trailers are not looked at as closely; we answer nothing that follows them.
        return ENDS
    return ""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_request_we_take_is_read_by_go_in_the_same_way(go: Go, seed: int) -> None:
    by = random.Random(seed)
    messages = [b"".join(request(by) for _ in range(by.choice([1, 1, 2]))) + LEAKED for _ in range(MESSAGES)]
    taken = both = 0
    for data, reading in zip(messages, go.readings("server", messages), strict=True):
        ours, theirs = read_by_us(data), read_by_go(reading)
        taken += bool(ours)
        for number, one in enumerate(ours):
            if number < len(theirs) and one == theirs[number]:
                both += 1
                continue
            why = why_go_refuses(data, one)
            assert why, (data, one, reading)
            assert why is not ENDS or number == len(ours) - 1, data
            break
    assert taken > MESSAGES // 5
    assert both > MESSAGES // 5


TRAILING = re.compile(r"trailer|chunked line")
"""What Go says of lines we do not look at as closely; an exchange has its own connection, so nothing follows them."""


@pytest.mark.parametrize("seed", [3, 4])
def test_an_answer_we_take_is_read_by_go_in_the_same_way(go: Go, seed: int) -> None:
    by = random.Random(seed)
    messages = [response(by) for _ in range(MESSAGES)]
    both = 0
    for data, reading in zip(messages, go.readings("client", messages), strict=True):
        exchange = HttpExchange("ask", "GET", "/", [("Host", "h")], expected=200, max_body=1 << 20)
        try:
            exchange.receive(data)
            if not exchange.complete:
                exchange.eof()
        except NetmapError:
            continue
        (theirs,) = [one for one in reading["messages"] if one["whole"]] or [None]
        if theirs is None:
            assert TRAILING.search(reading["error"]), (data, exchange.status, reading)
            continue
        assert theirs["status"] == exchange.status, data
        assert exchange.switched or base64.b64decode(theirs["body"] or "") == exchange.body, data
        both += 1
    assert both > MESSAGES // 5
