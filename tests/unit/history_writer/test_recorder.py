"""What a netmap and the processes leave in the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.history.occurrences import Happening, KnownNode, LaneOf, Numbered, Recorded
from netmap_actors.history_writer.clock_steps import ClockStep
from netmap_actors.history_writer.recorder import Recorder, known
from netmap_actors.rfc3339 import stamp
from netmap_actors.subscriber import PeerRemoved, StateChanged
from tests.support.netmaps.shown_netmap import peer, snapshot, upserted

if TYPE_CHECKING:
    from netmap_actors.subscriber import Event

NOW = 1_767_323_045.0


class Story:
    """A recorder and the nodes that its store would hold."""

    def __init__(self, seen_until: float | None = None) -> None:
        self.recorder = Recorder(seen_until)
        self.nodes: dict[str, KnownNode] = {}

    def tell(self, event: Event, at: float = NOW) -> Recorded:
        recorded, now = self.recorder.netmap(event, at, self.nodes.get, lambda: self.nodes)
        for node in now:
            if isinstance(node, str):
                del self.nodes[node]
            else:
                self.nodes[node.stable_id] = node
        return recorded


def state(state: str, *, reason: str = "silence", age: float = 0.0) -> StateChanged:
    return StateChanged(epoch=1, seq=3, state=state, age_s=age, previous="", reason=reason)


def kinds(recorded: Recorded) -> list[str]:
    return [str(one.kind) for one in recorded.occurrences]


def test_the_nodes_of_the_first_netmap_have_not_joined_just_now() -> None:
    story = Story()
    recorded = story.tell(
        snapshot(peer(online=True), peer(stable_id="n2", online=False), own=peer(stable_id="me"))
    )
    assert kinds(recorded) == ["netmap_fresh"]
    lanes = {one.subject: one.state for one in recorded.entered if one.lane is LaneOf.NODE}
    assert lanes == {"n1": "online", "n2": "offline", "me": "unknown"}


def test_the_nodes_of_another_control_server_have_not_joined_and_those_before_not_left() -> None:
    story = Story(NOW - 60.0)
    story.recorder = Recorder(NOW - 60.0, moved=("one-1", "other-2"))
    (gap,) = story.recorder.begin(NOW - 1.0).occurrences
    assert (gap.kind, gap.after, gap.detail) == (
        Happening.GAP,
        NOW - 60.0,
        {"server": {"from": "one-1", "to": "other-2"}},
    )
    assert kinds(story.tell(snapshot(peer(online=True)))) == ["netmap_fresh"]
    assert kinds(story.tell(snapshot(peer(online=True), peer(stable_id="n2")), NOW + 1)) == ["node_joined"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"online": True}, {"online": False}, {"node_offline": {"was": "online"}}),
        ({"online": False}, {"online": True}, {"node_online": {"was": "offline"}}),
        ({}, {"online": True}, {"node_online": {"was": "unknown"}}),
        ({"online": True}, {}, {}),
        (
            {},
            {"name": "db.example.ts.net"},
            {"node_renamed": {"name": ("web-1.example.ts.net", "db.example.ts.net")}},
        ),
        ({}, {"tags": ["tag:web"]}, {"node_tagged": {"tags": ((), ("tag:web",))}}),
        ({}, {"routes": ["10.0.0.0/8"]}, {"node_routed": {"routes": ((), ("10.0.0.0/8",))}}),
        (
            {"home_derp": 1},
            {"home_derp": 2, "addresses": ["100.64.0.9/32"]},
            {"node_moved": {"addresses": (("fd7a::1", "100.64.0.1"), ("100.64.0.9",)), "home_derp": (1, 2)}},
        ),
        ({}, {"key": "nodekey:2"}, {"node_key_changed": {"key": ("", "nodekey:2")}}),
        ({}, {"expired": True}, {"node_key_expired": {}}),
        ({"expired": True}, {}, {}),
        ({}, {"endpoints": ["192.0.2.1:1"], "last_seen": "2026-01-02T03:04:05Z"}, {}),
    ],
)
def test_what_a_change_of_a_node_is_called(
    old: dict[str, Any], new: dict[str, Any], expected: dict[str, dict[str, Any]]
) -> None:
    story = Story()
    story.tell(snapshot(peer(**old)))
    recorded = story.tell(upserted(peer(**(old | new if old != {"online": True} or new else {}))), NOW + 1)
    found = {
        str(one.kind): {
            field: (value["from"], value["to"]) if isinstance(value, dict) else value
            for field, value in one.detail.items()
        }
        for one in recorded.occurrences
    }
    if old == {"expired": True} and not new:
        found.pop("node_key_expired", None)
    assert found == expected
    assert all(one.after is None and one.at == NOW + 1 for one in recorded.occurrences), "seen as it happened"


def test_what_changed_while_nothing_was_seen_says_since_when() -> None:
    story = Story()
    story.tell(snapshot(peer(online=True), peer(stable_id="n2", name="b.example.ts.net")))
    stale = story.tell(state("stale", age=120.0), NOW + 500)
    assert kinds(stale) == ["netmap_stale"]
    # Another session brings the netmap of now, then says that it is fresh.
    changed = story.tell(upserted(peer(online=False), state="stale"), NOW + 900)
    gone = story.tell(
        PeerRemoved(
            epoch=1, seq=4, state="stale", age_s=0.0, peer=peer(stable_id="n2", name="b.example.ts.net")
        ),
        NOW + 900,
    )
    assert [(one.kind, one.after) for one in (*changed.occurrences, *gone.occurrences)] == [
        (Happening.NODE_OFFLINE, NOW + 380),
        (Happening.NODE_LEFT, NOW + 380),
    ]
    story.tell(state("fresh", reason="session_started"), NOW + 900)
    seen = story.tell(upserted(peer(online=True)), NOW + 910)
    assert [(one.kind, one.after) for one in seen.occurrences] == [(Happening.NODE_ONLINE, None)]


def test_a_history_that_goes_on_tells_what_it_missed() -> None:
    story = Story(seen_until=NOW - 3600)
    story.nodes = {
        "n1": known(peer(online=True)),
        "n2": known(peer(stable_id="n2", name="b.example.ts.net", online=True)),
    }
    begun = story.recorder.begin(NOW, generation=1)
    assert [(one.kind, one.after) for one in begun.occurrences] == [(Happening.GAP, NOW - 3600)]
    recorded = story.tell(
        snapshot(peer(online=True), peer(stable_id="n3", name="c.example.ts.net", online=True))
    )
    assert [(one.kind, one.subject, one.after) for one in recorded.occurrences] == [
        (Happening.NODE_JOINED, "n3", NOW - 3600),
        (Happening.NODE_LEFT, "n2", NOW - 3600),
        (Happening.NETMAP_FRESH, "", None),
    ]
    lanes = {(one.subject, one.state) for one in recorded.entered if one.lane is LaneOf.NODE}
    assert lanes == {("n1", "online"), ("n3", "online"), ("n2", None)}, "each lane begins again after the gap"


def test_the_same_again_leaves_nothing() -> None:
    story = Story()
    story.tell(snapshot(peer(online=True)))
    assert story.tell(upserted(peer(online=True, last_seen="2026-01-02T03:04:05Z"))) == Recorded()
    assert story.tell(state("fresh")) == Recorded()


def test_a_connection_leaves_its_processes_its_sessions_and_why_they_ended() -> None:
    recorder = Recorder(None)
    told = [
        ("actor_started", {"actor": "control_connection", "pid": 7, "generation": 1}),
        ("actor_ready", {"actor": "control_connection", "pid": 7, "took_s": 0.1}),
        ("map_session_started", {"actor": "control_connection", "pid": 7, "session": 1}),
        ("silence_detected", {"actor": "control_connection", "silent_for": 120.0}),
        ("actor_exited", {"actor": "control_connection", "pid": 7, "reason": "signal 9"}),
        ("session_ended", {"actor": "control_connection", "pid": 7, "reason": "silence", "stage": "map"}),
        ("degraded", {"actor": "publisher", "code": "few_files", "text": "why"}),
    ]
    recorded = [recorder.happened(event, fields, NOW + at) for at, (event, fields) in enumerate(told)]
    assert [(one.kind, one.subject) for record in recorded for one in record.occurrences] == [
        (Happening.ACTOR_STARTED, "control_connection"),
        (Happening.SESSION_STARTED, ""),
        (Happening.SILENCE, ""),
        (Happening.ACTOR_EXITED, "control_connection"),
        (Happening.SESSION_ENDED, ""),
        (Happening.DEGRADED, "few_files"),
    ]
    lanes = [(one.lane, one.subject, one.state) for record in recorded for one in record.entered]
    assert lanes == [
        (LaneOf.ACTOR, "control_connection", "active"),
        (LaneOf.CONNECTION, "", "attempt"),
        (LaneOf.CONNECTION, "", "session"),
        (LaneOf.ACTOR, "control_connection", None),
        (LaneOf.CONNECTION, "", None),
    ]
    assert recorded[4].occurrences[0].detail == {"pid": 7, "reason": "signal 9"}


DAY = 86400.0


def expiry(at: float) -> dict[str, Any]:
    return {"key_expiry": stamp(at, "seconds")}


def warnings(story: Story, at: float) -> list[tuple[str, float | None]]:
    """Who is warned of at that moment, and of what time before the expiry."""
    due = [node for node in story.nodes.values() if node.due is not None and node.due <= at]
    recorded, now = story.recorder.expiring(lambda _: due, at)
    story.nodes.update((node.stable_id, node) for node in now if isinstance(node, KnownNode))
    assert {str(one.kind) for one in recorded.occurrences} <= {"node_key_expiring"}
    return [(one.subject, one.detail["within_s"]) for one in recorded.occurrences]


def test_an_expiry_is_told_a_week_and_a_day_before_once_each() -> None:
    story = Story()
    story.tell(snapshot(peer(**expiry(NOW + 30 * DAY)), own=peer(stable_id="me", **expiry(NOW + 2 * DAY))))
    assert [node.due for node in story.nodes.values()] == [NOW + 23 * DAY, NOW - 5 * DAY]
    assert warnings(story, NOW) == [("me", 7 * DAY)], "our own node, too"
    assert warnings(story, NOW) == []
    assert warnings(story, NOW + DAY) == [("me", DAY)]
    assert warnings(story, NOW + 23 * DAY - 1) == []
    assert warnings(story, NOW + 23 * DAY) == [("n1", 7 * DAY)]
    assert warnings(story, NOW + 29 * DAY + 5) == [("n1", DAY)]
    assert warnings(story, NOW + 29 * DAY + 9) == []
    assert [node.due for node in story.nodes.values()] == [None, None]


def test_of_a_node_that_is_first_seen_late_only_what_is_nearest_is_told() -> None:
    story = Story()
    story.tell(snapshot(peer(**expiry(NOW + 3600))))
    assert warnings(story, NOW) == [("n1", DAY)]
    assert warnings(story, NOW + 1) == []


def test_another_process_does_not_tell_it_again() -> None:
    story = Story()
    story.tell(snapshot(peer(**expiry(NOW + DAY / 2))))
    assert warnings(story, NOW) == [("n1", DAY)]
    story.recorder = Recorder(NOW)
    story.tell(snapshot(peer(**expiry(NOW + DAY / 2))), NOW + 9)
    assert warnings(story, NOW + 9) == []
    story.tell(upserted(peer(online=True, **expiry(NOW + DAY / 2))), NOW + 10)
    assert warnings(story, NOW + 10) == []


@pytest.mark.parametrize(
    ("moved_to", "expected"),
    [
        (NOW + 60 * DAY, []),
        (NOW + 5 * DAY, [("n1", 7 * DAY)]),
        (NOW + 3 * DAY, []),
        (NOW + DAY / 2, [("n1", DAY)]),
    ],
)
def test_an_expiry_that_moves_forward_is_due_again(moved_to: float, expected: list[Any]) -> None:
    story = Story()
    story.tell(snapshot(peer(**expiry(NOW + 4 * DAY))))
    assert warnings(story, NOW) == [("n1", 7 * DAY)]
    story.tell(upserted(peer(**expiry(moved_to))), NOW + 1)
    assert warnings(story, NOW + 1) == expected


def test_no_expiry_is_told_of_what_has_expired_or_is_not_seen() -> None:
    story = Story()
    story.tell(snapshot(peer(**expiry(NOW - 5)), peer(stable_id="n2", expired=True, **expiry(NOW + DAY / 2))))
    assert warnings(story, NOW) == []
    assert [node.due for node in story.nodes.values()] == [None, None]
    story.tell(upserted(peer(stable_id="n3", **expiry(NOW + DAY / 2))))
    story.tell(state("stale"), NOW + 1)
    assert warnings(story, NOW + 2) == [], "it may have been renewed"
    story.tell(state("fresh"), NOW + 3)
    assert warnings(story, NOW + 4) == [("n3", DAY)]


def test_numbers_that_are_left_out_are_a_gap() -> None:
    recorder = Recorder(NOW - 60, 7)
    recorder.begin(NOW)

    def tell(number: int, at: float) -> Recorded:
        return recorder.happened("degraded", {"code": "x"}, at, Numbered("run", number))

    late = tell(8, NOW - 5)
    assert (kinds(late), late.told) == (["degraded"], Numbered("run", 8))
    while_nothing_was_written = tell(10, NOW - 3)
    assert [(one.kind, one.at, one.after, one.detail) for one in while_nothing_was_written.occurrences] == [
        (Happening.GAP, NOW - 3, NOW - 5, {"missed": 1}),
        (Happening.DEGRADED, NOW - 3, None, {}),
    ]
    assert while_nothing_was_written.entered == ()
    assert kinds(tell(11, NOW + 1)) == ["degraded"]
    while_it_hung = tell(20, NOW + 9)
    assert next((one.kind, one.after) for one in while_it_hung.occurrences) == (Happening.GAP, NOW + 1)
    assert [(one.lane, one.state, one.at) for one in while_it_hung.entered] == [
        (LaneOf.RUN, None, NOW + 1),
        (LaneOf.RUN, "running", NOW + 9),
    ]


def test_a_clock_that_is_set_back_makes_no_gap_that_ends_before_it_begins() -> None:
    recorder = Recorder(NOW, 7)
    recorder.begin(NOW - 7200)
    recorder.happened("degraded", {}, NOW, Numbered("run", 8))
    lost = recorder.happened("degraded", {}, NOW - 3600, Numbered("run", 10))
    assert [(one.kind, one.at, one.after) for one in lost.occurrences][:1] == [
        (Happening.GAP, NOW - 3600, NOW - 3600)
    ]


def test_a_file_that_begins_within_a_run_misses_nothing() -> None:
    recorder = Recorder(None)
    assert kinds(recorder.happened("degraded", {}, NOW, Numbered("run", 30))) == ["degraded"]
    assert kinds(recorder.happened("degraded", {}, NOW, Numbered("run", 32))) == ["gap", "degraded"]


def test_the_end_of_the_publisher_is_the_end_of_what_is_seen() -> None:
    story = Story()
    story.tell(snapshot(peer(online=True)))
    ended = story.recorder.happened("actor_exited", {"actor": "publisher", "pid": 3}, NOW + 5)
    assert kinds(ended) == ["actor_exited", "netmap_stale"]
    assert [(one.lane, one.state) for one in ended.entered] == [
        (LaneOf.ACTOR, None),
        (LaneOf.NETMAP, "stale"),
    ]
    found = story.tell(upserted(peer(online=False), state="stale"), NOW + 9)
    assert [(one.kind, one.after) for one in found.occurrences] == [(Happening.NODE_OFFLINE, NOW + 5)]
    assert kinds(story.tell(state("stale", reason="publisher_restarted"), NOW + 9)) == []
    assert kinds(story.tell(state("fresh"), NOW + 9)) == ["netmap_fresh"]
    late = story.recorder.happened("actor_exited", {"actor": "publisher", "pid": 3}, NOW + 5)
    assert kinds(late) == ["actor_exited"], "of the one before"


def test_what_missed_nothing_tells_of_no_beginning() -> None:
    story = Story(NOW - 1.0)
    story.recorder.go_on()
    node = known(peer(online=True))
    story.nodes[node.stable_id] = node
    assert story.tell(snapshot(peer(online=True))) == Recorded()
    (gone,) = story.tell(upserted(peer(online=False))).occurrences
    assert (gone.kind, gone.after) == (Happening.NODE_OFFLINE, None)


@pytest.mark.parametrize(("epoch", "told"), [(1, []), (2, ["netmap_fresh"]), (0, ["netmap_fresh"])])
def test_a_netmap_that_is_fresh_as_before_a_gap_has_not_become_so(epoch: int, told: list[str]) -> None:
    story = Story()
    story.recorder = Recorder(NOW - 60.0, fresh_epoch=epoch)
    assert snapshot().epoch == 1
    recorded = story.tell(snapshot())
    assert kinds(recorded) == told
    assert [(one.lane, one.state) for one in recorded.entered] == [(LaneOf.NETMAP, "fresh")]
    assert kinds(story.tell(state("stale"), NOW + 1)) == ["netmap_stale"]
    assert kinds(story.tell(snapshot(), NOW + 2)) == ["netmap_fresh"]


def test_a_clock_that_is_set_tells_what_holds_again_and_of_nobody() -> None:
    story = Story()
    story.tell(snapshot(peer(online=True)))
    recorded = story.recorder.clock_stepped(ClockStep(NOW, NOW + 3 * 86400.0, 3 * 86400.0), generation=1)
    assert [(one.kind, one.at, one.detail) for one in recorded.occurrences] == [
        (Happening.CLOCK_STEPPED, NOW + 3 * 86400.0, {"by_s": 3 * 86400.0})
    ]
    assert {(one.lane, one.state) for one in recorded.entered} == {
        (LaneOf.RUN, "running"),
        (LaneOf.NETMAP, "fresh"),
    }
    again = story.tell(snapshot(peer(online=True)), NOW + 3 * 86400.0)
    assert again.occurrences == ()
    assert [(one.subject, one.state) for one in again.entered] == [("n1", "online")]
