"""The history actor: a subscriber that writes what happened. Its death costs the history alone, and leaves a gap."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import zmq

from netmap_actors.boot import HistorySettings, decode_settings
from netmap_actors.bus.connection_limit import ConnectionLimit
from netmap_actors.errors import ConfigurationError
from netmap_actors.history.answers import HISTORY_FILE, SEEN_FILE, NoHistory, ask, may_wait
from netmap_actors.history.occurrences import Happening, Numbered
from netmap_actors.history.questions import MAX_QUESTION, reply, reply_to
from netmap_actors.history.store import BrokenHistory, HistoryStore, NoRoom
from netmap_actors.history_writer.clock_steps import ClockSteps
from netmap_actors.history_writer.last_seen import BRIDGED, LastSeen, missed_nothing, seen_until
from netmap_actors.history_writer.recorder import Recorder
from netmap_actors.history_writer.waiting import WaitingQuestions
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.process.shared_sockets import share
from netmap_actors.subscriber import Subscriber
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import ActorName, Trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.boot import Boot
    from netmap_actors.history.answers import Answer, HistoryQuestion
    from netmap_actors.history.occurrences import KnownNode, Recorded
    from netmap_actors.subscriber import Event

__all__ = ["CONDITION", "HistoryKeeper"]

CONDITION = "history"
"""Shown in status while nothing can be written."""
MOMENT = 1.0
"""Seconds that may be lost with the process: what happened is written together."""
CHECK_INTERVAL = 60.0
"""Seconds after which it is asked whether a change was missed, if none came. The Supervisor tells when the publisher
has ended, so that nobody is woken by heartbeats."""
ANSWER = 2.0
"""Seconds for the publisher to say what there is; then what was not seen is a gap."""
OPEN_AGAIN = 10.0
"""Seconds between two tries to write, once that failed."""
ASK_AGAIN = 5.0
"""Seconds after which the Supervisor is asked anew, while it tells what was not asked for: the question was lost."""
PRUNE_INTERVAL = 3600.0
MAX_CONNECTIONS, MAX_OF_ONE = 64, 8
"""Who asks; a flood of connections must not take its last file."""
ANSWERS_HWM = 4
"""Answers that wait for one who asked; one who takes none gets no more."""


class HistoryKeeper(ActorBase):
    """Writes the history of one tailnet."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self._settings = decode_settings(boot, HistorySettings)
        self._directory = Path(self._settings.directory)
        endpoints = boot.endpoints
        self._subscriber = Subscriber(
            endpoint=(endpoints.updates, endpoints.requests),
            check_interval=CHECK_INTERVAL,
            context=self.sockets.context,
            clock=self.clock,
        )
        self._store: HistoryStore | None = None
        self._seen: LastSeen | None = None
        self._recorder = Recorder(None)
        self._blind: float | None = None
        """When the history before was last known to have all, UNIX seconds; None: there was none."""
        self._marked: tuple[int, int] | None = None
        """(epoch, seq) of the netmap then, while the publisher is awaited to say whether anything was missed since."""
        self._clock_steps = ClockSteps()
        self._begin_due = self.loop.deadline(self._begin)
        self._due = self.loop.deadline(self._on_bus)
        self._flush_due = self.loop.deadline(self._flush)
        self._expiry_due = self.loop.deadline(self._on_expiry)
        self._waiting = WaitingQuestions()
        self._wait_over = self.loop.deadline(self._end_waits)
        self._pending: list[Recorded] = []
        self._nodes: dict[str, KnownNode | None] = {}
        """Changes of what is known, not written yet; None: gone."""
        self._limit: ConnectionLimit | None = None
        self._token = 0
        self._kept = 0
        """The last number of what the Supervisor told that is on disk."""
        self._opened = 0
        """How often a file was."""
        self._asked_at = 0.0
        self._publisher_ended = 0
        """Epoch of a publisher that ended and was the last one heard; 0: none."""
        self._written = 0
        self._failed = 0

    @classmethod
    def prepare(cls, boot: Boot) -> None:
        """Make its directory; later it may not."""
        Path(decode_settings(boot, HistorySettings).directory).mkdir(mode=0o700, exist_ok=True)

    def setup(self) -> None:
        self._asked = self.sockets.router_bind(
            self.boot.endpoints.history, max_size=MAX_QUESTION, hwm=ANSWERS_HWM
        )
        share(self._settings.socket_group, self.boot.endpoints.history)
        self.loop.watch(self._asked, self._on_question)
        self._limit = ConnectionLimit(self.loop, self._asked, of_all=MAX_CONNECTIONS, of_one=MAX_OF_ONE)
        self.loop.every(PRUNE_INTERVAL, self._prune)
        for one in self._subscriber.sockets:
            self.loop.watch(one, self._on_bus)
        self._open()
        self.ready()

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        self._look_at_clock()
        match envelope.WhichOneof("body"):
            case "occurred":
                self._happened(envelope.occurred)
            case "status_reply":
                if envelope.status_reply.token == self._token and self._store is not None:
                    reply = msgspec.json.decode(envelope.status_reply.json, type=dict[str, Any])
                    self._keep(self._recorder.standing(reply["status"], self.clock.wall()))
            case other:
                self.log.warning("unexpected_message", body=other)

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        self._look_at_clock()
        self._mark_seen()
        heartbeat.counters["history_written"] = self._written
        heartbeat.counters["history_failures"] = self._failed
        with contextlib.suppress(BrokenHistory, NoRoom):  # seen by what writes
            if self._store is not None:
                heartbeat.counters["history_bytes"] = self._store.size()

    def teardown(self) -> None:
        if self._marked is not None:
            self._begin()
        if self._store is not None:
            self._flush()
            try:
                if self._store is not None:
                    self._store.close_unseen(self.clock.wall())
            except (BrokenHistory, NoRoom) as error:
                self.log.warning("history_not_written", detail=str(error))
        self._close_store()
        if self._limit is not None:
            self._limit.close()
        for one in self._subscriber.sockets:
            self.loop.unwatch(one)
        self._subscriber.close()

    # The file

    def _open(self) -> None:
        """Begin to write. Tried again when it cannot."""
        now = self.clock.wall()
        path = self._directory / HISTORY_FILE
        try:
            self._store = HistoryStore(path, self._settings.tailnet)
            self._seen = LastSeen(self._directory / SEEN_FILE)
            booted = now - self.clock.boottime()
            self._blind = seen_until(self._store.seen_until(), self._seen.at, booted=booted, now=now)
            self._marked = (0, 0) if self._blind is None else self._seen.fresh
            self._kept = self._store.told_up_to(self.boot.run)
        except BrokenHistory as error:
            self._broken(str(error))
            return
        except (NoRoom, OSError, ConfigurationError) as error:
            self._cannot(str(error))
            return
        again = self.boot.generation > 1 or self._failed > 0
        if again and self._marked != (0, 0) and now - (self._blind or 0.0) <= BRIDGED:
            self._begin_due.set(self.loop.now() + ANSWER)
        else:
            self._begin()
        self._on_bus()

    def _begin(self) -> None:
        """What was not seen until now is a gap, unless there was nothing to see."""
        marked, self._marked = self._marked or (0, 0), None
        self._begin_due.set(None)
        if self._store is None:
            return
        now, blind = self.clock.wall(), self._blind
        whole = blind is not None and missed_nothing(marked, self._fresh(), blind_for=now - blind)
        before = None
        with self._writing():
            if blind is not None and not whole:
                self._store.close_unseen(blind)
            before = self._store.of_server(self._settings.server)
        if self._seen is None:
            return  # closed
        moved = None if before is None else (before, self._settings.server)
        self.healed(CONDITION)
        self._recorder = Recorder(blind, self._kept, moved, marked[0])
        self._opened += 1
        self._ask_supervisor()
        if whole:
            self._recorder.go_on()
            return
        self._keep(self._recorder.begin(now, generation=self.boot.generation))
        if self._failed > 0:
            self._see_again()
        if self.boot.generation > 1 or self._failed > 0:
            # The first one is told of every process from its start on; later ones ask what there is.
            self._ask_what_stands()

    def _ask_what_stands(self) -> None:
        self._token += 1
        self.tell_supervisor(internal_pb2.StatusRequest(token=self._token))

    def _look_at_clock(self) -> None:
        """A clock that is set ends what was seen by the one before, and what holds begins anew."""
        before, wall, after = self.clock.boottime(), self.clock.wall(), self.clock.boottime()
        step = self._clock_steps.look(before, wall, after)
        if step is None or self._marked is not None:
            return
        self._flush(step.seen_until)
        if self._store is None:
            return
        with self._writing():
            self._store.close_unseen(step.seen_until, now=step.at)
            self._keep(self._recorder.clock_stepped(step, generation=self.boot.generation))
            self._see_again()
            self._ask_what_stands()

    def _fresh(self) -> tuple[int, int]:
        """(epoch, seq) of the netmap as it was heard last; (0, 0): it is not fresh."""
        shown = self._subscriber.store.snapshot()
        return (shown.epoch, shown.seq) if shown.state == Trust.FRESH else (0, 0)

    def _ask_supervisor(self) -> None:
        """To tell what comes after what is kept, and nothing that is under way."""
        self._asked_at = self.loop.now()
        self.tell_supervisor(internal_pb2.OccurrencesKept(number=self._kept, opened=self._opened))

    def _broken(self, why: str) -> None:
        """Keep the file beside, and begin another, in a turn of its own: this one may be in the middle of it."""
        self._close_store()
        path = self._directory / HISTORY_FILE
        broken = path.with_name(f"{HISTORY_FILE}.broken")
        try:
            path.replace(broken)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            self._cannot(f"{why}; it cannot be moved away: {error.strerror}")
            return
        self._failed += 1
        self.log.warning("history_broken", detail=why, kept_as=str(broken))
        self.loop.call_soon(self._open)

    def _failed_with(self, error: BrokenHistory | NoRoom) -> None:
        if isinstance(error, BrokenHistory):
            self._broken(str(error))
        else:
            self._cannot(str(error))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (BrokenHistory, NoRoom) as error:
            self._failed_with(error)

    def _cannot(self, why: str) -> None:
        self._failed += 1
        self._close_store()
        self.degraded(CONDITION, f"{why}; it is tried again, and until then there is a gap")
        self.log.warning("history_not_written", detail=why)
        self.loop.at(self.loop.now() + OPEN_AGAIN, self._open)
        # Who waits for what happens hears that nothing is told now. Not here: this may be in the middle of an answer.
        self.loop.call_soon(self._end_all_waits)

    def _close_store(self) -> None:
        self._flush_due.set(None)
        self._begin_due.set(None)
        self._marked = None
        self._pending.clear()
        self._nodes.clear()
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._seen is not None:
            self._seen.close()
            self._seen = None

    # Answers

    def _on_question(self) -> None:
        """One in a turn: it takes up to some tenths of a second."""
        try:
            who, data = self._asked.recv_multipart(zmq.DONTWAIT)
        except (zmq.Again, ValueError):  # ValueError: of more or fewer parts, which is no question
            return
        self._look_at_clock()
        self._flush()
        self._send(who, reply_to(data, lambda question: self._tell_or_wait(who, question)))

    def _send(self, who: bytes, reply: bytes | None) -> None:
        if reply is not None:
            # One that is gone, or takes no answers, gets none.
            with contextlib.suppress(zmq.Again, zmq.ZMQError):
                self._asked.send_multipart([who, reply], zmq.DONTWAIT)

    def _tell_or_wait(self, who: bytes, question: HistoryQuestion) -> Answer | None:
        answer = self._tell(question)
        if not may_wait(answer, question):
            return answer
        for one in self._waiting.add(who, question, self.loop.now()):
            self._send(one.who, reply(one.question, self._tell))
        self._wait_over.set(self._waiting.due())
        return None

    def _end_waits(self) -> None:
        for one in self._waiting.over(self.loop.now()):
            self._send(one.who, reply(one.question, self._tell))
        self._wait_over.set(self._waiting.due())

    def _end_all_waits(self) -> None:
        for one in self._waiting.take():
            self._send(one.who, reply(one.question, self._tell))
        self._wait_over.set(None)

    def _tell_waiting(self) -> None:
        """Something was written."""
        for one in self._waiting.take():
            told = reply(one.question, self._tell_or_none)
            if told is None:
                self._waiting.put_back(one)
            self._send(one.who, told)
        self._wait_over.set(self._waiting.due())

    def _tell_or_none(self, question: HistoryQuestion) -> Answer | None:
        # The lanes are a question's dear part.
        found = self._tell(msgspec.structs.replace(question, lanes=False))
        if may_wait(found, question):
            return None
        return self._tell(question) if question.lanes else found

    def _tell(self, question: HistoryQuestion) -> Answer:
        self._mark_seen()
        if self._store is not None:
            try:
                return ask(self._store, question, self._seen.at if self._seen is not None else 0.0)
            except (BrokenHistory, NoRoom) as error:
                self._failed_with(error)
        raise NoHistory("cannot show the history: it is not written now; `netmap-supervisor status` says why")

    # What happens

    def _on_bus(self) -> None:
        self._look_at_clock()
        events = self._subscriber.poll()
        self._due.set(self.loop.now() + self._subscriber.due_in())
        if self._marked is not None and self._subscriber.store.snapshot().epoch:
            self._begin()
        if self._store is None or self._marked is not None:
            return  # a gap, or a snapshot comes first
        with self._writing():
            for event in events:
                self._see(event)
        shown = self._subscriber.store.snapshot()
        if self._publisher_ended and shown.epoch != self._publisher_ended:
            # Another one, whose answer may have come before anything else of it: then no change of state was seen.
            self._publisher_ended = 0
            if self._recorder.trust != shown.state:
                self._see_again()
        self._mark_seen()

    def _mark_seen(self) -> None:
        if self._seen is not None and not self._unwritten and self._marked is None:
            self._seen.mark(
                self.clock.wall(), self._fresh() if self._recorder.trust == Trust.FRESH else (0, 0)
            )

    def _see_again(self) -> None:
        """The netmap as it is, which was told before the file was there to take it."""
        snapshot = self._subscriber.store.snapshot()
        if self._store is not None and snapshot.state != Trust.NONE:
            with self._writing():
                self._see(snapshot)

    def _see(self, event: Event) -> None:
        recorded, nodes = self._recorder.netmap(event, self.clock.wall(), self._known, self._everybody)
        self._know(nodes)
        self._keep(recorded)

    def _know(self, nodes: list[KnownNode | str]) -> None:
        for node in nodes:
            if isinstance(node, str):
                self._nodes[node] = None
            else:
                self._nodes[node.stable_id] = node

    def _happened(self, occurred: internal_pb2.Occurred) -> None:
        if self._store is None:
            return  # told again, once there is one
        if occurred.opened != self._opened:
            if self.loop.now() - self._asked_at > ASK_AGAIN:
                self._ask_supervisor()
            return
        fields = msgspec.json.decode(occurred.fields, type=dict[str, Any])
        if (occurred.event, fields.get("actor")) == (Happening.ACTOR_EXITED, ActorName.PUBLISHER):
            self._on_bus()  # what it said last
            self._publisher_ended = self._subscriber.store.snapshot().epoch
        told = Numbered(self.boot.run, occurred.number)
        self._keep(self._recorder.happened(occurred.event, fields, occurred.at, told))

    def _known(self, stable_id: str) -> KnownNode | None:
        if stable_id in self._nodes:
            return self._nodes[stable_id]
        return self._store.known(stable_id) if self._store is not None else None

    def _everybody(self) -> dict[str, KnownNode]:
        nodes: dict[str, KnownNode] = self._store.everybody() if self._store is not None else {}
        for stable_id, node in self._nodes.items():
            if node is None:
                nodes.pop(stable_id, None)
            else:
                nodes[stable_id] = node
        return nodes

    # Writing

    def _keep(self, recorded: Recorded) -> None:
        if self._store is not None and (recorded.occurrences or recorded.entered):
            self._pending.append(recorded)
        if self._unwritten and self._flush_due.when is None:
            self._flush_due.set(self.loop.now() + MOMENT)

    @property
    def _unwritten(self) -> bool:
        return bool(self._pending or self._nodes)

    def _flush(self, now: float | None = None) -> None:
        """`now`: when it was last seen, where the clock was set since."""
        self._flush_due.set(None)
        if self._store is None or not self._unwritten:
            return
        if self._store.is_gone():
            self._cannot("cannot write the history: its file was moved or removed")
            return
        with self._writing():
            self._store.write(
                self._pending,
                [node or stable_id for stable_id, node in self._nodes.items()],
                now or self.clock.wall(),
            )
        if self._seen is None:
            return  # closed
        self._written += sum(len(one.occurrences) for one in self._pending)
        told = max((one.told.number for one in self._pending if one.told is not None), default=0)
        if told:
            self._kept = told
            self.tell_supervisor(internal_pb2.OccurrencesKept(number=told))
        self._pending.clear()
        self._nodes.clear()
        self._mark_seen()
        with self._writing():
            if self._store is not None and self._store.size() > self._settings.max_bytes:
                self._prune()
        self._look_at_expiry()
        self._tell_waiting()

    def _look_at_expiry(self) -> None:
        """Tell of keys that expire soon, and look again when the next is due, or soon if it is long: clocks are set."""
        if self._store is None:
            return
        now = self.clock.wall()
        with self._writing():
            recorded, nodes = self._recorder.expiring(self._store.due, now)
            due = self._store.next_due()
            self._know(nodes)
            self._keep(recorded)
            again = PRUNE_INTERVAL if due is None or due <= now else min(due - now, PRUNE_INTERVAL)
            self._expiry_due.set(self.loop.now() + again)

    def _on_expiry(self) -> None:
        # The file is looked at, which has to have what was told last; once it is written it is looked at, too.
        if self._unwritten:
            self._flush()
        else:
            self._look_at_expiry()

    def _prune(self) -> None:
        """Drop a part of what is too old or too much; the rest in later turns."""
        if self._store is None:
            return
        before = self.clock.wall() - self._settings.keep
        with self._writing():
            if self._store.prune(before, self._settings.max_bytes):
                self.loop.call_soon(self._prune)
