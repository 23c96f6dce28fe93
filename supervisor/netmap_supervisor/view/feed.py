"""Feeds a view with the events of a subscription, the log events of the daemon and its status.

It runs outside the daemon, as a subscriber like any other: its failures do not reach the daemon.
"""

from __future__ import annotations

import queue
import threading
from typing import IO, TYPE_CHECKING, Any, Protocol

import msgspec

from netmap_actors.subscriber import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netmap_actors.subscriber import Subscriber
    from netmap_actors.wire.status import StatusReport

__all__ = ["END", "DaemonEvent", "FeedView", "feed_view"]

QUEUE_LIMIT = 10_000
"""Events that wait for the view; a subscription that waits longer is caught up by a snapshot."""
_IDLE = 30.0
_BATCH = 500
"""Events between two drawings."""


class FeedView(Protocol):
    """Interface of the live and the plain view."""

    def daemon(self, level: str, event: str, fields: Mapping[str, Any]) -> None: ...
    def netmap(self, event: Event) -> None: ...
    def status(self, report: StatusReport | str | None) -> None: ...
    def pause(self) -> float | None: ...
    def wants_status(self) -> bool: ...
    def tick(self) -> None: ...
    def close(self) -> None: ...


class DaemonEvent(msgspec.Struct, frozen=True):
    """One log event, as `run` sends it to its view: one JSON object a line."""

    level: str
    event: str
    fields: dict[str, Any]


END = object()
"""Put into the inbox, it ends the view."""


def feed_view(
    view: FeedView,
    subscribe: Callable[[], Subscriber],
    *,
    ask: Callable[[], StatusReport | str | None],
    events: IO[bytes] | None = None,
    chosen: Callable[[Event], bool] = lambda _: True,
    terminal: Callable[[Callable[[object], None]], None] | None = None,
) -> None:
    """Keep the view current until `events` ends, or for ever without it.

    `subscribe()`: a Subscriber of the daemon, made in the thread that follows it. `events`: lines of DaemonEvent.
    `ask()`: the daemon's status, None when it does not answer, a text when it cannot be asked; bounded in time.
    `chosen(event)`: whether a change of the netmap is shown. `terminal(put)`: runs in a thread of its own, and puts
    calls for this thread, or END.
    """
    inbox: queue.Queue[object] = queue.Queue(QUEUE_LIMIT)
    _source("subscription", _subscribe, inbox, subscribe)
    if events is not None:
        _source("daemon events", _read, inbox, events)
    if terminal is not None:
        _source("terminal", lambda inbox, run: run(inbox.put), inbox, terminal)
    try:
        while _serve(view, inbox, ask, chosen):
            pass
    finally:
        view.close()


def _serve(
    view: FeedView,
    inbox: queue.Queue[object],
    ask: Callable[[], StatusReport | str | None],
    chosen: Callable[[Event], bool],
) -> bool:
    """One round: wait, take in what is there, ask for the status if it is wanted. False at the end."""
    pause = view.pause()
    try:
        item = inbox.get(timeout=_IDLE if pause is None else pause)
    except queue.Empty:
        item = None
    for _ in range(_BATCH):
        if item is END:
            return False
        if item is not None and not (isinstance(item, Event) and not chosen(item)):
            _show_item(view, item)
        try:
            item = inbox.get_nowait()
        except queue.Empty:
            break
    if view.wants_status():
        view.status(ask())
    view.tick()
    return True


def _show_item(view: FeedView, item: object) -> None:
    match item:
        case Event():
            view.netmap(item)
        case DaemonEvent():
            view.daemon(item.level, item.event, item.fields)
        case BaseException():
            raise item
        case _ if callable(item):
            item()
        case _:
            raise TypeError(f"cannot show {type(item).__name__}")


def _source(name: str, work: Callable[..., None], inbox: queue.Queue[object], argument: object) -> None:
    """Run `work` in a daemon thread; its failure ends the view."""

    def body() -> None:
        try:
            work(inbox, argument)
        except Exception as error:  # noqa: BLE001  # raised again in the main thread
            inbox.put(error)

    threading.Thread(target=body, name=name, daemon=True).start()


def _subscribe(inbox: queue.Queue[object], subscribe: Callable[[], Subscriber]) -> None:
    with subscribe() as subscriber:
        for event in subscriber:
            inbox.put(event)


def _read(inbox: queue.Queue[object], events: IO[bytes]) -> None:
    decoder = msgspec.json.Decoder(DaemonEvent)
    last = ""
    for line in events:
        event = decoder.decode(line)
        last = event.event
        inbox.put(event)
    if last != "stopped":
        inbox.put(DaemonEvent("critical", "daemon_died", {}))
    inbox.put(END)
