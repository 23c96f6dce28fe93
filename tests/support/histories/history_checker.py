"""Invariants of every recorded history (`history`), whatever was done to the daemon.

A pure function of the file: `check(path)`, or `violations(lines)` for lines that are at hand. `python -m
tests.support.histories.history_checker FILE…` looks at files again.
"""

from __future__ import annotations

import bisect
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.histories.recordings import Judge
from tests.support.netmaps.netmap_digest import PeersNumber, digest, peer_sent, rest_of
from tests.support.netmaps.netmap_fold import Fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Line = dict[str, Any]

CONNECTION = "control_connection"
VERDICT_WINDOW = 2.0
"""Seconds of running time after the limit within which a verdict of silence falls."""
ROUNDING = 0.02
"""Seconds by which two clocks of a history may differ: log lines are stamped when they are written."""
MAX_STARTS, STARTS_PERIOD = 10, 60.0
START_WINDOW = 3.0
"""Seconds after the announced moment within which the next connection is started."""
UNARMED = 10.0
"""Seconds the daemon may be seen without anything that makes it do something next."""
LISTENER_GAP = 3.0
"""Seconds an epoch must have lived for its heartbeats to have been heard."""
_WAITS_FOR_A_PERSON = frozenset({"login_needed", "awaiting_approval", "stopped"})


class History:
    """The lines of one recording, sorted into what they are about."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        by_kind: dict[str, list[Line]] = {}
        for line in self.lines:
            by_kind.setdefault(line["what"], []).append(line)
        self.begin = by_kind["begin"][0]
        self.silence: float = self.begin["silence"]
        self.direct: bool = self.begin["direct"]
        self.log = by_kind.get("log", [])
        self.sent = by_kind.get("sent", [])
        self.processes = by_kind.get("processes", [])
        self.statuses = by_kind.get("status", [])
        self.published = by_kind.get("published", [])
        self.operator = [line["at"] for line in by_kind.get("operator", [])]
        self.end: float = by_kind["end"][0]["at"] if "end" in by_kind else self.lines[-1]["at"]
        self.subscribers: dict[str, list[Line]] = {}
        for line in by_kind.get("subscriber", []):
            self.subscribers.setdefault(line["name"], []).append(line["record"])
        self._away = list(self._not_running())

    def events(self, name: str, **fields: object) -> list[Line]:
        """Log lines of this event with these fields."""
        return [
            line
            for line in self.log
            if line["event"] == name and all(line.get(key) == value for key, value in fields.items())
        ]

    def shown(self, name: str) -> list[Line]:
        """Each step of one subscriber's view, with its moment."""
        return [
            record["shown"] | {"at": record["at"]} for record in self.subscribers[name] if "shown" in record
        ]

    def lost(self, begin: float, end: float) -> float:
        """Seconds between these moments in which the daemon did not run."""
        return sum(max(0.0, min(end, stop) - max(begin, start)) for start, stop in self._away)

    def _not_running(self) -> Iterator[tuple[float, float]]:
        since: float | None = None
        for line in self.lines:
            at = line["at"]
            if line["what"] == "stopped":
                since = at
            elif line["what"] == "resumed" and since is not None:
                yield since, at
                since = None
            elif line["what"] == "log" and line["event"] == "wake_detected":
                yield at - line["slept_s"], at
            elif line["what"] == "log" and line["event"] == "supervisor_late":
                yield at - line["late_s"], at
        if since is not None:
            yield since, self.end


class SentNetmaps:
    """Every netmap the server sent, in order; number 0 is the empty one before the first.

    The same netmap may be true more than once: `number` gives its first place from `floor` on.
    """

    def __init__(self, sent: Iterable[Line]) -> None:
        self._places: dict[str, list[int]] = {}
        self._present: list[frozenset[str]] = []
        self._at: list[float] = []
        self.floor = 0
        self._add(float("-inf"), frozenset(), digest(0, rest_of("", None, [])))
        streams: dict[int, Fold | None] = {}
        for line in sent:
            self._follow(line, streams)

    def number(self, shown: str, by: float = float("inf")) -> int | None:
        """Where this netmap was true at or after `floor`, and sent by then; None: nowhere."""
        places = self._places.get(shown, [])
        at = bisect.bisect_left(places, self.floor)
        if at == len(places) or self._at[places[at]] > by:
            return None
        return places[at]

    def present(self, stable_id: str, number: int) -> bool:
        return stable_id in self._present[number]

    def _add(self, at: float, peers: frozenset[str], shown: str) -> None:
        self._places.setdefault(shown, []).append(len(self._at))
        self._present.append(peers)
        self._at.append(at)

    def _follow(self, line: Line, streams: dict[int, Fold | None]) -> None:
        try:
            message = json.loads(line["json"])
            if line["stream"] not in streams:
                # Without Node it is no first map, and nothing that follows it is a netmap.
                streams[line["stream"]] = Fold() if "Node" in message or message.get("KeepAlive") else None
            fold = streams[line["stream"]]
            if fold is None or message.get("KeepAlive"):
                return
            fold.apply(message)
            if "Node" not in fold.aspects:
                return
            peers = PeersNumber()
            for node in fold.peers.values():
                peers.put(node["StableID"], peer_sent(node))
            rest = rest_of(fold.aspects.get("Domain", ""), fold.aspects.get("DNSConfig"), _users(fold))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            # A message that cannot be decoded: the stream ends with it.
            streams[line["stream"]] = None
            return
        present = frozenset(node["StableID"] for node in fold.peers.values())
        self._add(line["at"], present, digest(peers.value, rest))


class AnyNetmaps:
    """Where what the server sent was not recorded: every netmap may have been true."""

    floor = 0

    def number(self, _shown: str, by: float = float("inf")) -> int:
        return 0

    def present(self, _stable_id: str, _number: int) -> bool:
        return False


class _Judge(Judge):
    """Looks for each netmap behind the one that was shown last."""

    def _finish_commit(self) -> None:
        super()._finish_commit()
        self._truth.floor = max(self._truth.floor, self._last)


def _users(fold: Fold) -> list[dict[str, Any]]:
    return [
        {"id": user["ID"], "login_name": user["LoginName"], "display_name": user["DisplayName"]}
        for user in fold.known_users().values()
    ]


# --- processes ------------------------------------------------------------------------------------------------


def one_connection_at_a_time(history: History) -> Iterator[str]:
    """The next control connection is started only after the one before was reaped."""
    alive: int | None = None
    generation = 0
    for line in history.log:
        if line["event"] == "run_started":
            alive, generation = None, 0
        elif line.get("actor") != CONNECTION:
            continue
        elif line["event"] == "actor_started":
            if alive is not None:
                yield f"{line['at']:.3f}: connection {line['pid']} is started while {alive} was not reaped"
            if line["generation"] <= generation:
                yield f"{line['at']:.3f}: generation {line['generation']} follows {generation}"
            alive, generation = line["pid"], line["generation"]
        elif line["event"] == "actor_exited":
            alive = None
    for line in history.processes:
        if len(line["connections"]) > 1:
            yield f"{line['at']:.3f}: the kernel shows several connections: {line['connections']}"


def no_silence_kill_is_early_or_late(history: History) -> Iterator[str]:
    """A kill for silence comes at the limit, not before, and within two seconds of running time."""
    limit = history.silence
    began = {line["generation"]: line["at"] for line in history.events("map_session_started")}
    judged: set[int] = set()
    for line in history.events("silence_detected"):
        judged.add(line["pid"])
        silent, at = line["silent_for"], line["at"]
        late = limit + VERDICT_WINDOW + history.lost(at - silent, at)
        if not limit - ROUNDING <= silent <= late:
            yield f"{at:.3f}: silence is judged after {silent:g} s, the limit is {limit:g} s"
        if not history.direct:
            continue
        # What was really sent, whatever the daemon believes.
        fed = max((sent["at"] for sent in history.sent if sent["at"] <= at), default=float("-inf"))
        if at - fed < limit - ROUNDING:
            yield f"{at:.3f}: killed for silence {at - fed:.3f} s after a MapResponse was sent"
        since = max(fed, began.get(line["generation"], fed))
        late = limit + VERDICT_WINDOW + history.lost(since, at)
        if at - since > late:
            yield f"{at:.3f}: silence is judged {at - since:.3f} s after the last MapResponse was sent"
    for line in history.events("child_killed", actor=CONNECTION, reason="silence"):
        if line["pid"] not in judged:
            yield f"{line['at']:.3f}: {line['pid']} is killed for a silence that nobody judged"


def silence_is_found(history: History) -> Iterator[str]:
    """A status never shows a session that has been silent for longer than a verdict takes."""
    for line in history.statuses:
        silent = line["status"]["liveness"]["silent_s"]
        late = history.silence + VERDICT_WINDOW
        if silent is not None and silent > late + history.lost(line["at"] - silent, line["at"]):
            yield f"{line['at']:.3f}: the session is silent for {silent:.1f} s and lives"


def kills_are_reaped(history: History) -> Iterator[str]:
    """A killed process is gone soon, or the daemon reports that it is not."""
    for line in history.events("child_killed"):
        gone = [
            end["at"] for end in history.events("actor_exited", pid=line["pid"]) if end["at"] >= line["at"]
        ]
        alarmed = any(condition["code"] == "not_reaped" for condition in history.events("degraded"))
        until = gone[0] if gone else history.end
        if until - line["at"] > 1.0 + history.lost(line["at"], until) and not alarmed:
            yield f"{line['at']:.3f}: {line['pid']} is killed and there for {until - line['at']:.1f} s more"


def starts_are_bounded(history: History) -> Iterator[str]:
    """Ten starts of a child in any minute; an operator's request begins a new count."""
    starts: dict[str, list[float]] = {}
    resets = sorted(
        history.operator + [line["at"] for line in history.events("session_ended", reason="operator")]
    )
    for line in history.log:
        if line["event"] == "run_started":
            starts.clear()
        if line["event"] != "actor_started":
            continue
        at, times = line["at"], starts.setdefault(line["actor"], [])
        if line["actor"] == CONNECTION and resets and resets[0] <= at:
            times.clear()
            resets = [moment for moment in resets if moment > at]
        times.append(at)
        recent = [moment for moment in times if moment > at - STARTS_PERIOD + ROUNDING]
        if len(recent) > MAX_STARTS:
            yield f"{at:.3f}: start {len(recent)} of {line['actor']} within {STARTS_PERIOD:g} s"


def there_is_a_next_action(history: History) -> Iterator[str]:
    """After each end the next start has a moment, and comes then; no status shows that nothing is awaited."""
    for position, line in enumerate(history.log):
        if line["event"] == "session_ended":
            yield from _is_followed(history, line, history.log[position + 1 :])
    since: float | None = None
    shown: object = None
    for line in history.statuses:
        connection = line["status"]["connection"]
        now = (connection["generation"], connection["state"])
        if _is_armed(line["status"]) or now != shown:
            since = None
        shown = now
        if _is_armed(line["status"]):
            continue
        since = line["at"] if since is None else since
        if line["at"] - since > UNARMED + history.lost(since, line["at"]):
            yield f"{line['at']:.3f}: nothing is awaited since {since:.3f} ({connection['state']})"
            return


def _is_followed(history: History, end: Line, later: list[Line]) -> Iterator[str]:
    delay = end.get("next_attempt_s")
    for line in later:
        if line["event"] in {"stopping", "run_started", "supervisor_failed"}:
            return
        if line["event"] == "actor_started" and line["actor"] == CONNECTION:
            started = line["at"]
            break
    else:
        if end["at"] > history.end:
            return
        started = history.end
    if delay is None:
        yield f"{end['at']:.3f}: a session ends and no next attempt is planned"
    elif started > end["at"] + delay + START_WINDOW + history.lost(end["at"], started):
        yield (
            f"{end['at']:.3f}: the next attempt was to come in {delay:g} s and did not in "
            f"{started - end['at']:.1f} s"
        )


def _is_armed(status: dict[str, Any]) -> bool:
    connection = status["connection"]
    if connection["state"] in _WAITS_FOR_A_PERSON or connection["next_attempt_s"] is not None:
        return True
    return status["liveness"]["deadline_in_s"] is not None


# --- the bus --------------------------------------------------------------------------------------------------


def publication_is_in_order(history: History) -> Iterator[str]:
    """In an epoch `seq` and each topic's `topic_seq` only rise; a heartbeat announces nothing that was not sent."""
    epochs: list[int] = []
    last: dict[int, int] = {}
    topics: dict[tuple[int, str], int] = {}
    for line in history.published:
        epoch, seq = line["epoch"], line["seq"]
        if epoch not in epochs:
            epochs.append(epoch)
        elif epoch != epochs[-1]:
            yield f"{line['at']:.3f}: epoch {epoch} comes again"
        if line["topic"] == "heartbeat":
            if epoch in last and seq > last[epoch]:
                yield f"{line['at']:.3f}: a heartbeat announces {seq}, sent was {last[epoch]}"
            continue
        if seq <= last.get(epoch, -1):
            yield f"{line['at']:.3f}: seq {seq} is published after {last[epoch]}"
        topic = (epoch, line["topic"])
        if line["topic_seq"] <= topics.get(topic, -1):
            yield f"{line['at']:.3f}: topic_seq {line['topic_seq']} of {line['topic']} comes after {topics[topic]}"
        last[epoch], topics[topic] = seq, line["topic_seq"]


def views_only_go_forward(history: History) -> Iterator[str]:
    """(epoch, seq) of a view rise; only the trust in a netmap may change without a new seq."""
    for name in history.subscribers:
        epochs: list[int] = []
        before: Line | None = None
        for step in history.shown(name):
            where = f"{step['at']:.3f}: {name}"
            if before is None or step["epoch"] != before["epoch"]:
                if step["epoch"] in epochs:
                    yield f"{where} goes back to epoch {step['epoch']}"
                epochs.append(step["epoch"])
            elif step["seq"] < before["seq"]:
                yield f"{where} goes back from {before['seq']} to {step['seq']}"
            elif step["seq"] == before["seq"] and step["digest"] != before["digest"]:
                yield f"{where} shows two netmaps as {step['seq']}"
            before = step


def views_were_published(history: History) -> Iterator[str]:
    """What a view shows is the state at a commit that was published."""
    commits: dict[int, set[int]] = {}
    heard: dict[int, list[int]] = {}
    first_at: dict[int, float] = {}
    for line in history.published:
        epoch = line["epoch"]
        first_at.setdefault(epoch, line["at"])
        if line["topic"] != "heartbeat":
            heard.setdefault(epoch, []).append(line["seq"])
        if line["topic"] in {"heartbeat", "commit"}:
            commits.setdefault(epoch, set()).add(line["seq"])
    for name in history.subscribers:
        steps = history.shown(name)
        for step in steps:
            epoch, seq = step["epoch"], step["seq"]
            lived = [other["at"] for other in steps if other["epoch"] == epoch]
            if seq == 0 or (epoch not in first_at and lived[-1] - lived[0] < LISTENER_GAP):
                continue
            numbers = heard.get(epoch, [])
            if not numbers or seq < numbers[0] or len(numbers) != numbers[-1] - numbers[0] + 1:
                # It was published before the listener subscribed, or the listener lost a part.
                continue
            if seq not in commits.get(epoch, set()):
                yield f"{step['at']:.3f}: {name} shows {seq} of epoch {epoch}: no such commit was published"


def views_were_sent(history: History) -> Iterator[str]:
    """The netmaps of a view are a subsequence of those the server sent, each shown after it was sent."""
    if not history.sent:
        return
    for name in history.subscribers:
        truth = SentNetmaps(history.sent)
        for step in history.shown(name):
            number = truth.number(step["digest"], step["at"])
            if number is None:
                yield (
                    f"{step['at']:.3f}: {name} shows at {step['seq']} a netmap that was not sent, or before a later one"
                )
                break
            truth.floor = number


def views_follow_from_events(history: History) -> Iterator[str]:
    """Snapshot and changes, folded, give what the view shows at each step; each change is a change."""
    for name, records in history.subscribers.items():
        truth: Any = SentNetmaps(history.sent) if history.sent else AnyNetmaps()
        whole = records
        if not any("ended" in record for record in records):
            # It was killed: its last step may be cut short.
            cut = max((at for at, record in enumerate(records) if "shown" in record), default=0)
            whole = records[:cut]
        try:
            _Judge(name, truth).judge(whole)
        except (AssertionError, KeyError) as error:
            notes = " ".join(getattr(error, "__notes__", ()))
            yield f"{name}: {error} {notes}"
        for record in records:
            if "ended" in record and record["ended"]["malformed"]:
                yield f"{name} got {record['ended']['malformed']} messages that do not parse"


INVARIANTS: tuple[Callable[[History], Iterator[str]], ...] = (
    one_connection_at_a_time,
    no_silence_kill_is_early_or_late,
    silence_is_found,
    kills_are_reaped,
    starts_are_bounded,
    there_is_a_next_action,
    publication_is_in_order,
    views_only_go_forward,
    views_were_published,
    views_were_sent,
    views_follow_from_events,
)


def violations(lines: Iterable[Line]) -> dict[str, list[str]]:
    """What is wrong with a history, by the name of the invariant; empty when nothing is."""
    history = History(lines)
    found = {invariant.__name__: list(invariant(history)) for invariant in INVARIANTS}
    return {name: texts for name, texts in found.items() if texts}


def check(path: Path) -> None:
    """Raises AssertionError, which names every invariant that is broken and where the history lies."""
    broken = violations(map(json.loads, path.read_text().splitlines()))
    text = "\n".join(f"  {name}: {text[:600]}" for name, texts in broken.items() for text in texts[:5])
    assert not broken, f"the history {path} must not be:\n{text}"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        check(Path(argument))
