"""The checker of recorded histories: a good one passes, and each invariant has histories that it refuses."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.histories.history_checker import INVARIANTS, check, violations
from tests.support.netmaps.netmap_digest import PeersNumber, digest, peer_sent, rest_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Lines = list[dict[str, Any]]

SILENCE = 10.0
DNS = {"Domains": ["example.com"]}
SELF = {"ID": 1, "StableID": "n1", "Name": "self.example.com.", "User": 1, "Key": "nodekey:1"}


def peer(number: int, **fields: Any) -> dict[str, Any]:
    name = f"n{number}"
    return {
        "ID": number,
        "StableID": name,
        "Name": f"{name}.example.com.",
        "User": 1,
        "Key": f"k{number}",
    } | fields


def netmap_digest(*peers: dict[str, Any]) -> str:
    number = PeersNumber()
    for one in peers:
        number.put(one["StableID"], peer_sent(one))
    return digest(number.value, rest_of("example.com", DNS, []))


def line(at: float, what: str, **fields: Any) -> dict[str, Any]:
    return {"at": at, "what": what, **fields}


def log(at: float, event: str, **fields: Any) -> dict[str, Any]:
    return line(at, "log", event=event, **fields)


def sent(at: float, stream: int, **message: Any) -> dict[str, Any]:
    return line(at, "sent", stream=stream, node=1, json=json.dumps(message))


def full(at: float, stream: int, *peers: dict[str, Any]) -> dict[str, Any]:
    return sent(at, stream, Node=SELF, Peers=list(peers), Domain="example.com", DNSConfig=DNS)


def published(at: float, seq: int, topic: str, topic_seq: int, epoch: int = 7) -> dict[str, Any]:
    return line(at, "published", epoch=epoch, seq=seq, topic=topic, topic_seq=topic_seq)


def shown(
    at: float, seq: int, *peers: dict[str, Any], state: str = "fresh", epoch: int = 7
) -> dict[str, Any]:
    step = {"epoch": epoch, "seq": seq, "state": state, "digest": netmap_digest(*peers)}
    return line(at, "subscriber", name="one", record={"at": at, "shown": step})


def event(at: float, kind: str, seq: int, **fields: Any) -> dict[str, Any]:
    told = {"type": kind, "epoch": 7, "seq": seq, "state": fields.pop("state", "fresh"), **fields}
    return line(at, "subscriber", name="one", record={"at": at, "event": told})


def snapshot(at: float, seq: int, *peers: dict[str, Any]) -> dict[str, Any]:
    netmap = {
        "peers": [peer_sent(one) for one in peers],
        "domain": "example.com",
        "dns": DNS,
        "user_profiles": [],
    }
    return event(at, "snapshot", seq, netmap=netmap)


def status(at: float, generation: int, **fields: Any) -> dict[str, Any]:
    connection = {
        "generation": generation,
        "state": fields.get("state", "map_session"),
        "next_attempt_s": fields.get("next_attempt_s"),
    }
    liveness = {"silent_s": fields.get("silent_s", 0.5), "deadline_in_s": fields.get("deadline_in_s", 9.5)}
    return line(at, "status", status={"connection": connection, "liveness": liveness})


def connection(at: float, event: str, generation: int, **fields: Any) -> dict[str, Any]:
    return log(at, event, actor="control_connection", pid=100 + generation, generation=generation, **fields)


A, B, C = peer(2), peer(3), peer(3, Online=True)


def good() -> Lines:
    """A session, a silence, the next session; one subscriber saw all of it."""
    return [
        line(0.0, "begin", silence=SILENCE, direct=True),
        log(0.1, "run_started"),
        connection(1.0, "actor_started", 1),
        line(1.0, "processes", connections=[101]),
        connection(1.5, "map_session_started", 1, session=1),
        full(1.6, 1, A, B),
        published(1.7, 5, "peer_upserted", 1),
        published(1.7, 6, "commit", 1),
        published(2.0, 6, "heartbeat", 0),
        shown(2.1, 6, A, B),
        snapshot(2.1, 6, A, B),
        status(2.5, 1),
        sent(3.0, 1, KeepAlive=True),
        sent(4.0, 1, OnlineChange={"3": True}),
        published(4.1, 7, "peer_upserted", 2),
        published(4.1, 8, "commit", 2),
        shown(4.2, 8, A, C),
        event(4.2, "peer_upserted", 8, peer=peer_sent(C), changed=["online"], previous={"online": None}),
        connection(14.05, "silence_detected", 1, silent_for=10.02, session=1),
        connection(14.05, "child_killed", 1, reason="silence"),
        connection(14.10, "actor_exited", 1, reason="silence"),
        line(14.1, "processes", connections=[]),
        connection(14.10, "session_ended", 1, reason="silence", session=1, next_attempt_s=0.2),
        published(14.15, 9, "state_changed", 1),
        published(14.15, 10, "commit", 3),
        shown(14.2, 10, A, C, state="stale"),
        event(14.2, "state_changed", 10, state="stale", previous={"state": "fresh"}),
        status(14.2, 1, state="backing_off", next_attempt_s=0.1, silent_s=None, deadline_in_s=None),
        connection(14.3, "actor_started", 2),
        line(14.3, "processes", connections=[102]),
        connection(14.8, "map_session_started", 2, session=1),
        full(14.9, 2, A),
        published(15.0, 11, "peer_removed", 1),
        published(15.0, 12, "state_changed", 2),
        published(15.0, 13, "commit", 4),
        shown(15.1, 13, A),
        event(15.1, "peer_removed", 13, state="fresh", stable_id="n3"),
        event(15.1, "state_changed", 13, state="fresh", previous={"state": "stale"}),
        status(16.0, 2),
        line(20.0, "end"),
    ]


def broken_by(change: Callable[[Lines], object]) -> dict[str, list[str]]:
    lines = copy.deepcopy(good())
    change(lines)
    return violations(sorted(lines, key=lambda one: one["at"]))


def find(lines: Lines, **fields: Any) -> dict[str, Any]:
    """The first line with these fields; `record` and `status` are looked into by the caller."""
    return next(one for one in lines if all(one.get(key) == value for key, value in fields.items()))


def without(**fields: Any) -> Callable[[Lines], object]:
    return lambda lines: lines.remove(find(lines, **fields))


def adding(*more: dict[str, Any]) -> Callable[[Lines], object]:
    return lambda lines: lines.extend(more)


def setting(change: dict[str, Any], **fields: Any) -> Callable[[Lines], object]:
    return lambda lines: find(lines, **fields).update(change)


def showing(at: float, **change: Any) -> Callable[[Lines], object]:
    """Another step of the view at this moment."""
    return lambda lines: find(lines, at=at, what="subscriber")["record"]["shown"].update(change)


def many_starts(lines: Lines) -> None:
    for number in range(3, 13):
        at = 20.0 + number
        lines.append(connection(at, "actor_started", number))
        lines.append(connection(at + 0.5, "actor_exited", number, reason="crashed"))
        lines.append(connection(at + 0.5, "session_ended", number, reason="crashed", next_attempt_s=0.5))
    lines.append(connection(15.5, "actor_exited", 2, reason="crashed"))
    find(lines, what="end")["at"] = 33.0


def untold_change(lines: Lines) -> None:
    lines.remove(
        next(one for one in lines if one.get("record", {}).get("event", {}).get("type") == "peer_upserted")
    )


def fed_until_early(lines: Lines) -> None:
    lines.remove(find(lines, at=3.0))
    find(lines, at=4.0)["at"] = 1.9


BAD: list[tuple[str, str, Callable[[Lines], object]]] = [
    ("one_connection_at_a_time", "not reaped", without(event="actor_exited", generation=1)),
    (
        "one_connection_at_a_time",
        "generation 1 follows 1",
        setting({"generation": 1}, event="actor_started", pid=102),
    ),
    ("one_connection_at_a_time", "several", adding(line(14.25, "processes", connections=[101, 102]))),
    (
        "no_silence_kill_is_early_or_late",
        "is judged after 9.9",
        setting({"silent_for": 9.9}, event="silence_detected"),
    ),
    (
        "no_silence_kill_is_early_or_late",
        "is judged after 12.5",
        setting({"silent_for": 12.5}, event="silence_detected"),
    ),
    ("no_silence_kill_is_early_or_late", "a MapResponse was sent", adding(sent(9.0, 1, KeepAlive=True))),
    ("no_silence_kill_is_early_or_late", "after the last MapResponse", fed_until_early),
    ("no_silence_kill_is_early_or_late", "nobody judged", without(event="silence_detected")),
    ("silence_is_found", "and lives", adding(status(13.9, 1, silent_s=12.5))),
    ("kills_are_reaped", "s more", setting({"at": 15.6}, event="actor_exited")),
    ("starts_are_bounded", "start 11 of control_connection", many_starts),
    (
        "there_is_a_next_action",
        "no next attempt is planned",
        setting({"next_attempt_s": None}, event="session_ended"),
    ),
    ("there_is_a_next_action", "did not in", setting({"at": 18.0}, event="actor_started", pid=102)),
    ("there_is_a_next_action", "did not in", without(event="actor_started", pid=102)),
    (
        "there_is_a_next_action",
        "nothing is awaited",
        adding(*(status(at, 2, deadline_in_s=None) for at in (16.1, 20.0, 26.5))),
    ),
    ("publication_is_in_order", "is published after", adding(published(16.0, 13, "commit", 5))),
    ("publication_is_in_order", "topic_seq 4 of commit", adding(published(16.0, 14, "commit", 4))),
    ("publication_is_in_order", "announces 14", adding(published(16.0, 14, "heartbeat", 0))),
    (
        "publication_is_in_order",
        "comes again",
        adding(published(16.0, 1, "commit", 1, epoch=8), published(17.0, 14, "commit", 5)),
    ),
    ("views_only_go_forward", "back from 10 to 6", showing(15.1, seq=6)),
    ("views_only_go_forward", "two netmaps as 10", showing(15.1, seq=10)),
    ("views_only_go_forward", "back to epoch", adding(shown(16.0, 1, A, epoch=8), shown(17.0, 14, A))),
    ("views_were_published", "no such commit", showing(4.2, seq=7)),
    ("views_were_sent", "was not sent", without(at=4.0)),
    ("views_were_sent", "was not sent", setting({"at": 4.3}, at=4.0)),
    ("views_were_sent", "before a later one", adding(shown(16.0, 14, A, B))),
    ("views_follow_from_events", "not what the events give", untold_change),
    ("views_follow_from_events", "never true", showing(4.2, digest=netmap_digest(A, peer(3, Online=False)))),
    (
        "views_follow_from_events",
        "do not parse",
        adding(
            line(
                19.0, "subscriber", name="one", record={"ended": {"malformed": 2, "digest": netmap_digest(A)}}
            )
        ),
    ),
]


def test_a_good_history_breaks_nothing() -> None:
    assert broken_by(lambda lines: None) == {}


@pytest.mark.parametrize(
    ("invariant", "said", "change"), BAD, ids=[f"{name}-{said}" for name, said, _ in BAD]
)
def test_a_bad_history_is_refused(invariant: str, said: str, change: Callable[[Lines], object]) -> None:
    broken = broken_by(change)
    assert any(said in text for text in broken.get(invariant, [])), broken


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    assert {name for name, _, _ in BAD} == {invariant.__name__ for invariant in INVARIANTS}


def test_an_operator_begins_a_new_count_of_starts() -> None:
    def asked(lines: Lines) -> None:
        many_starts(lines)
        lines.append(line(25.2, "operator"))

    assert "starts_are_bounded" not in broken_by(asked)


def test_time_in_which_the_daemon_did_not_run_is_not_held_against_it() -> None:
    def stopped(lines: Lines) -> None:
        find(lines, event="silence_detected")["silent_for"] = 13.5
        lines += [line(5.0, "stopped"), line(7.0, "resumed")]

    assert "no_silence_kill_is_early_or_late" not in broken_by(stopped)


def test_where_messages_may_get_lost_the_moment_they_were_sent_proves_nothing() -> None:
    def lossy(lines: Lines) -> None:
        lines[0]["direct"] = False
        lines.append(sent(9.0, 1, KeepAlive=True))

    assert broken_by(lossy) == {}


@pytest.mark.parametrize("text", ['{"PeersRemoved":7}', "{", "[" * 100_000, '{"Peers":[{}]}'])
def test_a_message_nobody_can_take_gives_no_netmap_and_ends_its_stream(text: str) -> None:
    def broken(lines: Lines) -> None:
        lines.append(line(2.2, "sent", stream=1, node=1, json=text))

    assert "views_were_sent" in broken_by(broken), "what follows on that stream is no netmap"


def test_the_file_is_named_where_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    lines = good()
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    check(path)
    lines.remove(find(lines, event="actor_exited"))
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    with pytest.raises(AssertionError, match=f"{path}.*\n.*one_connection_at_a_time"):
        check(path)
