"""What a process leaves behind for others: in shared pipes and sockets, in directories, at doors, in queues."""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import socket
import struct
import threading
import time
from pathlib import Path

from matrix_orders import Absent, Facts, Refused, call, order
from matrix_orders.messages import Zmtp, own_actor

CROWD = 120
"""Connections that wait at a door at the same time."""
MANY = 300
PUBLIC = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
"""A CURVE key of the ZeroMQ manual's (zmq_curve(7))."""


def _own_life(facts: Facts) -> int:
    actor = own_actor()
    if actor is None:
        raise Absent("it has no life pipe")
    return actor.boot.life_fd


@order("write into the life pipe")
def _life(facts: Facts) -> None:
    """Its end to read, opened anew to write (proc_pid_fd(5)): whoever reads takes that for the Supervisor's end."""
    fd = os.open(f"/proc/self/fd/{_own_life(facts)}", os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, b"x")
    os.close(fd)


for _name in ("the run's own directory", "the subscribers' directory"):

    @order(f"remove another's socket from {_name}")
    def _unlink(facts: Facts, name: str = _name) -> None:
        os.unlink(Path(facts.directories[name]) / "spare.sock")


@order("take the node's keys away")
def _keys_away(facts: Facts) -> None:
    """And put them back, where that goes."""
    path = facts.files["the node's keys"]
    os.rename(path, f"{path}.{os.getpid()}")
    os.rename(f"{path}.{os.getpid()}", path)


@order("files without end in a directory of its own")
def _files(facts: Facts) -> str:
    """So many that nothing seems to bound them; those who have no directory try the run's."""
    actor = own_actor()
    settings = getattr(actor, "_settings", None)
    own = getattr(settings, "state_dir", "") or getattr(settings, "directory", "") or facts.run_dir
    made: list[str] = []
    try:
        for number in range(MANY):
            path = f"{own}/many-{os.getpid()}-{number}"
            with open(path, "xb", buffering=0) as file:
                made.append(path)
                file.write(b"x" * 4096)
    finally:
        for path in made:
            os.unlink(path)
    return f"{MANY} files"


@order("threads without end")
def _threads(facts: Facts) -> str:
    over = threading.Event()
    threads: list[threading.Thread] = []
    before = threading.stack_size(128 * 1024)
    try:
        for _ in range(MANY):
            threads.append(threading.Thread(target=over.wait))
            threads[-1].start()
    except RuntimeError as error:
        threads.pop()
        raise Refused(str(error)) from None
    finally:
        threading.stack_size(before)
        over.set()
        for thread in threads:
            thread.join()
    return f"{MANY} threads"


@order("a program in a socket that others go on with")
def _program(facts: Facts) -> None:
    """SO_ATTACH_FILTER, one that lets everything pass; into the listener it was handed, or any socket it has."""
    actor = own_actor()
    if actor is None and facts.role != "outside":
        raise Absent("none starts where it ended")
    listener = getattr(getattr(actor, "_settings", None), "listen_fd", -1)
    one = socket.socket(fileno=os.dup(listener)) if listener >= 0 else socket.socket()
    with one:
        # BPF_RET|BPF_K with as many bytes as there are.
        code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0xFFFF_FFFF))
        program = struct.pack("@HP", 1, ctypes.addressof(code))
        one.setsockopt(socket.SOL_SOCKET, 26, program)
        one.setsockopt(socket.SOL_SOCKET, 27, 0)


@order("shut the listener down that others go on with")
def _shut(facts: Facts) -> None:
    """For reading, which makes it no listener any more."""
    listener = getattr(getattr(own_actor(), "_settings", None), "listen_fd", -1)
    if listener < 0:
        raise Absent("it was handed none")
    with socket.socket(fileno=os.dup(listener)) as one:
        one.shutdown(socket.SHUT_RD)


# Ways around a filter that looks at numbers


def _made_code(code: bytes) -> int:
    """What this code returns in rax."""
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as place:
        place.write(code)
        held = ctypes.c_char.from_buffer(place)
        result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(held))()
        del held
    return result


@order("a call of the 32-bit machine's, by int 0x80")
def _int80(facts: Facts) -> str:
    if os.uname().machine != "x86_64":
        raise Absent("this machine has none")
    # mov eax, 20 (getpid of i386); int 0x80; ret
    got = _made_code(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    if got < 0:
        raise OSError(-got, os.strerror(-got))
    return str(got)


@order("a call by its x32 number")
def _x32(facts: Facts) -> str:
    if os.uname().machine != "x86_64":
        raise Absent("this machine has none")
    return str(call(0x4000_0000 | 39))


@order("an order of somebody who has ended meanwhile")
def _posthumous(facts: Facts) -> None:
    """So many wait at the door, while the Supervisor has words to read, that some are looked at when nobody can say
    any more who asked."""
    from netmap_actors.wire import internal_pb2

    name = f"forged-after-{facts.role}".replace("_", "-")
    arguments = json.dumps({"do": "allow", "name": name, "public_key": PUBLIC}).encode()
    asked = internal_pb2.AdminRequest(command="keys", arguments=arguments).SerializeToString()
    data = len(asked).to_bytes(4, "big") + asked
    # Before anything else is asked, so that the refused calls of whoever may not are told.
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(CROWD)]
    actor = own_actor()
    if actor is not None:
        import zmq

        for _ in range(40):
            actor._supervisor.send(b"\0" * (1 << 20), zmq.DONTWAIT)
        time.sleep(0.05)
    for one in crowd:
        one.setblocking(False)
        try:
            one.connect(facts.sockets["the admin socket"])
        except BlockingIOError:
            break
        # Whoever was looked at already is hung up on.
        with contextlib.suppress(ConnectionError):
            one.send(data)
    os._exit(1)


@order("a message without end to the Supervisor")
def _no_end(facts: Facts) -> str:
    """Of many frames, none of which is the last: what a mark counts are whole messages."""
    peer = Zmtp(facts.endpoints["supervisor"], "DEALER", b"")
    frame = b"\3" + (1 << 20).to_bytes(8, "big") + b"\0" * (1 << 20)
    peer._socket.settimeout(5)
    sent = 0
    try:
        for _ in range(3000):
            peer._socket.sendall(frame)
            sent += 1
    except OSError as error:
        raise Refused(f"after {sent} MiB: {error}") from None
    return f"{sent} MiB"


@order("large words without end to the Supervisor")
def _large(facts: Facts) -> str:
    """Of a mebibyte each, over more connections than it has any use for."""
    word = b"\2" + (1 << 20).to_bytes(8, "big") + b"\0" * (1 << 20)
    peers = []
    sent, until = 0, time.monotonic() + 3.0
    try:
        for _ in range(16):
            peer = Zmtp(facts.endpoints["supervisor"], "DEALER", b"")
            peer._socket.setblocking(False)
            peers.append((peer._socket, memoryview(word * 100)))
        while peers and time.monotonic() < until:
            for number, (one, left) in enumerate(peers):
                try:
                    went = one.send(left[: 1 << 20])
                except BlockingIOError:
                    continue
                peers[number] = (one, left[went:] or memoryview(word * 100))
                sent += went
    except OSError as error:
        raise Refused(f"after {sent >> 20} MiB: {error}") from None
    return f"{sent >> 20} MiB"
