"""The page's pure modules, in Chromium: tables, and what Python says of the same."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.errors import escape
from tests.support.browser.stream_events import node

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page


# words


def test_every_character_is_shown_as_the_terminal_shows_it(page: Page) -> None:
    assigned = [
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in {"Cn", "Cs"}
    ]
    shown = page.evaluate(
        "async (texts) => { const {safe} = await import('/page/format.js'); return [...texts].map((c) => safe(c)) }",
        "".join(assigned),
    )
    different = {
        hex(ord(c)): (one, escape(c)) for c, one in zip(assigned, shown, strict=True) if one != escape(c)
    }
    assert different == {}


@pytest.mark.parametrize("text", ["a" * 400, "🦊" * 301, "<b>&amp;", "", "\ud800"])
def test_a_text_is_cut_as_the_terminal_cuts_it(call: Callable[..., Any], page: Page, text: str) -> None:
    if text == "\ud800":
        assert page.evaluate("import('/page/format.js').then(({safe}) => safe('\\ud800'))") == escape(text)
    else:
        assert call("format", "safe", text) == escape(text, 300)


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
    assert call("format", "age", seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(None, "unknown"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (22441984, "21.4 MiB")],
)
def test_a_size_in_words(call: Callable[..., Any], count: int | None, words: str) -> None:
    assert call("format", "bytes", count) == words


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
      const {localTime, shortTime} = await import("/page/format.js");
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
    script = "import('/page/format.js').then(({nodeHash}) => [nodeHash('a/b?<c>'), nodeHash('lone\\ud800')])"
    assert page.evaluate(script) == ["#node=a%2Fb%3F%3Cc%3E", "#node=lone%EF%BF%BD"]


TALL = """async ([count, height]) => {
  const {mount} = await import("/page/nodes/nodes.js");
  const style = new CSSStyleSheet();
  style.replaceSync(`.scroller { block-size: 600px; overflow: auto; overflow-anchor: none } .tools { display: none }
    table, tbody, thead { display: block } thead { position: sticky; top: 0; block-size: 30px; overflow: hidden }
    tbody { position: relative; overflow: clip }
    tbody tr { position: absolute; top: 0; block-size: ${height}px; display: block }`);
  document.adoptedStyleSheets = [style];
  document.body.innerHTML = "<section id='nodes'><h2>Nodes</h2></section>";
  const make = (at) => ({stable_id: `i${at}`, name: `n${String(at).padStart(6, "0")}.t`, addresses: [], online: true,
    last_seen: null, tags: [], routes: [], allowed_ips: [], os: "", user: ""});
  const nodes = new Map(Array.from({length: count}, (_, at) => [`i${at}`, make(at)]));
  const store = {nodes, self: null, trust: {state: "fresh"}, node: (id) => nodes.get(id), subscribe: (f) => (tell = f)};
  let tell;
  mount(document.getElementById("nodes"), {store, select() {}});
  const box = document.querySelector(".scroller");
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const seen = () => {
    const {top, bottom} = box.getBoundingClientRect();
    return [...document.querySelectorAll("tbody tr")].filter((row) => {
      const at = row.getBoundingClientRect();
      return at.bottom > top + 32 && at.top < bottom - 2;
    }).map((row) => Number(row.getAttribute("aria-rowindex")) - 2).sort((a, b) => a - b);
  };
  const found = [];
  const note = async () => {
    await frame();
    found.push(seen());
  };
  const key = (name) => document.querySelector("table").dispatchEvent(new KeyboardEvent("keydown", {key: name}));
  await note();
  box.scrollTop = (box.scrollHeight - box.clientHeight) / 2;
  await note();
  box.scrollTop = box.scrollHeight;
  await note();
  box.style.blockSize = "300px";
  await note();
  box.scrollTop = box.scrollHeight;
  await note();
  key("Home");
  await note();
  key("End");
  await note();
  nodes.delete("i0");
  tell({nodes: new Set(["i0"])});
  await note();
  return found;
}"""


@pytest.mark.parametrize(("count", "height"), [(1_000, 100), (40_000, 1_000), (5_000, 1_000)])
def test_a_table_higher_than_a_browser_draws_is_scrolled_from_its_first_row_to_its_last(
    page: Page, count: int, height: int
) -> None:
    first, middle, end, shorter, again, home, last, fewer = page.evaluate(TALL, [count, height])
    assert first[0] == home[0] == 0
    assert any(abs(row - count / 2) <= 4 for row in middle)
    assert end[-1] == again[-1] == last[-1] == count - 1
    assert shorter and shorter[0] <= end[-1]
    assert fewer[-1] == count - 2
