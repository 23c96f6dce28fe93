"""The commands of operators to a running daemon, one method each.

Not here: how a request arrives (`admin.socket`) and the decisions behind it (`core`).
"""

from __future__ import annotations

import secrets
import signal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from netmap_actors.finite import NotANumber, bounded
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import ActorName
from netmap_supervisor.admin.socket import AdminError
from netmap_supervisor.admin.subscriber_keys import carry_out, why
from netmap_supervisor.connection.messages import Reconnect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

    from netmap_actors.bus.loop import Loop, Timer
    from netmap_actors.wire.status import StatusReport
    from netmap_supervisor.admin.socket import Request
    from netmap_supervisor.config.settings import RunSettings
    from netmap_supervisor.daemon.core import Input
    from netmap_supervisor.system.os_process import ChildProcess

__all__ = ["Daemon", "OperatorRequests"]

MAX_FAULT = 3600.0
"""Seconds."""
DEFAULT_FREEZE = 30.0
DEV_LIMIT = 4.0
"""Seconds dev_control has for an answer: less than the command line waits."""
WEBHOOK_LIMIT = 13.5
"""Seconds the webhooks' process has: more than one request takes."""
MAX_WAITING = 100
_ASKS = {ActorName.HTTP_ENDPOINT, ActorName.HISTORY}
"""May ask for the status."""
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "cont": signal.SIGCONT}


class Daemon(Protocol):
    """What it needs of the Supervisor."""

    @property
    def settings(self) -> RunSettings: ...
    def process(self, actor: str) -> ChildProcess | None: ...
    def happened(self, event: Input) -> None: ...
    def end(self, who: str) -> None: ...
    def tell(self, actor: str, body: Message) -> bool: ...
    def report(self) -> StatusReport: ...
    def counters(self) -> dict[str, dict[str, int]]: ...
    def event(self, level: str, event: str, fields: Mapping[str, Any]) -> None: ...


class _Waiting(NamedTuple):
    """A request that a child has to answer."""

    actor: str
    request: Request
    timer: Timer


class OperatorRequests:
    """Answers each request at once, except those that another process has to answer."""

    def __init__(self, daemon: Daemon, loop: Loop, reload: Callable[[], object]) -> None:
        self._daemon = daemon
        self._loop = loop
        self._reload = reload
        self._token = 0
        self._waiting: dict[int, _Waiting] = {}
        """Requests that were passed on and not answered, by token."""
        self._status_tokens: dict[str, int] = {}
        """What children asked for the status with, in this turn, by actor."""

    def on_request(self, request: Request) -> None:
        """One request. Raises AdminError for what cannot be done."""
        match request.command:
            case "status":
                request.answer(self._daemon.report())
            case "stop":
                self._soon(request, lambda: self._daemon.end("the command line"))
            case "reconnect":
                self._soon(request, lambda: self._daemon.happened(Reconnect()))
            case "reload":
                request.answer(self._reload())
            case "keys":
                request.answer(self._keys(request.arguments))
            case "tokens":
                request.answer(self._tokens(request.arguments))
            case "fault":
                self._fault(request)
            case "dev":
                self._ask_dev_control(request)
            case "record":
                request.answer({"ticket": self._ticket()})
            case "webhook":
                self._ask_webhooks(request)
            case other:
                raise AdminError(f"cannot do {other!r}: no such command")

    def on_message(self, envelope: internal_pb2.Envelope) -> bool:
        """A message of a child that answers or makes a request; False when it does not."""
        match envelope.WhichOneof("body"):
            case "dev_reply" if envelope.actor in {ActorName.DEV_CONTROL, ActorName.WEBHOOKS}:
                self._on_dev_reply(envelope.actor, envelope.dev_reply)
            case "status_request" if envelope.actor in _ASKS:
                self._on_status_request(envelope.actor, envelope.status_request.token)
            case _:
                return False
        return True

    def _on_status_request(self, actor: str, token: int) -> None:
        """The last one of this turn is answered: one report a turn, however often it asks."""
        if not self._status_tokens:
            self._loop.call_soon(self._send_status)
        self._status_tokens[actor] = token

    def _send_status(self) -> None:
        tokens, self._status_tokens = self._status_tokens, {}
        status = self._daemon.report().for_readers()
        shown = msgspec.json.encode({"status": status, "counters": self._daemon.counters()})
        for actor, token in tokens.items():
            self._daemon.tell(actor, internal_pb2.StatusReply(token=token, json=shown))

    def _on_dev_reply(self, actor: str, reply: internal_pb2.DevReply) -> None:
        """One that was asked answered."""
        waiting = self._waiting.get(reply.token)
        if waiting is None or waiting.actor != actor:
            return  # it came too late: the request has its answer
        del self._waiting[reply.token]
        request, timer = waiting.request, waiting.timer
        timer.cancel()
        try:
            answer = msgspec.json.decode(reply.json)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # It serves a network port: its answer may not end this process.
            request.refuse(f"cannot ask {actor}: its answer cannot be read")
            return
        if reply.ok:
            request.answer(msgspec.Raw(reply.json))
        else:
            why = answer.get("error") if isinstance(answer, dict) else None
            request.refuse(str(why or f"{actor} refused"))

    def _soon(self, request: Request, call: Callable[[], object]) -> None:
        """The answer first: what follows may end the process."""
        request.answer({})
        self._loop.call_soon(call)

    def _keys(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The keys of remote subscribers: changed by the daemon, whose files they are."""
        settings = self._daemon.settings
        if order.get("do") == "where":
            return {"state_dir": settings.state_dir}
        try:
            done = carry_out(settings.curve_dir, order)
        except OSError as error:
            raise AdminError(why(error, settings.curve_dir)) from None
        if order.get("do") in {"allow", "revoke"}:
            changed = {"change": order["do"], "client": done["name"]}
            self._daemon.event("info", "subscriber_keys_changed", changed)
        return done

    def _tokens(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The tokens of HTTP clients; the daemon hears no token, only its hash."""
        # Loaded here: most daemons have none.
        from netmap_supervisor.admin import http_tokens  # noqa: PLC0415

        directory = self._daemon.settings.http_tokens
        try:
            done = http_tokens.carry_out(directory, order, self._loop.clock.wall())
        except OSError as error:
            raise AdminError(why(error, directory)) from None
        if order.get("do") in {"create", "revoke"}:
            changed = {"change": order["do"], "client": done["name"]}
            self._daemon.event("info", "http_tokens_changed", changed)
        return done

    def _ticket(self) -> str:
        """Lets whoever asked, and so none of our own processes, have sessions recorded by the publisher."""
        ticket = secrets.token_hex(16)
        if not self._daemon.tell(ActorName.PUBLISHER, internal_pb2.DevCommand(json=ticket.encode())):
            raise AdminError("cannot record: the publisher is starting; try again")
        return ticket

    def _fault(self, request: Request) -> None:
        what, actor = str(request.arguments.get("what", "")), str(request.arguments.get("actor", ""))
        process = self._daemon.process(actor)
        if process is None:
            raise AdminError(f"cannot {what} {actor!r}: it has no process now")
        control = self._daemon.report().control
        if not control.embedded and request.arguments.get("force") is not True:
            raise AdminError(
                f"cannot {what} {actor}: this daemon is a node of {control.url}; say --force if you mean it"
            )
        seconds = _seconds(request.arguments, f"cannot {what} {actor}")
        if what == "freeze":
            self._daemon.tell(actor, internal_pb2.Freeze(seconds=seconds or DEFAULT_FREEZE))
        elif what == "black-hole":
            if actor != ActorName.CONNECTION:
                raise AdminError(
                    f"cannot black-hole {actor}: only {ActorName.CONNECTION} has a connection to the network"
                )
            self._daemon.tell(actor, internal_pb2.BlackHole(seconds=seconds))
        elif what in _SIGNALS:
            process.send(_SIGNALS[what])
            if what == "stop" and seconds:
                self._loop.at(self._loop.now() + seconds, lambda: self._continue(actor, process))
        else:
            raise AdminError(
                f"cannot do {what!r} to {actor}: kill, stop, cont, freeze and black-hole are known"
            )
        self._daemon.event("warning", "fault_on_request", {"actor": actor, "pid": process.pid, "fault": what})
        request.answer({})

    def _continue(self, actor: str, process: ChildProcess) -> None:
        # One that was replaced meanwhile has been reaped; its descriptor may be another's by now.
        if self._daemon.process(actor) is process:
            process.send(signal.SIGCONT)

    def _ask_dev_control(self, request: Request) -> None:
        if self._daemon.process(ActorName.DEV_CONTROL) is None:
            raise AdminError('cannot ask dev_control: it runs only with control.url = "embedded"')
        self._pass_on(request, ActorName.DEV_CONTROL, DEV_LIMIT)

    def _ask_webhooks(self, request: Request) -> None:
        if not self._daemon.settings.webhooks:
            raise AdminError(
                "cannot test a webhook: this daemon has none; the first one of its configuration is "
                "there after a restart"
            )
        if self._daemon.process(ActorName.WEBHOOKS) is None:
            raise AdminError("cannot test a webhook: their process is starting, as after a reload; try again")
        self._pass_on(request, ActorName.WEBHOOKS, WEBHOOK_LIMIT)

    def _pass_on(self, request: Request, actor: str, limit: float) -> None:
        """Have a child answer, within `limit` seconds."""
        if len(self._waiting) >= MAX_WAITING:
            raise AdminError(f"cannot ask {actor}: {MAX_WAITING} requests wait for it already")
        try:
            order = msgspec.json.encode(request.arguments)
        except (OverflowError, RecursionError) as error:  # what one version reads another may not write
            raise AdminError(f"cannot ask {actor}: {error}") from None
        self._token += 1
        token = self._token
        if not self._daemon.tell(actor, internal_pb2.DevCommand(token=token, json=order)):
            raise AdminError(f"cannot ask {actor}: it is starting; try again")
        timer = self._loop.at(self._loop.now() + limit, lambda: self._give_up(token, limit))
        self._waiting[token] = _Waiting(actor, request, timer)

    def _give_up(self, token: int, limit: float) -> None:
        waiting = self._waiting.pop(token, None)
        if waiting is not None:
            waiting.request.refuse(f"cannot ask {waiting.actor}: no answer within {limit:g} s")


def _seconds(arguments: Mapping[str, Any], what: str) -> float:
    try:
        return bounded(arguments.get("seconds", 0.0), 0.0, MAX_FAULT)
    except NotANumber as error:
        raise AdminError(f"{what}: seconds {error}") from None
