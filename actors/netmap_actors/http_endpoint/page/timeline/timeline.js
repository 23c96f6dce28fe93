/** The time axis: what happened, lane by lane, and the line above it that says it in short. */

import {HOUR, LONGEST, follow} from "../history/history.js";
import {DAY} from "./axis.js";
import {createAxis, createLanePicture, legend, patterns} from "./drawing.js";
import {local} from "../history/occurrences.js";
import {createHeadline, make} from "./headline.js";
import {clusterSentence, lanesOf} from "./lanes.js";
import {beginning, counted} from "./summary.js";
import {createTable} from "./table.js";
import {barSentence, laneTitle} from "./labels.js";
import {panned, windowOf, zoomed} from "./window.js";

const LENGTHS = [["1 h", HOUR], ["8 h", 8 * HOUR], ["24 h", DAY], ["7 d", 7 * DAY]];
const SHORT = HOUR / 6;
const MOST_LANES = 24;
/** Of nodes. */
const REACH = 8;
/** Pixels to both sides of a mark within which the pointer is at it. */
const PACE = 1000;
const STEADY = 5000;
/** Milliseconds between two drawings when nothing happens. */
const CALM = 60_000;
/** The same where people want less motion. */
const HELP =
  "Left and right go from one mark to the next, up and down from lane to lane; Enter opens a node. " +
  "Plus and minus zoom, Page Up and Page Down go back and forth in time, Home goes to now.";

/**
 * @param {HTMLElement} element
 * @param {{store: Object, status: Object, select: (id: ?string) => void}} page
 */
export function mount(element, {store, status, select}) {
  const history = follow(store);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let view = {length: 8 * HOUR, until: null};
  let wanted = "";
  let width = 0;
  let dirty = false;
  let seen = true;
  let drawnAt = -Infinity;
  let lanes = [];
  /** What the keyboard is at: the lane's id, and the time of the bar or mark. */
  let cursor = null;
  const pictures = new Map();

  const headline = createHeadline(select);
  const toolbar = make("div", "toolbar");
  const plot = make("div", "plot");
  const axis = createAxis();
  const rows = make("div", "lanes");
  const nowLine = make("div", "now-line");
  const ring = make("div", "ring");
  const tip = make("p", "tip");
  const more = make("p", "more");
  const help = make("p", "visually-hidden", HELP);
  const spoken = make("p", "visually-hidden");
  spoken.setAttribute("role", "status");
  help.id = "timeline-help";
  for (const one of [nowLine, ring, tip]) one.hidden = true;
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-roledescription", "time axis");
  plot.setAttribute("aria-label", "What happened, over the time");
  plot.setAttribute("aria-describedby", help.id);
  const axisRow = make("div", "lane axis-row");
  const axisBox = make("div");
  axisBox.append(axis.element);
  axisRow.append(make("span", "lane-title"), axisBox);
  plot.append(axisRow, rows, nowLine, ring);
  // The lanes scroll; what is said of them is not cut off by that.
  const frame = make("div", "frame");
  frame.append(plot, tip);
  const table = createTable();
  element.append(patterns(), headline.element, toolbar, headline.notice, frame, more, legend(), table.element, help, spoken);

  // The window.

  const lengths = LENGTHS.map(([name, length]) => {
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => look({length, until: null}));
    return [button, length];
  });
  const group = make("div", "lengths");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "How long ago");
  group.append(...lengths.map(([button]) => button));
  const moves = make("div", "moves");
  const action = (name, label, f) => {
    const button = make("button", "", name);
    button.type = "button";
    button.setAttribute("aria-label", label);
    button.title = label;
    button.addEventListener("click", f);
    moves.append(button);
    return button;
  };
  const pan = (share) => look(panned(view, history.now(), view.length * share, LONGEST));
  const zoom = (factor, about = null) => look(zoomed(view, history.now(), factor, about, LONGEST));
  action("←", "Earlier", () => pan(-0.5));
  const later = action("→", "Later", () => pan(0.5));
  action("+", "Zoom in", () => zoom(0.5, cursor?.at ?? null));
  action("−", "Zoom out", () => zoom(2));
  const toNow = action("Now", "Go to now", () => look({length: view.length, until: null}));
  const search = make("input", "lane-search");
  search.type = "search";
  search.placeholder = "Lanes of nodes named …";
  search.setAttribute("aria-label", "Show the lanes of nodes with this in their names");
  search.addEventListener("input", () => {
    wanted = search.value.trim();
    redraw();
  });
  const shown = make("span", "shown");
  toolbar.append(group, moves, shown, search);

  function look(next) {
    view = next;
    history.cover(windowOf(view, history.now()).since);
    redraw();
  }

  // Drawing, once a frame and only what somebody can see.

  function redraw() {
    if (dirty || !seen) {
      dirty = true;
      return;
    }
    dirty = true;
    requestAnimationFrame(draw);
  }

  let news = 0;
  /** What comes by itself is drawn once in PACE; what somebody does at once. */
  function redrawSoon() {
    if (news !== 0) return;
    news = setTimeout(() => {
      news = 0;
      redraw();
    }, Math.max(0, PACE - (performance.now() - drawnAt)));
  }

  function draw() {
    dirty = false;
    const now = history.now();
    const window = windowOf(view, now);
    drawnAt = performance.now();
    headline.show(history, view, window, now, store.status?.netmap);
    for (const [button, ms] of lengths) {
      button.setAttribute("aria-pressed", String(view.length === ms && view.until === null));
    }
    toNow.disabled = later.disabled = view.until === null;
    shown.textContent = view.until === null ? "" : `${local(window.since, now)} to ${local(window.until, now)}`;
    width = Math.max(80, axisBox.clientWidth);
    axis.draw(window, width);
    const made = lanesOf(withRecent(), window, {most: MOST_LANES, wanted});
    lanes = made.lanes.map((lane) => drawLane(lane, window));
    const there = new Set(made.lanes.map((lane) => lane.id));
    for (const [id, picture] of pictures) {
      if (there.has(id)) continue;
      picture.row.remove();
      pictures.delete(id);
    }
    made.lanes.forEach(({id}, index) => {
      const {row} = pictures.get(id);
      if (rows.children[index] !== row) rows.insertBefore(row, rows.children[index] ?? null);
    });
    more.hidden = made.more === 0;
    const others = counted(made.more, "more node");
    more.textContent = `And ${others} that changed: search for a name to see its lane.`;
    nowLine.hidden = window.until < now - view.length / width;
    const left = axisBox.offsetLeft;
    place(nowLine, {left: left + width - 1, top: axisBox.offsetHeight});
    nowLine.style.setProperty("height", `${rows.offsetHeight}px`);
    table.show(() => ({lanes: made.lanes, now, window}));
    if (cursor !== null) showCursor(false);
  }

  /** With what came over /events and is not in the history yet. */
  function withRecent() {
    const occurrences = history.recent();
    return occurrences === history.model.occurrences ? history.model : {...history.model, occurrences};
  }

  function drawLane(lane, window) {
    let picture = pictures.get(lane.id);
    if (picture === undefined) {
      const row = make("div", `lane of-${lane.kind}`);
      const title = make(lane.kind === "node" ? "bdi" : "span", "lane-title");
      picture = {row, title, drawing: createLanePicture()};
      row.append(title, picture.drawing.element);
      row.dataset.lane = lane.id;
      pictures.set(lane.id, picture);
    }
    const text = laneTitle(lane);
    if (picture.title.textContent !== text) {
      picture.title.textContent = text;
      picture.title.title = lane.kind === "node" ? laneTitle({...lane, kind: ""}) : text;
    }
    return {lane, row: picture.row, ...picture.drawing.draw(lane, window, width)};
  }

  // What the pointer and the keyboard are at.

  function itemsOf({lane, bars, marks}) {
    const items = marks.map((cluster) => ({at: cluster.marks[0].at, x: cluster.x, width: 0, cluster, lane}));
    for (const bar of bars) {
      if (bar.segment.state === "many") continue;
      items.push({at: bar.segment.since, x: bar.x, width: bar.width, bar, lane});
    }
    return items.sort((one, other) => one.x - other.x || one.width - other.width);
  }

  function describe(item, now) {
    const said = item.cluster
      ? `${local(item.at, now)} ${clusterSentence(item.cluster, now)}`
      : barSentence(item.lane, item.bar, now);
    return `${laneTitle(item.lane)}: ${said}`;
  }

  function showTip(item, row) {
    tip.textContent = describe(item, history.now());
    tip.hidden = false;
    const left = axisBox.offsetLeft + item.x + (item.cluster ? 0 : Math.min(item.width, 40) / 2);
    const below = row.offsetTop + row.offsetHeight + 2 - plot.scrollTop;
    const above = row.offsetTop - plot.scrollTop - tip.offsetHeight - 2;
    place(tip, {
      left: Math.max(0, Math.min(left, plot.clientWidth - tip.offsetWidth)),
      top: below + tip.offsetHeight > plot.clientHeight && above > 0 ? above : below,
    });
  }

  function at(event) {
    const row = event.target.closest?.(".lane");
    const found = lanes.find((one) => one.row === row);
    if (found === undefined) return null;
    const x = event.clientX - found.row.querySelector("svg").getBoundingClientRect().left;
    if (x < 0) return {row, lane: found.lane, item: null};
    const items = itemsOf(found);
    const near = items.filter((item) => item.cluster && Math.abs(item.x - x) <= REACH);
    near.sort((one, other) => Math.abs(one.x - x) - Math.abs(other.x - x));
    const under = items.find((item) => item.bar && item.x <= x && x < item.x + item.width);
    return {row, lane: found.lane, item: near[0] ?? under ?? null};
  }

  function isAtCursor(item) {
    return item.at === cursor?.at && Boolean(item.cluster) === cursor.mark;
  }

  function showCursor(speak) {
    const found = lanes.find((one) => one.lane.id === cursor.lane) ?? lanes[0];
    if (found === undefined) return;
    const items = itemsOf(found);
    if (items.length === 0) return;
    const item = items.find(isAtCursor) ?? nearest(items, cursor.at);
    cursor = {lane: found.lane.id, at: item.at, mark: Boolean(item.cluster)};
    const focused = document.activeElement === plot;
    ring.hidden = tip.hidden = !focused;
    if (!focused) return;
    const [left, wide] = item.cluster ? [item.x - 8, 16] : [item.x - 2, Math.max(item.width, 4) + 4];
    const picture = found.row.querySelector("svg").getBoundingClientRect();
    const inRow = picture.top - found.row.getBoundingClientRect().top;
    place(ring, {left: axisBox.offsetLeft + left, top: found.row.offsetTop + inRow});
    ring.style.setProperty("width", `${wide}px`);
    if (speak) {
      spoken.textContent = describe(item, history.now());
      found.row.scrollIntoView({block: "nearest"});
    }
    showTip(item, found.row);
  }

  function step(by) {
    const found = lanes.find((one) => one.lane.id === cursor?.lane) ?? lanes[0];
    if (found === undefined) return;
    const items = itemsOf(found);
    const now = items.findIndex(isAtCursor);
    const next = items[now < 0 ? items.length - 1 : Math.max(0, Math.min(items.length - 1, now + by))];
    if (next === undefined) return;
    cursor = {lane: found.lane.id, at: next.at, mark: Boolean(next.cluster)};
    showCursor(true);
  }

  function changeLane(by) {
    const now = lanes.findIndex((one) => one.lane.id === cursor?.lane);
    const next = lanes[Math.max(0, Math.min(lanes.length - 1, now + by))];
    if (next === undefined) return;
    cursor = {lane: next.lane.id, at: cursor?.at ?? history.now(), mark: cursor?.mark ?? true};
    showCursor(true);
  }

  function open() {
    const found = lanes.find((one) => one.lane.id === cursor?.lane);
    if (found === undefined) return;
    const item = itemsOf(found).find(isAtCursor);
    if (item !== undefined) openItem(item, found.lane);
  }

  function openItem(item, lane) {
    if (lane.kind === "node") select(lane.subject);
    else if (item?.cluster && lane.kind === "nodes" && item.cluster.marks.length === 1) {
      select(item.cluster.marks[0].occurrence.subject);
    } else if (item?.cluster && item.cluster.marks.length > 1) zoom(0.25, item.at);
  }

  const KEYS = {
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    ArrowUp: () => changeLane(-1),
    ArrowDown: () => changeLane(1),
    Enter: open,
    "+": () => zoom(0.5, cursor?.at ?? null),
    "=": () => zoom(0.5, cursor?.at ?? null),
    "-": () => zoom(2, cursor?.at ?? null),
    PageUp: () => pan(-0.5),
    PageDown: () => pan(0.5),
    Home: () => look({length: view.length, until: null}),
  };
  plot.addEventListener("keydown", (event) => {
    const action = KEYS[event.key];
    if (action === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  plot.addEventListener("focus", () => {
    if (plot.matches(":focus-visible")) step(0);
  });
  plot.addEventListener("blur", () => {
    ring.hidden = tip.hidden = true;
  });

  let drag = null;
  plot.addEventListener("pointerdown", (event) => {
    if (event.button === 0) drag = {x: event.clientX, view, moved: false, id: event.pointerId};
  });
  plot.addEventListener("pointermove", (event) => {
    if (drag !== null && drag.id === event.pointerId) {
      const dx = event.clientX - drag.x;
      if (!drag.moved && Math.abs(dx) < 5) return;
      if (!drag.moved) plot.setPointerCapture(event.pointerId);
      drag.moved = true;
      tip.hidden = true;
      look(panned(drag.view, history.now(), (-dx / width) * view.length, LONGEST));
      return;
    }
    const found = at(event);
    if (found?.item) showTip(found.item, found.row);
    else tip.hidden = true;
    rows.classList.toggle("may-open", Boolean(found && (found.lane.kind === "node" || found.item?.cluster)));
  });
  plot.addEventListener("pointerup", (event) => {
    const moved = drag?.moved ?? true;
    drag = null;
    if (moved) return;
    const found = at(event);
    if (found === null) return;
    if (event.pointerType === "touch" && found.item !== null && tip.hidden) showTip(found.item, found.row);
    else openItem(found.item, found.lane);
  });
  plot.addEventListener("scroll", () => (tip.hidden = true), {passive: true});
  plot.addEventListener("pointercancel", () => (drag = null));
  plot.addEventListener("pointerleave", () => {
    if (document.activeElement !== plot || ring.hidden) tip.hidden = true;
  });
  plot.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const x = event.clientX - axisBox.getBoundingClientRect().left;
    const {since} = windowOf(view, history.now());
    zoom(event.deltaY > 0 ? 1.25 : 0.8, since + (x / width) * view.length);
  }, {passive: false});

  // When.

  const ended = history.onHistory(() => {
    if (history.state === "loading") return;
    ended();
    // Where nothing is known of most of eight hours, a shorter time is looked at.
    const young = history.state === "off" || history.now() - beginning(history.model) < HOUR;
    if (young && view.length === 8 * HOUR && view.until === null) {
      look({length: history.state === "off" ? SHORT : HOUR, until: null});
    }
  });
  history.onHistory(redrawSoon);
  const processesOf = ({actors}) =>
    actors.map(({name, pid, restarts}) => `${name} ${pid} ${restarts}`).join();
  let processes = store.status ? processesOf(store.status) : "";
  status?.subscribe((told) => {
    const now = processesOf(told);
    history.heard(processes !== "" && now !== processes);
    processes = now;
  });
  new ResizeObserver(redraw).observe(plot);
  new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    if (seen && dirty) {
      dirty = false;
      redraw();
    }
  }, {rootMargin: "200px"}).observe(element);
  setInterval(() => {
    const due = calm.matches ? CALM : STEADY;
    if (!document.hidden && performance.now() - drawnAt >= due) redraw();
  }, 1000);
  table.onOpen(redraw);
  redraw();
  return {};
}

function nearest(items, at) {
  return items.reduce((best, one) => (Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best));
}

function place(element, {left, top}) {
  element.style.setProperty("left", `${Math.round(left)}px`);
  element.style.setProperty("top", `${Math.round(top)}px`);
}
