"""Subscribers that run as processes of their own, and the checker of their recordings."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from tests.support.netmaps.netmap_digest import (
    PeersNumber,
    digest,
    peer_sent,
    peer_shown,
    rest_of,
    rest_shown,
)
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.support.netmaps.true_netmaps import TrueNetmaps

    Record = dict[str, Any]

ROOT = Path(__file__).parents[3]
END_LIMIT = 15.0
FIRST_LIMIT = 20.0


class RecordingSubscriber:
    """One process. It records into a file that lives on when it is killed."""

    def __init__(self, runtime_dir: Path, record: Path, name: str) -> None:
        self.name = name
        self._record = record
        self._read = 0
        self._records: list[Record] = []
        self._shown: list[Record] = []
        command = [
            sys.executable,
            "-P",
            "-m",
            "tests.support.clients.recording_subscriber",
            str(runtime_dir),
            str(record),
        ]
        found_in = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": found_in}
        )

    def records(self) -> list[Record]:
        """What it has written so far; a line that was torn by a kill is left out."""
        if not self._record.exists():
            return self._records
        with self._record.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole, _, _ = data.rpartition(b"\n")
        if whole:
            new: list[Record] = [msgspec.json.decode(line) for line in whole.split(b"\n")]
            self._records += new
            self._shown += [record["shown"] | {"at": record["at"]} for record in new if "shown" in record]
            self._read += len(whole) + 1
        return self._records

    def shown(self) -> list[Record]:
        """Each step of its view, with the moment (CLOCK_BOOTTIME) as `at`."""
        self.records()
        return self._shown

    def last(self) -> Record:
        """The last step of its view; there must have been one."""
        return self.shown()[-1]

    @property
    def lives(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    def wait_shown(self, number: int, truth: TrueNetmaps, limit: float) -> Record:
        """The first fresh step that shows this true netmap or a later one."""

        def reached(step: Record) -> bool:
            at = truth.number(step["digest"])
            return step["state"] == "fresh" and at is not None and at >= number

        def found() -> Record | None:
            steps = self.shown()
            if steps and reached(steps[-1]):
                return next(step for step in steps if reached(step))
            assert self._process.poll() is None, f"{self.name} ended with {self._process.returncode}"
            return None

        return wait_for(found, limit, f"{self.name} shows the true netmap {number}")

    def stop(self) -> None:
        """Let it neither read nor answer, as a program that hangs."""
        self._process.send_signal(signal.SIGSTOP)
        wait_for(lambda: _state_of(self._process.pid) == "T", END_LIMIT, f"{self.name} is stopped")

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(END_LIMIT)

    def tell_end(self) -> None:
        # Before it has its file, SIGTERM just ends it.
        wait_for(lambda: self._record.exists() or not self.lives, FIRST_LIMIT, f"{self.name} records")
        self._process.terminate()

    def ended(self) -> Record:
        """Its last record, with the whole netmap; SIGTERM was sent."""
        assert self._process.wait(END_LIMIT) == 0, f"{self.name} ended with {self._process.returncode}"
        record: Record = self.records()[-1]["ended"]
        return record

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill()


def end_all(subscribers: list[RecordingSubscriber]) -> list[Record]:
    """End them together; their last records."""
    for subscriber in subscribers:
        subscriber.tell_end()
    return [subscriber.ended() for subscriber in subscribers]


def check_final(ended: Record, nodes: list[dict[str, Any]], rest: dict[str, Any], truth: TrueNetmaps) -> None:
    """The netmap of this last record is the true one in every field."""
    assert ended["state"] == "fresh"
    assert ended["malformed"] == 0
    shown = {peer["stable_id"]: peer_shown(peer) for peer in ended["netmap"]["peers"]}
    expected = {sent["StableID"]: peer_sent(sent) for sent in nodes}
    assert len(ended["netmap"]["peers"]) == len(shown), "a peer is shown twice"
    assert shown.keys() == expected.keys()
    for stable_id, peer in expected.items():
        assert shown[stable_id] == peer
    assert rest_shown(ended["netmap"]) == rest
    assert ended["digest"] == truth.last_digest


class Judge:
    """Checks one recording.

    The steps of the view must be true netmaps in their true order. The events of a step, folded, must give what the
    view shows then, and where they span several commits, a true netmap at each.
    """

    def __init__(self, name: str, truth: TrueNetmaps) -> None:
        self._name = name
        self._truth = truth
        self._peers: dict[str, dict[str, Any]] = {}
        self._number = PeersNumber()
        self._rest: dict[str, Any] = rest_of("", None, [])
        self._other: dict[str, Any] = {}
        """Documents that belong to no digest; their changes must still be changes."""
        self._state = "none"
        self._said = "none"
        """The state in the last event."""
        self._last = -1
        self._removed: list[str] = []
        self._shown: Record | None = None
        self._commit: tuple[int, int] | None = None
        self.steps: list[int] = []
        """The true netmaps that were shown, by number."""
        self.changes = 0

    def judge(self, records: list[Record]) -> Self:
        """Raises AssertionError. The last step of a killed subscriber may be cut short and is left out."""
        for position, record in enumerate(records):
            with self._named(position, record):
                if "shown" in record:
                    self._finish_step()
                    self._begin_step(record["shown"])
                elif "event" in record:
                    self._event(record["event"])
                else:
                    self._finish_step()
                    assert record["ended"]["digest"] == self._folded(), "the end is not what the events gave"
        return self

    def _begin_step(self, shown: Record) -> None:
        self._shown, self._commit = shown, None
        number = self._truth.number(shown["digest"])
        assert number is not None, "a netmap is shown that was never true"
        assert number >= self._last, f"netmap {number} is shown after {self._last}"
        self.steps.append(number)

    def _finish_step(self) -> None:
        if self._shown is None:
            return
        self._finish_commit()
        assert self._shown["digest"] == self._folded(), "the view is not what the events give"
        assert self._shown["state"] == self._state, f"the view is not {self._state}, as the events say"
        self._shown = None

    def _finish_commit(self) -> None:
        """All events of one commit are in: what they give must be true, and what they removed gone."""
        if self._commit is None:
            return
        assert self._said == self._state, (
            f"the events up to {self._commit} say {self._said}, and nothing changed to it"
        )
        number = self._truth.number(self._folded())
        assert number is not None, f"the events up to {self._commit} give a netmap that was never true"
        assert number >= self._last, f"the events up to {self._commit} give {number} after {self._last}"
        for stable_id in self._removed:
            assert not self._truth.present(stable_id, number), f"{stable_id} was never gone"
        self._last = number
        self._removed.clear()
        self._commit = None

    def _event(self, event: Record) -> None:
        commit = (event["epoch"], event["seq"])
        if commit != self._commit:
            self._finish_commit()
            self._commit = commit
        kind = event["type"]
        if kind == "snapshot":
            self._snapshot(event)
        else:
            assert self.changes, "changes before a snapshot"
            getattr(self, f"_{kind}", self._document)(event)
        self._said = event["state"]
        self.changes += 1

    def _snapshot(self, event: Record) -> None:
        assert self.changes == 0, "a second snapshot"
        for peer in event["netmap"]["peers"]:
            self._put(peer)
        self._rest = rest_shown(event["netmap"])
        self._other = event["netmap"]
        self._state = event["state"]

    def _peer_upserted(self, event: Record) -> None:
        peer = event["peer"]
        before = self._peers.get(peer["stable_id"])
        previous = event.get("previous")
        if previous is None:
            assert before is None, f"{peer['stable_id']} comes although it is there"
            assert peer["stable_id"] not in self._removed, "removed and added again in one commit"
        else:
            assert before is not None, f"{peer['stable_id']} changes although it is not there"
            assert previous, "nothing changed"
            assert sorted(event["changed"]) == sorted(previous)
            for name, old in previous.items():
                if name in peer:
                    assert old == before[name], f"{name} was {before[name]!r}, not {old!r}"
                    assert old != peer[name], f"{name} is what it was"
            for name, value in peer.items():
                assert name in previous or name == "user" or value == before[name], f"{name} changed, too"
        self._put(peer)

    def _peer_removed(self, event: Record) -> None:
        stable_id = event["stable_id"]
        assert self._peers.pop(stable_id, None) is not None, f"{stable_id} goes although it is not there"
        self._number.drop(stable_id)
        self._removed.append(stable_id)

    def _self_changed(self, event: Record) -> None:
        assert event["self"] is None or event.get("previous") != {}, "nothing changed"

    def _domain_changed(self, event: Record) -> None:
        assert event["previous"] == {"domain": self._rest["domain"]}
        assert event["domain"] != self._rest["domain"]
        self._rest = self._rest | {"domain": event["domain"]}

    def _user_profiles_changed(self, event: Record) -> None:
        users = dict(self._rest["users"])
        for user in event["upserted"]:
            users[str(user["id"])] = [user["login_name"], user["display_name"]]
        for user in event["removed"]:
            del users[str(user["id"])]
        assert users != self._rest["users"], "nothing changed"
        self._rest = self._rest | {"users": users}

    def _state_changed(self, event: Record) -> None:
        assert event["previous"] == {"state": self._state}
        assert event["state"] != self._state, "nothing changed"
        # The other events of a commit carry its state already and come before this one.
        self._state = event["state"]

    def _document(self, event: Record) -> None:
        name = event["type"].removesuffix("_changed")
        assert event["previous"][name] == self._other[name]
        assert event[name] != self._other[name], "nothing changed"
        self._other = self._other | {name: event[name]}
        if name == "dns":
            self._rest = self._rest | {"dns": event["dns"]}

    def _put(self, peer: dict[str, Any]) -> None:
        self._peers[peer["stable_id"]] = peer
        self._number.put(peer["stable_id"], peer_shown(peer))

    def _folded(self) -> str:
        return digest(self._number.value, self._rest)

    @contextlib.contextmanager
    def _named(self, position: int, record: Record) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            error.add_note(f"{self._name}, record {position}: {str(record)[:600]}")
            raise


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
