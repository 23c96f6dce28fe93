"""Loaded by Python itself in every process of the daemon, for a directory of the test's stands on PYTHONPATH.

The product knows nothing of it. The door (a unix socket of the test) is opened before anything is given up; the orders
are carried out much later, by a signal handler: in the main thread, which is the one that gave everything up.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
KNOCK = signal.SIGUSR2


_WORDS = getattr(sys, "orig_argv", [])
"""The command line: the interpreter has no arguments yet."""


def _role() -> str:
    """Of this process from its start; an actor is one only later, and may be forked."""
    if "netmap_supervisor" in _WORDS and "run" in _WORDS:
        return "supervisor"
    if "netmap_supervisor" in _WORDS and "view" in _WORDS:
        return "view"
    return "outside" if "--outside" in _WORDS else ""


def _hook_into_actors() -> None:
    """Every process that becomes an actor comes through here, however it was started."""
    from netmap_actors.process import bootstrap

    main = bootstrap.main

    def hooked(actor: str, boot_fd: int) -> None:
        _open_door(actor)
        main(actor, boot_fd)

    bootstrap.main = hooked


def _open_door(role: str) -> None:
    sys.path.insert(0, str(HERE))
    import matrix_orders

    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    door.connect(str(HERE / "door"))
    fd = door.detach()

    def tell(**words: object) -> None:
        data = json.dumps(words).encode() + b"\n"
        while data:
            data = data[os.write(fd, data) :]

    def on_knock(*_: object) -> None:
        """One batch. Read to its end, answered order by order: the last one told of is the one that killed us."""
        main = threading.current_thread() is threading.main_thread()
        data = b""
        while not data.endswith(b"\n"):
            piece = os.read(fd, 65536)
            if not piece:
                return
            data += piece
        batch = json.loads(data)
        facts = matrix_orders.Facts(role, batch["facts"])
        for name in batch["orders"]:
            tell(begun=name, main_thread=main)
            told, detail = matrix_orders.carry_out(name, facts)
            tell(order=name, told=told, detail=detail[:400])
        tell(done=True)

    signal.signal(KNOCK, on_knock)
    tell(role=role, pid=os.getpid())


if "netmap_actors" in _WORDS or _role() == "supervisor":
    _hook_into_actors()
if _ROLE := _role():
    _open_door(_ROLE)
