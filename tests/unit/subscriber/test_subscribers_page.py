"""The manual of the bus names what there is, with the figures that hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.publisher.front import MAX_SNAPSHOT_REQUEST, SEND_HWM
from netmap_actors.publisher.publication import answers, core
from netmap_actors.subscriber import Peers, Subscriber, replica
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import PART_BYTES, PREFIX, Kind
from tests.unit.subscriber.test_replica_histories import Run, losses, step

PAGE = (Path(__file__).parents[3] / "docs" / "subscribers.md").read_text()


def test_every_topic_stands_in_the_manual() -> None:
    assert f"`{PREFIX.decode()}`" in PAGE
    assert [kind.value for kind in Kind if f"`{kind.value}`" not in PAGE] == []


def test_the_figures_of_the_manual_hold() -> None:
    for figure in (
        f"more than {core.MAX_UPDATES} updates",
        f"about {PART_BYTES // 1024} KiB",
        f"may have {MAX_SNAPSHOT_REQUEST // 1024} KiB",
        f"takes nothing for {answers.STALL_LIMIT:g} s",
        f"{SEND_HWM:,}".replace(",", " ") + " updates are kept",
        f"up to {replica.ASK_JITTER} s",
        f"Nothing for {replica.ANSWER_TIMEOUT:g} s: ask again",
        f"Nothing heard for {replica.SILENCE_LIMIT:g} s",
    ):
        assert figure in " ".join(PAGE.split()), figure
    assert answers.MAX_ACTIVE == 8, "eight requesters"


def test_the_examples_are_python_and_name_what_there_is(tmp_path) -> None:
    for example in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        ast.parse(example)
    with Subscriber(tmp_path) as subscriber:
        store, netmap = subscriber.store, subscriber.store.netmap
    for variable, there in (("subscriber", subscriber), ("store", store), ("netmap", netmap)):
        for name in re.findall(rf"\b{variable}\.(\w+)\(", PAGE):
            assert hasattr(there, name), f"{variable}.{name}"
    for name in re.findall(r"`\.(\w+)\(", PAGE):
        assert hasattr(Peers, name), name


class Reader:
    """The pseudo-code of the manual, written down in Python: peers only, without the library."""

    def __init__(self) -> None:
        self.epoch = self.seq = self.last = self.heard_epoch = 0
        self.in_step = False
        self.asking = True
        self.collected: list[netmap_pb2.BusMessage] = []
        self.kept: list[netmap_pb2.BusMessage] = []
        self.peers: dict[str, bytes] = {}
        self.state = netmap_pb2.NETMAP_STATE_NONE

    def lose(self) -> None:
        self.in_step, self.asking, self.collected = False, True, []

    def update(self, message: netmap_pb2.BusMessage) -> None:
        heartbeat = message.WhichOneof("body") == "heartbeat"
        if message.epoch != self.epoch or not self.in_step:
            if not heartbeat:
                self.kept.append(message)
            if message.epoch != self.epoch or message.seq:
                self.lose()
        elif heartbeat:
            if message.heartbeat.last_commit.seq > self.seq:
                self.lose()
            else:
                self.state = message.state
        elif message.seq <= self.last:
            pass
        elif message.seq != self.last + 1:
            self.lose()
            self.kept.append(message)
        else:
            self.last = message.seq
            if message.WhichOneof("body") != "commit":
                self.collected.append(message)
                return
            for change in self.collected:
                if change.HasField("peer_upserted"):
                    peer = change.peer_upserted
                    self.peers[peer.stable_id] = peer.SerializeToString()
                elif change.HasField("peer_removed"):
                    self.peers.pop(change.peer_removed.stable_id, None)
            self.collected, self.seq, self.state = [], message.seq, message.state

    def answer(self, parts: list[netmap_pb2.Reply]) -> None:
        last = parts[-1]
        match last.WhichOneof("body"):
            case "not_yet":
                return
            case "snapshot":
                self.peers = {
                    p.stable_id: p.SerializeToString() for part in parts for p in part.snapshot.peers
                }
                self.epoch, self.seq = last.epoch, last.seq
        self.last, self.in_step, self.collected = self.seq, True, []
        for part in parts:
            for missed in part.catch_up.messages:
                self.update(netmap_pb2.BusMessage.FromString(missed.message))
        self.state = last.state
        kept, self.kept = self.kept, []
        for message in kept:
            if message.epoch == self.epoch:
                self.update(message)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(step, losses, st.booleans()), max_size=20),
    st.sampled_from([0, 600, 1 << 20]),
)
def test_who_follows_the_manual_to_the_letter_ends_with_the_true_netmap(history, ring) -> None:
    run, reader = Run(ring), Reader()

    def deliver(lost: list[bool], heartbeat: bool) -> None:
        publication = run.server.publication
        out = publication.take_outgoing()
        if heartbeat:
            beat = publication.heartbeat(run.now)
            out = [*out, *publication.take_outgoing(), beat]
        for i, message in enumerate(out):
            if not lost[i % len(lost)]:
                reader.update(netmap_pb2.BusMessage.FromString(message.message))
        if reader.asking and not lost[0]:
            reader.asking = False
            parts = publication.answer(b"t", reader.epoch, reader.seq, lambda: run.now)
            reader.answer([netmap_pb2.Reply.FromString(part) for part in parts])
        assert reader.peers in run.once_true

    for (action, value), lost, heartbeat in history:
        run.do(action, value)
        deliver(lost, heartbeat)
    run.generation, run.session = run.generation + 1, 0
    run.do("full", {2: 1, 5: 2})
    for _ in range(5):
        run.now += 2.0
        run.do("keep_alive", None)
        deliver([False], heartbeat=True)
    assert reader.peers == run.server.truth()
    assert (reader.epoch, reader.seq, reader.state) == (
        run.server.publication.epoch,
        run.server.publication.seq,
        netmap_pb2.NETMAP_STATE_FRESH,
    )
