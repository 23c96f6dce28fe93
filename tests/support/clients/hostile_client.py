"""Hostile subscribers, each a program of its own, so that they take no processor time from the test that measures.

    python -m tests.support.clients.hostile_client HARM UPDATES_SOCKET REQUESTS_SOCKET SEED [USER_ID]

It writes a line when it has begun, goes on until its standard input is closed, and ends with a line of JSON that counts
what it did.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import select
import socket
import sys
import time
from typing import TYPE_CHECKING

import zmq

from netmap_actors.wire import netmap_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    Facts = dict[str, int]

LAZY = 12
"""More than are answered at a time."""
DEAF = 5
CONNECTIONS = 1200
"""More than the usual limit of 1024 open files."""
THOUSANDS = 4000
SUBSCRIPTIONS = 50_000
HALF_GREETINGS = 50
CLOSE_LIMIT = 15.0
GIBIBYTE = (1 << 30).to_bytes(8, "big")
MESSAGE, COMMAND = b"\x02", b"\x06"
"""Flags of a frame whose length takes eight bytes."""

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\0" + b"NULL".ljust(20, b"\0") + b"\0" * 32
"""ZMTP 3.0 (rfc.zeromq.org/spec/23), without security."""


def ready(kind: bytes) -> bytes:
    body = b"\x05READY" + b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return b"\x04" + bytes([len(body)]) + body


class Harm:
    """Where to go, and whether to go on."""

    def __init__(self, updates: str, requests: str, seed: int) -> None:
        self.updates = updates
        self.requests = requests
        self.random = random.Random(seed)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def begun(self) -> None:
        print("begun", flush=True)

    def goes_on(self) -> bool:
        return not select.select([sys.stdin], [], [], 0)[0]

    def wait_end(self) -> None:
        select.select([sys.stdin], [], [])

    def dealer(self, receive: int) -> zmq.Socket[bytes]:
        dealer = self.context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.RCVHWM, receive)
        dealer.connect(f"ipc://{self.requests}")
        return dealer

    def raw(self, path: str) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)  # waits while too many others wait to be accepted
        client.settimeout(CLOSE_LIMIT)
        return client

    def shaken(self, path: str, kind: bytes) -> socket.socket:
        """A connection with its handshake done: what is sent before the other side's READY is refused for that."""
        client = self.raw(path)
        client.sendall(GREETING + ready(kind))
        heard = b""
        while b"Socket-Type" not in heard:
            data = client.recv(4096)
            assert data, "not let in"
            heard += data
        return client


def request() -> bytes:
    return netmap_pb2.Request(schema=1, token=b"hostile").SerializeToString()


def requests_without_end(harm: Harm) -> Facts:
    """Asks for snapshots as fast as it can, and reads what comes."""
    dealer, asked, parts = harm.dealer(receive=1000), 0, 0
    data = request()
    dealer.send(data)
    dealer.recv()
    harm.begun()
    while harm.goes_on():
        for _ in range(100):
            with contextlib.suppress(zmq.Again):
                dealer.send(data, zmq.DONTWAIT)
                asked += 1
        with contextlib.suppress(zmq.Again):
            while True:
                dealer.recv(zmq.DONTWAIT)
                parts += 1
    return {"asked": asked, "parts": parts}


def unread_answers(harm: Harm) -> Facts:
    """Asks for snapshots and never reads one, and asks again."""
    dealers, asked = [harm.dealer(receive=1) for _ in range(LAZY)], 0
    for dealer in dealers:
        dealer.send(request())
        dealer.poll()
    harm.begun()
    while harm.goes_on():
        for dealer in dealers:
            with contextlib.suppress(zmq.Again):
                dealer.send(request(), zmq.DONTWAIT)
                asked += 1
        time.sleep(0.05)  # fast enough; the flood is another case
    return {"asked": asked}


def deaf_subscribers(harm: Harm) -> Facts:
    """Subscribes to everything and reads nothing."""
    clients = []
    for _ in range(DEAF):
        client = harm.shaken(harm.updates, b"SUB")
        client.sendall(b"\0\x01\x01")
        heard = b""
        while b"netmap/1/heartbeat" not in heard:  # until then the subscription may not be in force
            data = client.recv(4096)
            assert data, "not let in"
            heard += data
        clients.append(client)
    harm.begun()
    harm.wait_end()
    return {"connections": len(clients)}


def many_connections(harm: Harm) -> Facts:
    """Holds more than a thousand connections and makes others without a pause."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = [harm.shaken(harm.updates, b"SUB") for _ in range(CONNECTIONS // 2)]
    held += [harm.shaken(harm.requests, b"DEALER") for _ in range(CONNECTIONS // 2)]
    harm.begun()
    made = 0
    while harm.goes_on():
        for path, kind in ((harm.updates, b"SUB"), (harm.requests, b"DEALER")):
            harm.shaken(path, kind).close()
            made += 1
    return {"held": len(held), "made": made}


def many_subscriptions(harm: Harm) -> Facts:
    """Tens of thousands of topics on one connection, then off and on again."""
    client, sent = harm.shaken(harm.updates, b"SUB"), 0

    def topics(first: bytes) -> bytes:
        bodies = (first + b"netmap/1/%08d" % number for number in range(SUBSCRIPTIONS))
        return b"".join(b"\0" + bytes([len(body)]) + body for body in bodies)

    client.sendall(topics(b"\x01"))
    sent += SUBSCRIPTIONS
    harm.begun()
    while harm.goes_on():
        for first in (b"\0", b"\x01"):
            client.sendall(topics(first))
            sent += SUBSCRIPTIONS
    return {"subscriptions": sent}


def topics_without_end(harm: Harm) -> Facts:
    """More topics than memory is set aside for, all of them different and long."""
    client = harm.shaken(harm.updates, b"SUB")
    harm.begun()
    bodies = (b"\x01%06d" % number + b"x" * 240 for number in range(12_000))
    with contextlib.suppress(OSError):
        client.sendall(b"".join(b"\0" + bytes([len(body)]) + body for body in bodies))
    harm.wait_end()
    return {}


def garbage(harm: Harm) -> Facts:
    """Random bytes, from the first one on or behind a greeting, and half greetings that are never completed."""
    half = []
    for path in (harm.updates, harm.requests):
        for _ in range(HALF_GREETINGS // 2):
            half.append(harm.raw(path))
            half[-1].sendall(GREETING[: harm.random.randrange(1, len(GREETING))])
    harm.begun()
    made = 0
    while harm.goes_on():
        for path, kind in ((harm.updates, b"SUB"), (harm.requests, b"DEALER")):
            with contextlib.suppress(OSError):
                client = harm.shaken(path, kind) if harm.random.random() < 0.5 else harm.raw(path)
                with client:
                    before = harm.random.choice((b"", GREETING))
                    client.sendall(before + harm.random.randbytes(harm.random.randrange(1, 5000)))
                    made += 1
    return {"made": made, "half": len(half), "half_closed": sum(map(closed, half))}


def huge_messages(harm: Harm) -> Facts:
    """Says that a gibibyte is to come, as a message, as a command and instead of the handshake."""
    made = refused = 0
    begun = False
    while not begun or harm.goes_on():
        for path, kind in ((harm.updates, b"SUB"), (harm.requests, b"DEALER")):
            for flags in (MESSAGE, COMMAND, None):
                client = harm.raw(path) if flags is None else harm.shaken(path, kind)
                with client:
                    made += 1
                    with contextlib.suppress(ConnectionError):
                        client.sendall((flags or GREETING + COMMAND) + GIBIBYTE + b"x" * 100_000)
                    refused += closed(client)
        if not begun:
            begun = True
            harm.begun()
    return {"made": made, "refused": refused}


def messages_without_end(harm: Harm) -> Facts:
    """Frames that are followed by another one each, at both sockets in turn; connects again whenever it is cut."""
    cut = begun = 0
    frames = (b"\x03" + (200).to_bytes(8, "big") + bytes(200)) * 500
    doors = ((harm.requests, b"DEALER"), (harm.updates, b"SUB"))
    client = harm.shaken(*doors[0])
    while harm.goes_on():
        try:
            client.sendall(frames)
        except OSError:
            cut += 1
            client.close()
            client = harm.shaken(*doors[cut % 2])
        if not begun:
            begun = 1
            harm.begun()
    return {"cut": cut}


def idle_thousands(harm: Harm) -> Facts:
    """Holds as many connections as it may have files; some greet, some by half, some not at all."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held: list[socket.socket] = []
    begun = made = 0
    while harm.goes_on():
        if made < THOUSANDS:
            client = socket.socket(socket.AF_UNIX)
            try:
                client.connect(harm.random.choice((harm.updates, harm.requests)))
                client.sendall(GREETING[: harm.random.choice((0, 10, len(GREETING)))])
            except OSError:
                client.close()
                continue
            made += 1
            held.append(client)
        else:
            time.sleep(0.05)  # it has what it wanted, and keeps it
        if not begun and made >= THOUSANDS // 2:
            begun = 1
            harm.begun()
    return {"made": made}


def in_and_out(harm: Harm) -> Facts:
    """Connects and goes away, as fast as it can."""
    made = begun = 0
    while harm.goes_on():
        for path in (harm.updates, harm.requests):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1.0)
                with contextlib.suppress(OSError):
                    client.connect(path)
                    made += 1
        if not begun and made > 100:
            begun = 1
            harm.begun()
    return {"made": made}


def closed(client: socket.socket) -> bool:
    """Read until the other side closes."""
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


HARMS: dict[str, Callable[[Harm], Facts]] = {
    harm.__name__: harm
    for harm in (
        requests_without_end,
        unread_answers,
        deaf_subscribers,
        many_connections,
        many_subscriptions,
        topics_without_end,
        garbage,
        huge_messages,
        messages_without_end,
        idle_thousands,
        in_and_out,
    )
}


def main(name: str, updates: str, requests: str, seed: str, user: str = "") -> None:
    if user:
        os.setgroups([])
        os.setuid(int(user))
    print(json.dumps(HARMS[name](Harm(updates, requests, int(seed)))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
