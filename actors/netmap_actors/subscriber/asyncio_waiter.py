"""Waiting for ZeroMQ sockets in an asyncio loop, without a thread; loaded only when asyncio is used."""

from __future__ import annotations

import asyncio
import contextlib

import zmq

__all__ = ["wait_readable"]


async def wait_readable(sockets: tuple[zmq.Socket[bytes], ...], seconds: float | None) -> None:
    """Return when one of the sockets may be readable, or after that time.

    A descriptor becomes readable once for several messages, so the caller must have emptied every socket before
    (zmq_getsockopt(3): ZMQ_FD).
    """
    # What came since the last read does not make the descriptor readable again.
    if any(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN for socket in sockets):
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    descriptors = [int(socket.getsockopt(zmq.FD)) for socket in sockets]
    # Only while waiting: an abandoned iteration leaves nothing in the loop.
    for descriptor in descriptors:
        loop.add_reader(descriptor, ready.set)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ready.wait(), seconds)
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
