"""The page's pure modules, in Chromium: tables, and what Python says of the same."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.errors import escape
from tests.support.browser.blank_page import CALL, blank_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    with blank_page(chromium) as opened:
        yield opened


@pytest.fixture
def call(page: Page) -> Callable[..., Any]:
    def call_one(module: str, name: str, *given: object) -> Any:
        return page.evaluate(CALL, [module, name, list(given)])

    return call_one


def node(stable_id: str, name: str = "", **fields: object) -> dict[str, object]:
    return {
        "stable_id": stable_id,
        "name": name,
        "addresses": ["100.64.0.1/32"],
        "allowed_ips": ["100.64.0.1/32"],
        "online": True,
        "last_seen": None,
        "tags": [],
        "routes": [],
        "os": "linux",
        "user": "alice",
        "key": f"nodekey:{stable_id}",
        "key_expiry": None,
        "expired": False,
        "hostname": "",
    } | fields


def snapshot(*peers: dict[str, object], state: str = "fresh", age_s: float | None = 1.0) -> dict[str, object]:
    netmap = {"domain": "tail.example", "self": node("self", "me.tail.example"), "peers": list(peers)}
    return {"type": "snapshot", "epoch": 1, "seq": 1, "state": state, "age_s": age_s, "netmap": netmap}


# words


def test_every_character_is_shown_as_the_terminal_shows_it(page: Page) -> None:
    assigned = [
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in {"Cn", "Cs"}
    ]
    shown = page.evaluate(
        "async (texts) => { const {safe} = await import('/page/words.js'); return [...texts].map((c) => safe(c)) }",
        "".join(assigned),
    )
    different = {
        hex(ord(c)): (one, escape(c)) for c, one in zip(assigned, shown, strict=True) if one != escape(c)
    }
    assert different == {}


@pytest.mark.parametrize("text", ["a" * 400, "🦊" * 301, "<b>&amp;", "", "\ud800"])
def test_a_text_is_cut_as_the_terminal_cuts_it(call: Callable[..., Any], page: Page, text: str) -> None:
    if text == "\ud800":
        assert page.evaluate("import('/page/words.js').then(({safe}) => safe('\\ud800'))") == escape(text)
    else:
        assert call("words", "safe", text) == escape(text, 300)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (-3, "0 s"),
        (0.9, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
        (86400 * 12 + 7200, "12 d"),
    ],
)
def test_an_age_in_words(call: Callable[..., Any], seconds: float | None, words: str) -> None:
    assert call("words", "age", seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(None, "unknown"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (22441984, "21.4 MiB")],
)
def test_a_size_in_words(call: Callable[..., Any], count: int | None, words: str) -> None:
    assert call("words", "bytes", count) == words


@pytest.mark.parametrize(
    ("at", "long", "short"),
    [
        ("2026-11-29T20:00:00Z", "01:45:00", "01:45:00"),
        ("2026-11-29T18:14:59.9Z", "2026-11-29 23:59:59", "Nov 29, 23:59"),
        ("2025-11-30T00:00:00Z", "2025-11-30 05:45:00", "2025-11-30"),
        ("no\u202etime", "no\\u202etime", "no\\u202etime"),
        (None, "", ""),
    ],
)
def test_a_time_is_local(page: Page, at: str | None, long: str, short: str) -> None:
    script = """async (at) => {
      const {localTime, shortTime} = await import("/page/words.js");
      const now = new Date("2026-11-30T00:00:00Z");
      return [localTime(at, now), shortTime(at, now)];
    }"""
    assert page.evaluate(script, at) == [long, short]


# sse

EVENT = {"type": "message", "data": "x", "id": ""}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data: x\n\n", [EVENT]),
        ("data:x\r\n\r\n", [EVENT]),
        ("data: x\r\r", [EVENT]),
        ("id: 7:1\nevent: peer_removed\ndata: x\n\n", [{"type": "peer_removed", "data": "x", "id": "7:1"}]),
        ("data: x\ndata:  y\n\n", [EVENT | {"data": "x\n y"}]),
        ("id: 1\ndata: x\n\ndata: y\n\n", [EVENT | {"id": "1"}, EVENT | {"data": "y", "id": "1"}]),
        (":\n\n", [""]),
        (": still here\ndata: x\n\n", [" still here", EVENT]),
        ("event: lost\n\ndata: x\n\n", [EVENT]),
        ("data\nunknown: 1\nretry: 5\n\n", [EVENT | {"data": ""}]),
        ("data: x\n", []),
        ("data: 🦊\n\n", [EVENT | {"data": "🦊"}]),
    ],
)
def test_events_come_out_whole_however_they_are_cut(page: Page, text: str, told: list[object]) -> None:
    script = """async (text) => {
      const {createParser} = await import("/page/stream/sse.js");
      return [[text], text.split(""), text.split(/(?<=\\n)/)].map((chunks) => {
        const told = [];
        const push = createParser({onEvent: (one) => told.push(one), onComment: (one) => told.push(one)});
        for (const chunk of chunks) push(chunk);
        return told;
      });
    }"""
    assert page.evaluate(script, text) == [told] * 3


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
      const {createRoom} = await import("/page/stream/room.js");
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
        return createRoom({channel, looked: () => looked.has(tab), onFull: () => made.push(tab)});
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


# columns and order

NODES = [
    node("1", "web-1.tail.example", tags=["tag:web", "tag:prod"], user="tagged-devices"),
    node("2", "web-10.tail.example", tags=["tag:web"], online=False, last_seen="2026-11-29T01:00:00Z"),
    node("3", "web-2.tail.example", os="macOS", user="bob@example.com", online=None),
    node("4", "router.tail.example", allowed_ips=["100.64.0.1/32", "10.0.0.0/8", "0.0.0.0/0"]),
    node(
        "5",
        addresses=["100.64.0.9/32", "fd7a:115c:a1e0::9/128"],
        allowed_ips=[],
        key_expiry="2020-01-01T00:00:00Z",
    ),
    node("6", "Build.tail.example", online=False, last_seen="2026-11-28T01:00:00Z", expired=True),
]


@pytest.mark.parametrize(
    ("text", "chips", "ids"),
    [
        ("", [], "123456"),
        ("WEB-1", [], "12"),
        ("tag:web", [], "12"),
        ("tag:web tag:prod", [], "1"),
        ("-tag:web", [], "3456"),
        ("web -online:no", [], "13"),
        ("online:no", [], "26"),
        ("online:yes", [], "145"),
        ("online:unknown", [], "3"),
        ("os:mac", [], "3"),
        ("user:bob", [], "3"),
        ("fd7a:115c:a1e0::9", [], "5"),
        ("ip:100.64.0.9", [], "5"),
        ("route:10.", [], "4"),
        ("route:exit", [], "4"),
        ("key:expired", [], "56"),
        ("id:5", [], "5"),
        ('name:"web-2"', [], "3"),
        ('"web-2.tail', [], "3"),
        ("constructor:x", [], ""),
        ("tag:", [], "12"),
        ("", ["offline"], "26"),
        ("", ["tagged"], "12"),
        ("", ["offline", "tagged"], "2"),
        ("", ["expired"], "56"),
        ("", ["exit"], "4"),
        ("", ["subnet"], "4"),
        ("build", ["offline"], "6"),
    ],
)
def test_a_search_finds(page: Page, text: str, chips: list[str], ids: str) -> None:
    script = """async ([nodes, text, chips]) => {
      const {acceptance, COLUMNS, makeRow} = await import("/page/nodes/columns.js");
      const accepts = acceptance(text, chips) ?? (() => true);
      return nodes.filter((node) => accepts(makeRow(node, false, COLUMNS[0]))).map((node) => node.stable_id).join("");
    }"""
    assert page.evaluate(script, [NODES, text, chips]) == ids


@pytest.mark.parametrize(
    ("column", "descending", "ids"),
    [
        ("name", False, "564132"),
        ("name", True, "231465"),
        ("online", False, "541362"),
        ("last_seen", True, "541263"),
        ("last_seen", False, "625413"),
        ("tags", False, "215643"),
        ("key_expiry", False, "564132"),
    ],
)
def test_the_order_of_a_column(page: Page, column: str, descending: bool, ids: str) -> None:
    script = """async ([nodes, column, descending]) => {
      const {createOrder} = await import("/page/nodes/order.js");
      const order = createOrder();
      order.reset(new Map(nodes.map((node) => [node.stable_id, node])), null);
      order.sortBy(column, descending);
      return order.rows.map((row) => row.id).join("");
    }"""
    assert page.evaluate(script, [NODES, column, descending]) == ids


def test_an_order_that_follows_changes_is_the_one_made_anew(page: Page) -> None:
    """However nodes come, change and go: under every column, in both directions, with a filter."""
    script = """async () => {
      const {COLUMNS, acceptance} = await import("/page/nodes/columns.js");
      const {createOrder} = await import("/page/nodes/order.js");
      let seed = 1;
      const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
      const make = (id) => ({stable_id: id, name: `n${random(30)}.t`, addresses: [`100.64.0.${random(50)}/32`],
        online: [true, false, null][random(3)], last_seen: random(2) ? `2026-11-${10 + random(20)}T00:00:00Z` : null,
        tags: random(2) ? [] : [`tag:${random(4)}`], routes: [], allowed_ips: [], os: "linux", user: "a"});
      const self = make("self");
      const wrong = [];
      for (const {name} of COLUMNS) for (const down of [false, true]) for (const search of ["", "online:no"]) {
        const nodes = new Map(Array.from({length: 60}, (_, at) => [`i${at}`, make(`i${at}`)]));
        const [kept, anew] = [createOrder(), createOrder()];
        for (const order of [kept, anew]) {
          order.sortBy(name, down);
          order.filter(acceptance(search));
        }
        kept.reset(nodes, self);
        for (let turn = 0; turn < 30; turn += 1) {
          const ids = new Set(Array.from({length: 1 + random(5)}, () => `i${random(70)}`));
          for (const id of ids) {
            if (random(3)) nodes.set(id, make(id));
            else nodes.delete(id);
          }
          kept.update(ids, (id) => nodes.get(id), self);
          anew.reset(nodes, self);
          const idsOf = (order) => order.rows.map((row) => row.id).join();
          const same = idsOf(kept) === idsOf(anew) && kept.peers === anew.peers;
          const found = kept.rows.every((row, at) => kept.indexOf(row.id) === at);
          if (!same || !found) wrong.push([name, down, search, turn]);
        }
      }
      return wrong;
    }"""
    assert page.evaluate(script) == []


def test_an_id_that_no_address_can_hold_is_still_one(page: Page) -> None:
    script = "import('/page/words.js').then(({nodeHash}) => [nodeHash('a/b?<c>'), nodeHash('lone\\ud800')])"
    assert page.evaluate(script) == ["#node=a%2Fb%3F%3Cc%3E", "#node=lone%EF%BF%BD"]


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
      const {follow} = await import("/page/history.js");
      const past = follow({subscribe: () => {}, nodes: new Map(), trust: {}});
      await new Promise((resolve) => past.onHistory(resolve));
      return [/^2880[0-9]s$/.test(asked[0]), past.memory.happenings.length, Math.abs(past.now() - real()) < 5000];
    }"""
    with blank_page(chromium) as page:
        assert page.evaluate(script, hours * 3_600_000) == [True, 1, True]
