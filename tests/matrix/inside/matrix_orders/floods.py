"""What a process may write on its standard error, and more of everything than anybody needs."""

from __future__ import annotations

import json
import os
import socket
import time

from matrix_orders import Absent, Facts, order
from matrix_orders.messages import mark, own_actor

# The log


def _write(data: bytes) -> None:
    """Into the pipe, as much as it takes; it is drained meanwhile."""
    until = time.monotonic() + 2.0
    while data and time.monotonic() < until:
        try:
            data = data[os.write(2, data[:60_000]) :]
        except BlockingIOError:
            time.sleep(0.001)


def _line(facts: Facts, what: str, **fields: object) -> bytes:
    marked = mark(facts, what)
    return json.dumps(
        {"timestamp": "2026-01-01T00:00:00Z", "level": "error", "mark": marked, **fields}
    ).encode()


@order("a log line in another's name")
def _in_the_name(facts: Facts) -> None:
    name = "liveness" if facts.role != "liveness" else "publisher"
    _write(b"\n" + _line(facts, "line", event="verdict", actor=name, pid=1, generation=77) + b"\n")


@order("a log line of the Supervisor's")
def _supervisors(facts: Facts) -> None:
    _write(b"\n" + _line(facts, "supervisor", event="stopped", actor="supervisor", exit_code=0) + b"\n")


@order("a reason of another's end")
def _reason(facts: Facts) -> None:
    name = "liveness" if facts.role != "liveness" else "publisher"
    _write(
        b"\n" + _line(facts, "failed", event="actor_failed", actor=name, detail=mark(facts, "detail")) + b"\n"
    )


@order("nested JSON in the log")
def _nested(facts: Facts) -> None:
    _write(b'\n{"event":' + b"[" * 3000 + b"\n" + b"[" * 3500 + b"]" * 3500 + b"\n")


@order("garbage in the log")
def _garbage(facts: Facts) -> None:
    _write(b'\n\xff\xfe\0\0{"event":1,"level":[],"timestamp":{}}\n{"event":"a","event":"b","level":7}\n\0\n')


@order("a line without end in the log")
def _endless(facts: Facts) -> None:
    _write(b"x" * 1_000_000)
    _write(b"\n")


@order("a flood of log lines")
def _flood(facts: Facts) -> None:
    _write(b"".join(_line(facts, "flood", event="flood", number=number) + b"\n" for number in range(5000)))


# Floods of connections: held until the next one, or until let go

_held: list[socket.socket] = []
SPARE = 40


def _connections(path: str, kind: int = socket.AF_UNIX) -> str:
    most = 4000
    try:
        for _ in range(most):
            one = socket.socket(kind, socket.SOCK_STREAM)
            one.settimeout(0.02)
            _held.append(one)
            one.connect(path.removeprefix("ipc://"))
    except OSError as error:
        if len(_held) < 2:
            _let_go()
            raise
        # It goes on with its own work meanwhile, and that needs some.
        for one in _held[-SPARE:]:
            one.close()
        return f"{len(_held)} connections, then {type(error).__name__} {error.errno}"
    return f"{len(_held)} connections"


def _let_go() -> None:
    for one in _held:
        one.close()
    _held.clear()


@order("(let them go)")
def _go(facts: Facts) -> None:
    _let_go()


order("connections without end to the admin socket")(
    lambda facts: _connections(facts.sockets["the admin socket"])
)
for _name in ("supervisor", "liveness", "publisher", "updates", "requests"):
    order(f"connections without end to {_name}.sock")(
        lambda facts, name=_name: _connections(facts.endpoints[name])
    )


@order("words without end to the Supervisor")
def _many_words(facts: Facts) -> str:
    actor = own_actor()
    if actor is None:
        raise Absent("it has no way to the Supervisor")
    import zmq

    sent = 0
    for _ in range(20_000):
        try:
            actor._supervisor.send(b"\0" * 64, zmq.DONTWAIT)
            sent += 1
        except zmq.Again:
            break
    return f"{sent} words"
