"""The webhooks actor: reads the history by cursor and tells its receivers. Its death costs a second attempt at most."""

from __future__ import annotations

import contextlib
import random
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import zmq

from netmap_actors.boot import WebhooksSettings, decode_settings
from netmap_actors.bus.monitor import next_event
from netmap_actors.errors import ConfigurationError
from netmap_actors.exit_reason import ExitReason
from netmap_actors.history.questions import MAX_TOLD, QuestionLine
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.transport.proxy import connect_ports
from netmap_actors.webhooks.dispatcher import Dispatcher
from netmap_actors.webhooks.events import test_event, with_login
from netmap_actors.webhooks.questions import SharedQuestions
from netmap_actors.webhooks.sender import OutOfReach, WebhookRequest
from netmap_actors.webhooks.sources import read_url
from netmap_actors.webhooks.spec import WebhookSpec
from netmap_actors.webhooks.standing_file import StandingFile, forget_all_but
from netmap_actors.wire import internal_pb2

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from netmap_actors.boot import Boot
    from netmap_actors.history.answers import HistoryQuestion
    from netmap_actors.webhooks.delivery import Outcome
    from netmap_actors.webhooks.events import WebhookEvent

__all__ = ["WebhookSender"]

QUESTIONS_HWM = 64
LOOK_INTERVAL = 10.0
"""Seconds between looks for a webhook that fails for long, and for a standing that could not be written."""
_AFTER_A_HISTORY = 0.5
"""Seconds after the end of a history's connection, in which the next one may have begun."""


class WebhookSender(ActorBase):
    """All webhooks of one tailnet; one that hangs holds up no other."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self._settings = decode_settings(boot, WebhooksSettings)
        self._specs = _specs(self._settings)
        self._files = self._identities()
        self._dispatchers: dict[str, Dispatcher] = {}
        self._history: QuestionLine | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._questions = SharedQuestions[Dispatcher](self._send_question)
        self._tests: dict[int, WebhookRequest] = {}
        self._context: ssl.SSLContext | None = None
        self._login_url = ""
        """Where somebody has to log in, as last told."""

    @classmethod
    def prepare(cls, boot: Boot) -> None:
        """Make its directory; later it may not."""
        Path(decode_settings(boot, WebhooksSettings).directory).mkdir(mode=0o700, parents=True, exist_ok=True)

    @classmethod
    def connect_ports(cls, boot: Boot) -> tuple[int, ...]:
        """Of the URLs as they are now, or of the proxies before them."""
        settings = decode_settings(boot, WebhooksSettings)
        found: set[int] = set()
        for spec in _specs(settings):
            with contextlib.suppress(ConfigurationError):  # said when it is used
                found |= {*connect_ports(str(read_url(spec)), settings.proxy, settings.secrets.values)}
        return tuple(sorted(found))

    def setup(self) -> None:
        socket = self.sockets.dealer_connect(
            self.boot.endpoints.history,
            b"",
            max_size=MAX_TOLD,
            hwm=QUESTIONS_HWM,
            monitored=zmq.EVENT_DISCONNECTED,
        )
        self._history = QuestionLine(socket)
        self._monitor = socket.get_monitor_socket()
        self.loop.watch(socket, self._on_answer)
        self.loop.watch(self._monitor, self._on_end_of_history)
        self.loop.every(LOOK_INTERVAL, self._look)
        directory = Path(self._settings.directory)
        for name in forget_all_but([spec.name for spec in self._specs], directory):
            self.log.info("webhook_forgotten", webhook=name)
        for spec in self._specs:
            self._dispatchers[spec.name] = Dispatcher(
                spec,
                StandingFile(directory, spec.name),
                loop=self.loop,
                clock=self.clock,
                log=self.log,
                jitter=random.SystemRandom().random,
                tailnet=self._settings.tailnet,
                ask=self._questions.ask,
                post=self._post,
                out_of_reach=self._out_of_reach,
                show=self._show,
                changed=self.heartbeat_now,
            )
        for dispatcher in self._dispatchers.values():
            dispatcher.turn()
        self.ready()

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        match envelope.WhichOneof("body"):
            case "dev_command":
                self._test(envelope.dev_command.token, envelope.dev_command.json)
            case "login_needed":
                self._login_url = envelope.login_needed.url
            case other:
                self.log.warning("unexpected_message", body=other)

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        for name, dispatcher in self._dispatchers.items():
            standing, figures = dispatcher.delivery.standing, dispatcher.delivery.figures(self.loop.now())
            heartbeat.webhooks.add(
                name=name,
                delivered=standing.delivered,
                attempts=standing.attempts,
                failed=standing.failed,
                given_up=standing.given_up,
                suppressed=standing.suppressed,
                lost=standing.lost,
                pending=figures.pending,
                delivered_at=standing.delivered_at,
                failure=dispatcher.failure(),
            )

    def teardown(self) -> None:
        for dispatcher in self._dispatchers.values():
            dispatcher.close()
        for request in self._tests.values():
            request.cancel()
        if self._history is not None and self._monitor is not None:
            self.loop.unwatch(self._history.socket)
            self.loop.unwatch(self._monitor)
            self._history.socket.disable_monitor()
            self._monitor.close(0)

    # The history

    def _send_question(self, question: HistoryQuestion) -> None:
        if self._history is not None:
            self._history.ask(question)

    def _on_answer(self) -> None:
        told = self._history.told() if self._history is not None else None
        if told is not None:
            for dispatcher, token in self._questions.answered(told.token):
                dispatcher.answered(token, told.answer)

    def _on_end_of_history(self) -> None:
        if self._monitor is not None and next_event(self._monitor) is not None:
            self.loop.at(self.loop.now() + _AFTER_A_HISTORY, self._ask_again)

    def _ask_again(self) -> None:
        for dispatcher in self._dispatchers.values():
            dispatcher.ask_again()

    # Requests

    def _post(
        self, spec: WebhookSpec, events: Sequence[WebhookEvent], on_done: Callable[[Outcome], object]
    ) -> WebhookRequest:
        settings = self._settings
        return WebhookRequest(
            self.loop,
            spec,
            with_login(spec.events, events, self._login_url),
            on_done,
            tailnet=settings.tailnet,
            wall=self.clock.wall(),
            proxy=settings.proxy,
            environment=settings.secrets.values,
            context=self._tls,
            ports=self.boot.connect_ports if self.confinement.get("landlock", 0) else None,
        )

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            # Loaded here: not every receiver needs OpenSSL and its roots.
            from netmap_actors.transport.tls import make_context  # noqa: PLC0415

            self._context = make_context(self._settings.ca_file)
        return self._context

    def _out_of_reach(self, why: str) -> bool:
        """Whether a file is another one than when this process was confined; the next process is let in to it."""
        if self._identities() == self._files:
            return False
        self.finish(ExitReason.NORMAL, why)
        return True

    def _identities(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for path in (*self._settings.files, *self._settings.templates):
            with contextlib.suppress(OSError):
                status = Path(path).stat()
                found[path] = (
                    status.st_dev,
                    status.st_ino,
                    status.st_mtime_ns,
                    status.st_mode,
                    status.st_size,
                )
        return found

    # What is shown

    def _show(self, code: str, text: str | None) -> None:
        if text is None:
            self.healed(code)
        else:
            self.degraded(code, text)

    def _look(self) -> None:
        for dispatcher in self._dispatchers.values():
            dispatcher.look()

    # Tests

    def _test(self, token: int, order: bytes) -> None:
        name = msgspec.json.decode(order, type=dict[str, Any]).get("webhook")
        dispatcher = self._dispatchers.get(str(name))
        if dispatcher is None:
            self._reply(
                token, ok=False, error=f"cannot test {name!r}: webhooks are {', '.join(self._dispatchers)}"
            )
            return
        began = self.loop.now()

        def done(outcome: Outcome) -> None:
            self._tests.pop(token, None)
            seconds = round(self.loop.now() - began, 3)
            self._reply(token, ok=True, status=outcome.status, failure=outcome.failure, seconds=seconds)

        event = test_event(f"test-{secrets.token_hex(8)}", self.clock.wall())
        try:
            self._tests[token] = self._post(dispatcher.spec, [event], done)
        except OutOfReach as error:
            self._reply(token, ok=False, error=f"{error}; try again")
            self._out_of_reach(str(error))

    def _reply(self, token: int, *, ok: bool, **fields: Any) -> None:
        self.tell_supervisor(internal_pb2.DevReply(token=token, ok=ok, json=msgspec.json.encode(fields)))


def _specs(settings: WebhooksSettings) -> list[WebhookSpec]:
    return msgspec.json.decode(settings.webhooks, type=list[WebhookSpec])
