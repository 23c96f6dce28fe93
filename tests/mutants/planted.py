"""Thirteen bugs that programs of this kind have had, as edits of our code, each with the tests that have to find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """`old` stands exactly once in `file`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """One bug; it is caught when `tests` (arguments of pytest) fail."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    says: str = ""
    """What stands in their report then, so that they fail for this and for nothing else."""


_ACTORS, _SUPERVISOR = "actors/netmap_actors", "supervisor/netmap_supervisor"
_FOOD = "tests/system/test_watchdog_food.py::test_what_completes_no_map_response_does_not_delay_the_verdict"

MUTANTS = (
    Mutant(
        "the watchdog is fed by bytes",
        (
            Edit(
                f"{_ACTORS}/control_connection/carrier.py",
                "            self.bytes_received += len(data)\n",
                "            self.bytes_received += len(data)\n"
                "            self._reports.standing.last_received_at = now\n",
            ),
        ),
        (f"{_FOOD}[liveness/slow-drip]", f"{_FOOD}[f19-half_frame]"),
    ),
    Mutant(
        "the watchdog is fed by the answers to our own PINGs",
        (
            Edit(
                f"{_ACTORS}/control_connection/actor.py",
                "                self.tell_supervisor(message_for(event, self._generation))\n",
                "                self.tell_supervisor(message_for(event, self._generation))\n"
                "                self._reports.standing.last_received_at = self.loop.now()\n",
            ),
        ),
        ("tests/system/test_watchdog_food.py::test_answered_probes_do_not_delay_the_verdict",),
    ),
    Mutant(
        "time stands still while the machine sleeps",
        (
            Edit(
                f"{_ACTORS}/clock.py",
                "partial(time.clock_gettime, time.CLOCK_BOOTTIME)",
                "partial(time.clock_gettime, time.CLOCK_MONOTONIC)",
            ),
        ),
        (
            "tests/system/test_wake_and_link.py::test_a_wake_up_after_half_a_minute_keeps_a_healthy_connection",
        ),
    ),
    Mutant(
        "HTTP/2 windows are never opened again",
        (
            Edit(
                f"{_ACTORS}/protocol/http2/connection.py",
                "self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)",
                "pass",
            ),
        ),
        ("tests/unit/protocol/test_http2.py",),
    ),
    Mutant(
        "the decompressor's step is taken for a limit",
        (
            Edit(
                f"{_ACTORS}/protocol/zstd_frame.py",
                "            if len(piece) > room:\n",
                "            if False:\n",
            ),
            Edit(
                f"{_ACTORS}/protocol/zstd_frame.py",
                "decompressor.decompress(data, min(_STEP, room + 1))",
                "decompressor.decompress(data, _STEP)",
            ),
        ),
        ("tests/unit/protocol/test_map_framing.py",),
    ),
    Mutant(
        "a subscriber does not see that the publisher is another one",
        (
            Edit(
                f"{_ACTORS}/subscriber/replica.py",
                "        if message.epoch != self._heard_epoch:\n",
                "        if not self._heard_epoch:\n",
            ),
            Edit(
                f"{_ACTORS}/subscriber/replica.py",
                "if message.epoch != self._epoch or message.topic_seq != expected or not same_transaction:",
                "if message.topic_seq != expected or not same_transaction:",
            ),
        ),
        ("tests/unit/publisher/publication/test_bus_simulation.py",),
    ),
    Mutant(
        "the silence of the old connection counts against the new one",
        (
            Edit(
                f"{_ACTORS}/liveness/detector.py",
                "        self._forget(Observed(generation, session, stage, since, limit, last_received_at=since))\n",
                "        old = self.connection.last_received_at or since\n"
                "        self._forget(Observed(generation, session, stage, old, limit, last_received_at=old))\n",
            ),
            Edit(
                f"{_ACTORS}/liveness/detector.py",
                "        if generation > self.connection.generation:\n"
                "            self._forget(Observed(generation=generation))\n",
                "        if generation > self.connection.generation:\n"
                "            self.connection.generation = generation\n",
            ),
        ),
        ("tests/unit/liveness/test_detector.py",),
    ),
    Mutant(
        "one full map, however short its session, forgives every failure",
        (
            Edit(
                f"{_SUPERVISOR}/connection/history.py",
                "good=self.full_map and lived >= GOOD_SESSION",
                "good=self.full_map and lived >= 0",
            ),
        ),
        ("tests/unit/daemon/test_core_pace.py",),
    ),
    Mutant(
        "the next connection is started before the old one is gone",
        (
            Edit(
                f"{_SUPERVISOR}/supervision/child_machine.py",
                "        _E.START: (_A.NOTHING, _S.KILLED),\n",
                "        _E.START: (_A.SPAWN, _S.STARTING),\n",
            ),
            Edit(
                f"{_SUPERVISOR}/daemon/core.py",
                "        self.tree.move(child, ChildEvent.KILL, now, verdict.reason)\n",
                "        self.tree.move(child, ChildEvent.KILL, now, verdict.reason)\n"
                "        self.tree.move(child, ChildEvent.START, now)\n",
            ),
        ),
        ("tests/unit/daemon/test_core_connection.py",),
    ),
    Mutant(
        "CURVE without an authentication domain",
        (
            Edit(
                f"{_ACTORS}/bus/zap.py",
                "socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)",
                "pass",
            ),
        ),
        ("tests/process/test_zap.py",),
    ),
    Mutant(
        "one actor gives nothing up",
        (
            Edit(
                f"{_ACTORS}/process/bootstrap.py",
                "    held = confinement.confine(row, row.permissions(boot))\n",
                "    held = confinement.confine(row, row.permissions(boot)) if actor != 'liveness' else {}\n",
            ),
        ),
        ("tests/system/test_confinement.py::test_no_process_of_root_keeps_a_capability_it_does_not_need",),
        says="AssertionError: liveness Cap",
    ),
    Mutant(
        "a receiver takes the sender's word for who it is",
        (
            Edit(
                f"{_ACTORS}/wire/codec.py",
                "        if not self._secret.proves(proof, message, document):\n",
                "        if len(proof) != PROOF_BYTES:\n",
            ),
        ),
        (
            "tests/unit/wire/test_codec.py::test_no_changed_bit_of_a_word_or_its_document_passes",
            "tests/unit/wire/test_codec.py::test_what_one_receiver_knows_of_a_connection_is_of_no_use_with_another",
        ),
        says="DID NOT RAISE ForeignEnvelope",
    ),
    Mutant(
        "children that share random state",
        (
            Edit(
                f"{_ACTORS}/process/actor_base.py",
                "_MESSAGES_PER_TURN = 100\n",
                "_MESSAGES_PER_TURN = 100\n_OWN = secrets.token_hex(4)\n",
            ),
            Edit(
                f"{_ACTORS}/process/actor_base.py",
                "{boot.generation}-{secrets.token_hex(4)}",
                "{boot.generation}-{_OWN}",
            ),
        ),
        (
            "tests/process/test_forked_and_executed.py::test_numbers_drawn_by_siblings_and_by_generations_differ",
        ),
        says="assert len(set(numbers)) == len(lines)",
    ),
)
