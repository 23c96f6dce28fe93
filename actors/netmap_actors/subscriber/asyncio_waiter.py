"""Waiting for ZeroMQ sockets in an asyncio loop, without a thread; loaded only by who uses asyncio."""

from __future__ import annotations

import asyncio
import contextlib

import zmq

__all__ = ["wait_readable"]


async def wait_readable(sockets: tuple[zmq.Socket[bytes], ...], seconds: float | None) -> None:
    """Return when one of the sockets may be readable, or after that time.

    A socket's descriptor tells once that something may have happened, so the caller must have read every socket
    to its end before it waits (zmq_getsockopt(3): ZMQ_FD).
    """
    # What came since the last read has used up its one notice.
    if any(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN for socket in sockets):
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    descriptors = [int(socket.getsockopt(zmq.FD)) for socket in sockets]
    # Only while we wait: who stops iterating in the middle leaves nothing behind in the loop.
    for descriptor in descriptors:
        loop.add_reader(descriptor, ready.set)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ready.wait(), seconds)
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
