"""A pykka mailbox whose `get` waits in the loop, and the actor that has one.

Messages and ready sockets thus come to the actor one at a time, on its one thread.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, NamedTuple

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from netmap_actors.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop

__all__ = ["LoopActor", "Mailbox", "MailboxFull", "Turn"]


class MailboxFull(LocalProtocolError):
    """The actor has not taken what is in its mailbox: the sender must not add to it."""


class Turn(NamedTuple):
    """Something in the loop is ready: the actor makes these calls in order."""

    calls: list[Callable[[], object]]


class Mailbox:
    """What pykka calls the actor's inbox; bounded."""

    def __init__(self, loop: Loop, limit: int = 1024) -> None:
        self._loop = loop
        self._limit = limit
        self._envelopes: collections.deque[Envelope[Any]] = collections.deque()
        self._loop_is_next = True

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add a message, from any thread. Raises MailboxFull; a stop is always taken."""
        if len(self._envelopes) >= self._limit and not isinstance(envelope.message, _ActorStop):
            raise MailboxFull(f"cannot add a message: {self._limit} are waiting already")
        self._envelopes.append(envelope)
        self._loop.call_soon(_nothing)

    def get(self) -> Envelope[Any]:
        """The next message or Turn; waits in the loop. Messages and turns alternate when there are both."""
        while True:
            if self._loop_is_next or not self._envelopes:
                self._loop_is_next = False
                calls = [call for call in self._loop.wait(block=not self._envelopes) if call is not _nothing]
                if calls:
                    return Envelope(Turn(calls))
            self._loop_is_next = True
            if self._envelopes:
                return self._envelopes.popleft()

    def empty(self) -> bool:
        """True when no message waits."""
        return not self._envelopes


class LoopActor(pykka.ThreadingActor):
    """Lives in the thread that runs `_actor_loop`, the main one, where signals and the parent-death signal are at home.

    A subclass gives `_begin_life` and `_fail`. An exception anywhere ends it: pykka would let one in `ask` pass, and
    skip `on_failure` for one in `on_start`.
    """

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        # pykka's factory is static and cannot be handed the loop. The reference holds the mailbox, so it is
        # made anew with it; the first one has no holder yet.
        self.actor_inbox = Mailbox(loop)
        self._actor_ref = pykka.ActorRef(self)

    def _begin_life(self) -> None:
        """The first thing that is done in the loop's thread."""
        raise NotImplementedError

    def _fail(self, error: BaseException) -> None:
        """End with this error; it may come again."""
        raise NotImplementedError

    def _end_life(self) -> None:
        """No turn and no message after this one."""
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.actor_ref)

    def _start_actor_loop(self) -> None:
        """Nothing: whoever made the actor runs its loop."""

    def on_start(self) -> None:
        try:
            self._begin_life()
        except BaseException as error:  # noqa: BLE001  # every end has a reason
            self._fail(error)

    def _handle_receive(self, message: Any) -> Any:
        # Nearly all messages are turns, and pykka looks for its own four kinds first.
        return self.on_receive(message) if type(message) is Turn else super()._handle_receive(message)

    def on_receive(self, message: Any) -> None:
        try:
            if not isinstance(message, Turn):
                raise TypeError(
                    f"cannot handle {type(message).__name__}: {type(self).__name__} does not know it"
                )
            for call in message.calls:
                if self.actor_stopped.is_set():
                    return
                call()
        except BaseException as error:  # noqa: BLE001  # every end has a reason
            self._fail(error)


def _nothing() -> None:
    """Wakes the loop, so that `get` looks at the messages."""
