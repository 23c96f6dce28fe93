"""How the page follows its endpoint: the stream, the netmap made of it, status and history, in Chromium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser.blank_page import blank_page
from tests.support.browser.stream_events import node, snapshot

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


# stream


def test_a_stream_that_cannot_be_read_is_asked_for_anew(page: Page) -> None:
    script = """async () => {
      const {openStream} = await import("/page/stream/stream.js");
      const bodies = ["data: {broken\\n\\n", "event: snapshot\\ndata: null\\n\\n",
        'event: error\\ndata: {"type": "error", "error": "token revoked"}\\n\\n'];
      const states = [];
      const events = [];
      const asked = window.fetch;
      console.error = () => {};
      const later = window.setTimeout;
      window.setTimeout = (f) => later(f, 0);
      try {
        return await new Promise((resolve) => {
          window.fetch = async () => (bodies.length ? new Response(bodies.shift()) : new Response("", {status: 401}));
          openStream({
            onEvent: (event) => events.push(event.type),
            onComment: () => {},
            onState: ({phase, why = ""}) => {
              states.push([phase, why.split(":")[0]]);
              if (phase === "login") resolve([states, events]);
            },
          });
        });
      } finally {
        window.fetch = asked;
        window.setTimeout = later;
      }
    }"""
    states, events = page.evaluate(script)
    assert states == [
        ["connecting", ""],
        ["lost", "It sent what cannot be used"],
        ["lost", "It sent what cannot be used"],
        ["lost", "token revoked"],
        ["login", ""],
    ]
    assert events == []


def test_streams_that_nobody_looks_at_make_way_for_those_of_later_tabs(page: Page) -> None:
    script = """async () => {
      const {createTabLimit} = await import("/page/stream/tab_limit.js");
      const channels = [];
      class Channel extends EventTarget {
        postMessage(data) {
          for (const other of channels) {
            if (other !== this) other.dispatchEvent(new MessageEvent("message", {data}));
          }
        }
      }
      const looked = new Set([1]);
      const made = [];
      const rooms = Array.from({length: 8}, (_, tab) => {
        const channel = new Channel();
        channels.push(channel);
        return createTabLimit({channel, looked: () => looked.has(tab), onFull: () => made.push(tab)});
      });
      const after = [];
      for (const room of rooms.slice(0, 7)) room.opened();
      after.push([...made]);
      rooms[6].closed();
      rooms[7].opened();
      after.push([...made]);
      rooms[0].opened();
      after.push([...made]);
      looked.clear();
      dispatchEvent(new Event("blur"));
      after.push([...made]);
      return after;
    }"""
    assert page.evaluate(script) == [[0, 2], [0, 2], [0, 2, 3], [0, 2, 3, 1]]


# store

APPLY = """async ([events, ticks]) => {
  const {createStore} = await import("/page/stream/store.js");
  let now = 0;
  const turns = [];
  const due = [];
  const store = createStore({now: () => now, schedule: (f) => due.push(f)});
  store.subscribe(({whole, nodes, changes, dropped}) =>
    turns.push({whole, nodes: [...nodes], kinds: changes.map((change) => change.kind), dropped}));
  for (const event of events) {
    now += ticks;
    store.apply(event);
  }
  const waiting = due.length;
  for (const f of due) f();
  const {trust, domain, rest, self} = store;
  const names = [...store.nodes.values()].map((node) => node.name);
  return {names, trust, domain, rest, self: self?.name, turns, waiting};
}"""


def test_events_are_applied_and_told_of_once_a_frame(page: Page) -> None:
    head = {"epoch": 1, "seq": 2, "state": "fresh"}
    events: list[dict[str, object]] = [
        snapshot(node("a", "a1"), node("b", "b1")),
        head | {"type": "peer_upserted", "peer": node("a", "a2"), "changed": ["name"]},
        head | {"type": "peer_upserted", "peer": node("c", "c1"), "changed": []},
        head | {"type": "peer_removed", "stable_id": "b", "id": 2, "name": "b1"},
        head | {"type": "domain_changed", "domain": "other.example"},
        head | {"type": "self_changed", "self": node("self", "me-too"), "changed": ["name"]},
        head | {"type": "dns_changed", "dns": {"Proxied": True}, "changed": ["dns"]},
        head | {"type": "state_changed", "state": "stale", "age_s": 5.5, "reason": "session_ended"},
    ]
    found = page.evaluate(APPLY, [events, 10])
    assert found["names"] == ["a2", "c1"]
    assert (found["domain"], found["self"], found["rest"]["dns"]) == (
        "other.example",
        "me-too",
        {"Proxied": True},
    )
    assert found["trust"] == {"state": "stale", "ageAtMs": 5500, "at": 80, "reason": "session_ended"}
    assert found["waiting"] == 1
    (turn,) = found["turns"]
    assert turn["whole"]
    assert set(turn["nodes"]) == {"a", "b", "c", "self"}
    assert len(turn["kinds"]) == len(events)


@pytest.mark.parametrize(("state", "age_ms", "at"), [("fresh", 0, 2000), ("stale", 3000, 1000)])
def test_a_change_of_a_fresh_netmap_is_a_word_of_the_control_server(
    page: Page, state: str, age_ms: float, at: float
) -> None:
    head = {"type": "peer_upserted", "epoch": 1, "seq": 2, "peer": node("a"), "changed": []}
    trust = page.evaluate(APPLY, [[snapshot(age_s=3.0), head | {"state": state}], 1000])["trust"]
    assert (trust["state"], trust["ageAtMs"], trust["at"]) == (state, age_ms, at)


@pytest.mark.parametrize(("following", "age_ms"), [(True, 7000), (False, 3000)])
def test_a_status_makes_no_nodes_younger_that_nobody_follows(
    page: Page, following: bool, age_ms: float
) -> None:
    script = """async ([event, status, following]) => {
      const {createStore} = await import("/page/stream/store.js");
      const store = createStore({now: () => 1, schedule: () => {}});
      store.apply(event);
      store.takeStatus(status, following);
      return [store.trust.ageAtMs, store.status];
    }"""
    status = {"netmap": {"state": "fresh", "age_s": 7.0}}
    assert page.evaluate(script, [snapshot(age_s=3.0), status, following]) == [age_ms, status]


def test_a_snapshot_that_is_none_changes_nothing(page: Page) -> None:
    script = """async (event) => {
      const {createStore} = await import("/page/stream/store.js");
      const store = createStore({now: () => 1, schedule: () => {}});
      try { store.apply(event); } catch (error) { return [error.name, store.trust.state, store.nodes.size]; }
    }"""
    for netmap in ({}, None, {"peers": 5}):
        event = {"type": "snapshot", "state": "fresh", "age_s": 1, "netmap": netmap}
        assert page.evaluate(script, event) == ["TypeError", "none", 0]


def test_a_hidden_page_keeps_the_last_of_many_changes(page: Page) -> None:
    change = {
        "type": "peer_upserted",
        "epoch": 1,
        "seq": 2,
        "state": "fresh",
        "peer": node("a"),
        "changed": [],
    }
    (turn,) = page.evaluate(APPLY, [[snapshot(), *[change] * 3000], 1])["turns"]
    assert len(turn["kinds"]) == 500
    assert turn["dropped"] == 2501


@pytest.mark.parametrize(
    ("turns", "trust"),
    [
        (["fresh"], ["fresh", ""]),
        (["stale"], ["fresh", ""]),
        (["stale", "stale"], ["stale", "held_back"]),
        (["none", "stale"], ["stale", "held_back"]),
        (["stale", "event", "stale"], ["fresh", ""]),
        (["stale", "lost", "stale"], ["fresh", ""]),
        (["stale", "stale", "fresh"], ["fresh", ""]),
        (["stale", "stale", "event"], ["fresh", ""]),
        (["stale", "stale", "ended"], ["stale", "session_ended"]),
        (["ended", "fresh", "fresh"], ["stale", "session_ended"]),
    ],
)
def test_a_status_is_believed_that_says_twice_what_no_event_did(
    page: Page, turns: list[str], trust: list[str]
) -> None:
    """A proxy that holds events back must not have the page say fresh; a status between two events is only early."""
    script = """async ([snapshot, turns]) => {
      const {createStore} = await import("/page/stream/store.js");
      const store = createStore({now: () => 1, schedule: () => {}});
      store.apply(snapshot);
      for (const turn of turns) {
        if (turn === "event") store.apply({type: "domain_changed", domain: "x", state: "fresh"});
        else if (turn === "ended") {
          store.apply({type: "state_changed", state: "stale", age_s: 1, reason: "session_ended"});
        }
        else store.takeStatus({netmap: {state: turn === "lost" ? "stale" : turn, age_s: 9}}, turn !== "lost");
      }
      return [store.trust.state, store.trust.reason];
    }"""
    assert page.evaluate(script, [snapshot(), turns]) == trust


def test_an_answer_that_is_no_status_is_none(page: Page) -> None:
    script = """async () => {
      const {createStatus} = await import("/page/stream/status.js");
      const answers = ["null", "{}", '{"netmap": {}, "actors": 5}', '{"netmap": {}, "actors": []}'];
      const told = [];
      const asked = window.fetch;
      try {
        for (const answer of answers) {
          let answered;
          const done = new Promise((resolve) => (answered = resolve));
          window.fetch = async () => ({ok: true, json: async () => (setTimeout(answered, 0), JSON.parse(answer))});
          const take = (one) => told.push(one);
          createStatus({onStatus: take, onLogin: () => {}, onFailure: () => told.push("failed")}).ask();
          await done;
        }
      } finally {
        window.fetch = asked;
      }
      return told;
    }"""
    assert page.evaluate(script) == [{"netmap": {}, "actors": []}]


@pytest.mark.parametrize("hours", [-9, 0, 9])
def test_a_browser_whose_clock_is_wrong_keeps_the_history_all_the_same(chromium: Browser, hours: int) -> None:
    script = """async (ahead) => {
      const real = Date.now.bind(Date);
      Date.now = () => real() + ahead;
      const asked = [];
      const iso = (ago) => new Date(real() - ago).toISOString();
      window.fetch = async (url) => {
        asked.push(new URLSearchParams(url.split("?")[1]).get("since"));
        const one = {id: 1, at: iso(3600e3), after: null, kind: "node_left", subject: "n1", name: "", detail: {}};
        return Response.json({since: iso(28_800_000), until: iso(0), gaps: [], netmap: [], connection: [], nodes: [],
          occurrences: [one], more: false, file: "a", newest_id: 1});
      };
      const {follow} = await import("/page/history/history.js");
      const history = follow({subscribe: () => {}, nodes: new Map(), trust: {}});
      await new Promise((resolve) => history.onHistory(resolve));
      return [/^2880[0-9]s$/.test(asked[0]), history.model.occurrences.length, Math.abs(history.now() - real()) < 5000];
    }"""
    with blank_page(chromium) as page:
        assert page.evaluate(script, hours * 3_600_000) == [True, 1, True]
