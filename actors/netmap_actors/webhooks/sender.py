"""Sends one request of a webhook at a time: its files, its name, a connection of its own, the status of the answer.

Not here: when, and what comes of it (`delivery`).
"""

from __future__ import annotations

import errno
import functools
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from netmap_actors import __version__
from netmap_actors.confinement.bounded_child import BoundedChild, Bounds, NotMade
from netmap_actors.errors import NetmapError
from netmap_actors.transport.dialer import Dialer
from netmap_actors.transport.proxy import choose_proxy
from netmap_actors.transport.resolve import resolve
from netmap_actors.transport.short_exchange import ShortExchange
from netmap_actors.webhooks.bodies import Body, CannotRender, body, load_templates
from netmap_actors.webhooks.delivery import Outcome
from netmap_actors.webhooks.request import PostRequest, failure
from netmap_actors.webhooks.sources import Denied, read_key, read_template, read_url
from netmap_actors.webhooks.spec import BodyForm

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from netmap_actors.bus.loop import Loop
    from netmap_actors.transport.address import Address
    from netmap_actors.webhooks.events import WebhookEvent
    from netmap_actors.webhooks.spec import WebhookSpec

__all__ = ["SEND_LIMIT", "OutOfReach", "WebhookRequest"]

SEND_LIMIT: Final = 12.0
"""Seconds for one request, from its name to its status; a command that waits for one is answered within 15 s."""
RENDER_BOUNDS: Final = Bounds(processor_time=5, patience=10.0, memory=64 << 20)
"""Of a template: it is over, and said, within SEND_LIMIT, and 16 at once leave room below the unit's MemoryMax=."""
_AGENT: Final = f"netmap-supervisor/{__version__}"
_KNOWN: Final = frozenset(
    {os.strerror(number) for number in errno.errorcode}
    | {
        "Name or service not known",
        "No address associated with hostname",
        "Temporary failure in name resolution",
        "it has no IP address",
    }
)
"""Of the system and its resolver (gai_strerror(3)): they hold nothing of a URL."""


class OutOfReach(Exception):
    """What is named now was not when this process was confined; another one is let in."""


class WebhookRequest:
    """One request under way; `on_done` is called once, in a later turn of the loop, unless it is cancelled."""

    def __init__(
        self,
        loop: Loop,
        spec: WebhookSpec,
        events: Sequence[WebhookEvent],
        on_done: Callable[[Outcome], object],
        *,
        tailnet: str,
        wall: float,
        proxy: str,
        environment: Mapping[str, str],
        context: Callable[[], ssl.SSLContext],
        ports: Sequence[int] | None = None,
    ) -> None:
        """`proxy`, `environment`: as `choose_proxy` takes them; `context()`: for TLS; `ports`: the only ones there are.

        Raises OutOfReach.
        """
        self._loop = loop
        self._on_done = on_done
        self._exchange: ShortExchange[Outcome] | None = None
        self._done = False
        self._timer = loop.at(loop.now() + SEND_LIMIT, lambda: self._end(Outcome(failure="timeout")))
        try:
            self._url = url = read_url(spec)
            chosen = choose_proxy(url, proxy, environment)
            self._place = (url.host, url.port) if chosen is None else (chosen.host, chosen.port)
            self._key, self._wall = read_key(spec), wall
            secured = url.is_https or (chosen is not None and chosen.scheme == "https")
            self._dialer = Dialer(loop, url, context() if secured else None, chosen)
            if ports is not None and self._place[1] not in ports:
                raise Denied("its port is another one")
            source = functools.partial(read_template, spec)
            make = functools.partial(body, spec, events, tailnet=tailnet, at=wall, source=source)
            if spec.body is BodyForm.TEMPLATE:
                self._render(PurePath(spec.template).name, source, make)
            else:
                self._send(make())
        except Denied as error:
            self.cancel()
            raise OutOfReach(str(error)) from None
        except NetmapError as error:
            self._fail_before(error)

    def cancel(self) -> None:
        """Give up, without a call."""
        self._done = True
        self._timer.cancel()
        if self._exchange is not None:
            self._exchange.cancel()

    # A template is a program, and others are told meanwhile.

    def _render(self, name: str, source: Callable[[str], str | None], make: Callable[[], Body]) -> None:
        """Raises NotMade, and Denied here, where another process can be let in."""
        source(name)
        load_templates()

        def work() -> bytes:
            made = make()
            return made.content_type.encode() + b"\n" + made.data

        child = BoundedChild(f"render {name}", work, RENDER_BOUNDS)
        self._loop.watch(child.fileno(), lambda: self._rendering(child))

    def _rendering(self, child: BoundedChild) -> None:
        if child.receive():
            return
        # Also of one that is cancelled: it is waited for.
        self._loop.unwatch(child.fileno())
        try:
            content_type, _, data = child.result().partition(b"\n")
            if not self._done:
                self._send(Body(content_type.decode(), data))
        except NetmapError as error:
            self._fail_before(error)

    def _fail_before(self, error: NetmapError) -> None:
        of_the_body = isinstance(error, CannotRender | NotMade)
        outcome = Outcome(failure=str(error), sent=False, of_the_body=of_the_body)
        self._loop.call_soon(lambda: self._end(outcome))

    def _send(self, made: Body) -> None:
        self._request = PostRequest(self._url, made, secret=self._key, agent=_AGENT, wall=self._wall)
        resolve(self._loop, *self._place, self._resolved, self._failed)

    def _resolved(self, addresses: list[Address]) -> None:
        if not self._done:
            self._exchange = ShortExchange[Outcome](
                self._dialer,
                addresses,
                self._request,
                limit=SEND_LIMIT,
                on_answer=self._end,
                on_failed=lambda why, _: self._failed(why),
            )

    def _failed(self, why: str) -> None:
        self._end(Outcome(failure=failure(why, _KNOWN)))

    def _end(self, outcome: Outcome) -> None:
        if not self._done:
            self.cancel()
            self._on_done(outcome)
