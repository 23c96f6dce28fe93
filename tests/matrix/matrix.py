"""Every order tried from inside every process, and what came of it: judged from inside and from outside.

An order is refused when the process was told so and nothing shows outside, or when nothing of it shows where only its
effect can tell. What is allowed has to stand in `exceptions`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netmap_actors.subscriber import Subscriber
from tests.matrix.inside_orders import ORDERS, SAID
from tests.matrix.scene import CHILDREN, OUTSIDE, ROLES, Outcome, Scene
from tests.matrix.to_be_left import another_view
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from typing import Self

ALLOWED, REFUSED, ABSENT, BROKEN = "allowed", "refused", "absent", "broken"
LOG_BURST = 1000
"""Lines of one flood that may reach the log."""
AT_ONCE = 50
"""Orders between which a process does not get to its own work."""
ANSWER_LIMIT = 2.0
"""Seconds in which the daemon has to answer whatever is done to it."""
_WHAT = {
    "a page to log in": "login", "an end of the session": "end", "a removal of the node": "truth",
    "a new address": "address", "a condition": "condition", "a condition of liveness": "liveness",
    "a condition of the connection": "connection", "figures": "figures", "a hello": "hello",
    "that it is ready": "ready",
}  # fmt: skip
_HOW = {"over its own socket": "own", "over a new socket": "new", "in its own name": "self"}
_LOG = ("a log line in another's name", "a log line of the Supervisor's", "a reason of another's end")
_POSTHUMOUS = ("an order of somebody who has ended meanwhile",)
"""Whoever gives it ends, and that is not the point."""
_ENDS = ("abort, and want a core file", "stop itself")
_LIVENESS = ("tell liveness of progress", "tell liveness that a map came")
_FATAL = ("tell the Supervisor a hello in its own name", "write into the life pipe")
_LOCKS = ("release the directory locks", "take the directory locks for itself")
_HEAVY = (
    "nested JSON in the log", "garbage in the log", "a line without end in the log", "a flood of log lines",
    "words without end to the Supervisor", "large words without end to the Supervisor",
    "a message without end to the Supervisor",
)  # fmt: skip
_WORDS = ("tell ", "order ", "have the Supervisor's", "show the publisher")
_SUPERVISORS_OWN = (*_WORDS, "connections without", "words without", *_POSTHUMOUS)
"""Orders that mean nothing where the Supervisor itself is the one that was taken over: it is who decides about them."""


@dataclass(frozen=True)
class Cell:
    """What one order comes to from inside one process."""

    verdict: str
    detail: str
    main_thread: bool = True


class Watch:
    """All that shows outside while orders are carried out: the status again and again, peers, the log."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._end = threading.Event()
        self._seen: list[str] = []
        self.deadline = 0.0
        self.silent_for = 0.0
        self._peers: set[str] = set()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        with Subscriber(self._scene.daemon.runtime_dir) as subscriber:
            while not self._end.wait(0.02):
                for _ in subscriber.poll():
                    pass
                self._peers.update(subscriber.store.netmap.peers)
                status = self._scene.status()
                if status is not None:
                    self.deadline = max(self.deadline, status["liveness"]["deadline_in_s"] or 0.0)
                    text = json.dumps(status)
                    if "forged" in text and text not in self._seen[-1:]:
                        self._seen.append(text)

    def shows(self, mark: str) -> bool:
        return mark in self._peers or any(mark in text for text in self._seen)


class Matrix:
    """The whole table. `cells[order][role]`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.cells: dict[str, dict[str, Cell]] = {name: {} for name in ORDERS if not name.startswith("(")}
        self.counted: dict[str, dict[str, int]] = {}
        """What the daemon says it has counted, after the words of its own processes and of the view."""
        self.alone = _HEAVY
        """Orders that the Supervisor is not given besides: it would do them to itself."""
        self.second: tuple[int, str] = (0, "")
        self.cores: list[str] = []
        self.hung: dict[str, tuple[int, int]] = {}
        self.harm: list[str] = []
        """What happened to the daemon outside of any single cell."""

    def fill(self, *, everything: bool = True) -> Matrix:
        """In an order in which the rough things come last; without `everything`, only what is no flood and no end."""
        self.scene.learn()
        floods = [name for name in ORDERS if name.startswith("connections without")]
        late = {*_LOCKS, *_LIVENESS, *_ENDS, *_HEAVY, *floods, "order `stop`"}
        early = [name for name in ORDERS if name not in late and not name.startswith("(")]
        words = [name for name in early if name.startswith(_WORDS)]
        kernel = [
            name
            for name in early
            if name not in words and name not in _FATAL and self._mark("", name) is None
        ]
        self._kernel((OUTSIDE,), kernel)
        self._kernel((*CHILDREN, "view"), kernel)
        self._kernel(("supervisor",), kernel)
        for role in (*ROLES, OUTSIDE):
            others = [name for name in early if name not in (*kernel, *_FATAL, *_POSTHUMOUS)]
            self._batch(role, self._of(role, others))
            self._fatal(role)
            self._locks(role)
            if role == "view":
                self.counted = self.scene.counters()
        self._liveness()
        if not everything:
            return self
        self.second = self._second()
        for role in (*CHILDREN, "view", OUTSIDE):
            for name in floods:
                self._flood(role, name)
            for name in _HEAVY:
                self._heavy(role, name)
        for role in (*CHILDREN, "view"):
            self._batch(role, ["order `stop`"])
        self._stop_themselves()
        self._abort()
        return self

    def _fatal(self, role: str) -> None:
        """Who gives one of these is ended for it, a moment later, and nobody else is."""
        self.scene.come_up()
        before = {one: member.pid for one, member in self.scene.members.items()}
        for name in (*_FATAL, *_POSTHUMOUS):
            self._batch(role, self._of(role, [name]))
        if role == "view":
            # It hangs up a moment before it has ended.
            wait_for(lambda: _state(before[role]) in {"", "Z"}, 5.0, "the end of the view")
            another_view(self.scene, before[role])
        self.scene.come_up()
        # A control server that ends takes the connection to it along.
        ends = {role, "control_connection"} if role == "dev_control" else {role}
        ended = [one for one, pid in before.items() if self.scene.members[one].pid != pid]
        if set(ended) - ends:
            self.harm.append(f"{role}: {', '.join(ended)} ended")

    def _of(self, role: str, names: Sequence[str]) -> list[str]:
        if role == "supervisor":
            return [name for name in names if not name.startswith(_SUPERVISORS_OWN)]
        if role == OUTSIDE:
            return [
                name
                for name in names
                if not name.startswith("order ") and " log" not in name and name not in (*_LOG, *_POSTHUMOUS)
            ]
        return list(names)

    # Many processes at once

    def _kernel(self, roles: Sequence[str], names: Sequence[str]) -> None:
        """What the kernel alone decides about, and the process is told. A refused call may wait for its answer."""
        self.scene.come_up()
        left: dict[str, list[str]] = {}

        def give(role: str) -> None:
            left[role] = self._of(role, names)
            while left[role]:
                # In between, a process does its own work: one that does none is taken for hung.
                for outcome in self.scene.ask(role, left[role][:AT_ONCE]):
                    if outcome.told == "died":
                        if outcome.order:
                            self.cells[outcome.order][role] = Cell(
                                ALLOWED, "it ended of it", outcome.main_thread
                            )
                            left[role].remove(outcome.order)
                        return
                    self.cells[outcome.order][role] = Cell(
                        self._told(outcome), outcome.detail, outcome.main_thread
                    )
                    left[role].remove(outcome.order)

        threads = [threading.Thread(target=give, args=(role,)) for role in roles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._contradictions(roles, self.scene.others_heard())
        for role, rest in left.items():
            self._batch(role, rest)

    def _told(self, outcome: Outcome) -> str:
        """A call that is there for somebody else was refused, whatever the error (`seccomp_filter`: YIELDING)."""
        hidden = outcome.told == ABSENT and outcome.detail == "ENOSYS"
        return REFUSED if hidden and self._verdict(OUTSIDE, outcome.order) == ALLOWED else outcome.told

    # One process, many orders

    def _batch(self, role: str, names: Sequence[str]) -> None:
        rest = list(names)
        while rest:
            self.scene.come_up()
            before = self._log_size()
            number = 1000.0 + 10 * (*ROLES, OUTSIDE).index(role)
            outcomes: list[Outcome] = []
            with Watch(self.scene) as watch:
                for outcome in self.scene.ask(role, rest[:AT_ONCE], mark=number):
                    outcomes.append(outcome)
                    if outcome.order in rest:
                        rest.remove(outcome.order)
                # What was said last is heard within a turn of the Supervisor's.
                self._a_turn()
            lines = list(self._lines(before))
            heard = self.scene.others_heard()
            for outcome in outcomes:
                if outcome.order:
                    cell = self._judge(role, outcome, watch, lines, number)
                    self.cells[outcome.order][role] = cell
            self._contradictions((role,), heard)
            if watch.shows(f"forged-new-by-{role.replace('_', '-')}"):
                self._again()  # no later map of the true connection's counts for this publisher
            if not outcomes or (outcomes[-1].told == "died" and not outcomes[-1].order):
                self.harm.append(f"{role}: the process went between two orders")
                if not outcomes:
                    return

    def _a_turn(self) -> None:
        """Whatever was on its way to the Supervisor is there: a request sent after it is answered."""
        until = time.monotonic() + 0.3
        while time.monotonic() < until and self.scene.daemon.running():
            self.scene.status()

    def _judge(
        self, role: str, outcome: Outcome, watch: Watch, lines: list[dict[str, Any]], number: float
    ) -> Cell:
        name = outcome.order
        if outcome.told == "died" and name not in _POSTHUMOUS:
            return Cell(ALLOWED, f"it ended of it: {outcome.detail}", outcome.main_thread)
        if outcome.told not in {ALLOWED, "died"}:
            return Cell(outcome.told, outcome.detail, outcome.main_thread)
        mark = self._mark(role, name)
        if mark is None:
            return Cell(ALLOWED, outcome.detail, outcome.main_thread)
        shown = watch.shows(mark) or self._logged(role, name, mark, lines, number)
        return Cell(
            ALLOWED if shown else REFUSED, "it shows" if shown else "nothing of it shows", outcome.main_thread
        )

    @staticmethod
    def _mark(role: str, name: str) -> str | None:
        """What this order leaves where it is obeyed; None: its word about itself is enough."""
        if name.startswith("tell the Supervisor") and " something " not in name:
            said = max((one for one in SAID if f" {one} " in f"{name} "), key=len)
            how = next(how for words, how in _HOW.items() if name.endswith(words))
            return f"forged_{_WHAT.get(said, said)}_{how}_by_{role}"
        marks = {
            "tell the Supervisor something as an earlier process of its name": f"forged_earlier_by_{role}",
            "tell the Supervisor something with the router identity of another": f"forged_identity_by_{role}",
            "show the publisher a peer that is none": f"forged-new-by-{role.replace('_', '-')}",
            "show the publisher a peer that is none, as the connection does": f"forged-own-by-{role.replace('_', '-')}",
            "a log line in another's name": f"forged_line_by_{role}",
            "a log line of the Supervisor's": f"forged_supervisor_by_{role}",
            "a reason of another's end": f"forged_detail_by_{role}",
            "a bus message on the subscribers' socket": "no such mark",
            _POSTHUMOUS[0]: f"forged-after-{role}".replace("_", "-"),
        }
        return marks.get(name)

    @staticmethod
    def _logged(role: str, name: str, mark: str, lines: list[dict[str, Any]], number: float) -> bool:
        if "a verdict" in name:
            number += tuple(_HOW.values()).index(mark.split("_by_", maxsplit=1)[0].rpartition("_")[2])
            return any(line.get("silent_for") == number for line in lines)
        marked = [line for line in lines if mark in json.dumps(line)]
        if name in _LOG:
            # As text of whoever wrote it, it is what it is.
            return any(line.get("actor") != role or line.get("event") == "stopped" for line in marked)
        return bool(marked)

    def _contradictions(self, roles: Sequence[str], heard: list[str]) -> None:
        """What these processes say was refused them, and what shows outside all the same."""
        ways = {
            "tcp": ("connect over TCP", "connect over TCP to another address of the machine's", "connect over MPTCP",
                    "send by TCP fast open", "connect over SCTP"),
            "udp": ("send over UDP",),
            "program": ("connect to another program's unix socket",),
            "datagram": ("connect to another program's datagram socket",
                         "send over a datagram socket without connecting"),
            "other-admin": ("connect to another daemon's admin socket",),
            "abstract": ("connect to another program's abstract socket",),
        }  # fmt: skip
        for where in set(heard):
            if not any(self._verdict(role, name) == ALLOWED for name in ways[where] for role in roles):
                self.harm.append(f"{roles}: {where} heard something")
        for how, process in self.scene.strangers.items():
            name = f"a signal to a stranger, by {how}"
            if process.poll() is not None and name in ORDERS:
                if not any(self._verdict(role, name) == ALLOWED for role in roles):
                    self.harm.append(f"{roles}: a stranger was ended by {how}")
                self.scene.another_stranger(how)

    def _verdict(self, role: str, name: str) -> str:
        cell = self.cells[name].get(role)
        return cell.verdict if cell is not None else ABSENT

    # Groups

    def _liveness(self) -> None:
        """All at once, for liveness shows its figures every five seconds only."""
        self.scene.come_up()
        told: dict[str, list[Outcome]] = {}
        with Watch(self.scene) as watch:
            for role in (*CHILDREN, "view", OUTSIDE):
                if role != "control_connection":
                    told[role] = list(self.scene.ask(role, _LIVENESS))
            # Its next figures, and the ones after, whatever it was told between.
            until = time.monotonic() + 6.0
            while time.monotonic() < until and self.scene.daemon.running() and watch.deadline < 5e6:
                self.scene.daemon.screen()
                time.sleep(0.05)
        for role, outcomes in told.items():
            for outcome, most in zip(outcomes, (5e4, 5e6), strict=False):
                if outcome.order:
                    seen = outcome.told == ALLOWED and watch.deadline > most
                    verdict = ALLOWED if seen else REFUSED if outcome.told == ALLOWED else outcome.told
                    self.cells[outcome.order][role] = Cell(verdict, outcome.detail, outcome.main_thread)
        if watch.deadline > 5e4:
            self._again()
        # The one that may, and is believed until its next word.
        for outcome in self.scene.ask("control_connection", _LIVENESS):
            self.cells[outcome.order]["control_connection"] = Cell(
                outcome.told, outcome.detail, outcome.main_thread
            )
        self._again()

    def _again(self) -> None:
        """A new daemon: what was done to this one may show for long."""
        self.scene.daemon.terminate()
        self.scene.come_up()
        self.scene.learn()

    def _locks(self, role: str) -> None:
        """Whether they are held is for another to see."""
        self.scene.come_up()
        for outcome in list(self.scene.ask(role, _LOCKS)):
            held = self.scene.locked()
            verdict = outcome.told if outcome.told != ALLOWED else REFUSED if held else ALLOWED
            if outcome.order:
                self.cells[outcome.order][role] = Cell(verdict, outcome.detail, outcome.main_thread)
        if not self.scene.locked():
            self._again()

    def _second(self) -> tuple[int, str]:
        self.scene.come_up()
        done = self.scene.second_daemon()
        return done.returncode, done.stderr

    def _well(self) -> str:
        """Empty, or what is wrong with the daemon, asked by its own user while it is attacked."""
        if not self.scene.daemon.running():
            return "the daemon has ended"
        watch = Stopwatch()
        if self.scene.status() is None or watch.seconds() > ANSWER_LIMIT:
            return "it does not answer"
        return ""

    def _flood(self, role: str, name: str) -> None:
        self.scene.come_up()
        before = {one: member.pid for one, member in self.scene.members.items()}
        outcomes = list(self.scene.ask(role, [name]))
        wrong = self._well()
        if not wrong and outcomes[-1].told == ALLOWED:
            wrong = self._newcomer()
        list(self.scene.ask(role, ["(let them go)"]))
        if not wrong:
            ended = [one for one, pid in before.items() if not Path(f"/proc/{pid}").exists()]
            wrong = f"{', '.join(ended)} ended" if ended else ""
        outcome = outcomes[-1]
        done = bool(wrong) or outcome.told == "died"
        verdict = ALLOWED if done else REFUSED if outcome.told == ALLOWED else outcome.told
        self.cells[name][role] = Cell(verdict, wrong or outcome.detail, outcome.main_thread)

    def _newcomer(self) -> str:
        """A subscriber of another process comes meanwhile."""
        try:
            with Subscriber(self.scene.daemon.runtime_dir) as subscriber:
                subscriber.wait_for(lambda view: view.state == "fresh", 5.0)
                return "" if subscriber.store.state == "fresh" else "a new subscriber is not served"
        except Exception as error:
            return f"a new subscriber is not served: {error}"

    def _heavy(self, role: str, name: str) -> None:
        self.scene.come_up()
        size = self._log_size()
        outcomes = list(self.scene.ask(role, [name]))
        self._a_turn()
        wrong = self._well()
        lines = sum(f"forged_flood_by_{role}" in json.dumps(line) for line in self._lines(size))
        if lines > LOG_BURST:
            wrong = wrong or f"{lines} lines"
        if self._log_size() - size > 500_000:
            wrong = wrong or f"{self._log_size() - size} bytes of log"
        outcome = outcomes[-1]
        verdict = ALLOWED if wrong else REFUSED if outcome.told == ALLOWED else outcome.told
        self.cells[name][role] = Cell(verdict, wrong or outcome.detail, outcome.main_thread)

    # Ends

    def _stop_themselves(self) -> None:
        """Nobody can be kept from it: each is found as hung, killed and replaced."""
        self.scene.come_up()
        before = {role: self.scene.members[role].pid for role in CHILDREN}
        threads = []
        for role in CHILDREN:
            work = threading.Thread(target=lambda role=role: list(self.scene.ask(role, ["stop itself"])))
            work.start()
            threads.append(work)
        try:
            wait_for(
                lambda: all(_state(pid) == "T" or not Path(f"/proc/{pid}").exists() for pid in before.values()),
                5.0, "all stopped",
            )  # fmt: skip
        except TimeoutError as error:
            self.harm.append(str(error))
        self.scene.settle_replaced(before)
        for work in threads:
            work.join()
        for role in CHILDREN:
            self.hung[role] = (before[role], self.scene.members[role].pid)
            self.cells["stop itself"][role] = Cell(ALLOWED, "it was found as hung")

    def _abort(self) -> None:
        core_pattern = Path("/proc/sys/kernel/core_pattern").read_text()
        for role in (*CHILDREN, "view", "supervisor"):
            if role in CHILDREN:
                self.scene.come_up()
            outcome = list(self.scene.ask(role, [_ENDS[0]]))[-1]
            self.cells[_ENDS[0]][role] = Cell(
                ALLOWED if outcome.told == "died" else outcome.told, outcome.detail
            )
        self.scene.daemon.wait()
        if not core_pattern.startswith(("|", "/")):
            self.cores = [str(path) for path in self.scene.place.rglob("core*")]

    # The log

    def _log_size(self) -> int:
        path = self.scene.daemon.log_path
        return path.stat().st_size if path.exists() else 0

    def _lines(self, start: int) -> Iterator[dict[str, Any]]:
        data = self.scene.daemon.log_path.read_bytes()[start:]
        for line in data.split(b"\n"):
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
