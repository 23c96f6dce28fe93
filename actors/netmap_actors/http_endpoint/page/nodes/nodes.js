// The table of nodes. Only the rows in sight are in the document; they are written once a frame, and only what differs.

import {acceptance, CHIPS, COLUMNS} from "./columns.js";
import {createOrder} from "./order.js";
import {nodeHash, onlineWord, safe} from "../format.js";

const BEYOND = 4;
/** Rows kept above and below those in sight, so that scrolling shows no gap. */
const PRINTED = 500;
/** Rows of a printed page, which cannot be scrolled. */
const TALLEST = 15_000_000;
/** Pixels: Firefox ends a box after 17.9 million, Chromium after 33.5. Of more rows the scroll bar's way is shortened. */
const SETTLED_MS = 700;
/** How long nobody writes before what was found is spoken. */
const MINUTE_MS = 60_000;
const NARROW = "\u202f";

/**
 * @param {HTMLElement} element
 * @param {{store: Object, select: (id: string|null) => void}} context
 * @returns {{selected: (id: string|null) => void}}
 */
export function mount(element, {store, select}) {
  const order = createOrder();
  const chosen = new Set();
  const {search, count, spoken, chips, scroller, table, head, body, empty} = build(element);
  let slots = [];
  let first = 0;
  let rowHeight = 36;
  let headHeight = 36;
  let active = null;
  let selected = null;
  let drawing = false;
  let measured = false;
  let printing = false;
  let speaking = 0;
  // Kept, not asked for: to ask lays the page out anew.
  let top = 0;
  let viewHeight = 600;
  let height = -1;
  /** Pixels of rows for one of the scroll bar; `top` counts those of rows. */
  let scale = 1;

  function draw() {
    drawing = false;
    const {rows} = order;
    grow();
    const sight = printing ? PRINTED : Math.ceil(viewHeight / rowHeight) + 2 * BEYOND;
    const last = Math.max(0, rows.length - sight);
    const from = printing ? 0 : Math.min(last, Math.max(0, Math.floor(top / rowHeight) - BEYOND));
    arrange(Math.min(sight, rows.length), from);
    slots.forEach((slot, at) => fill(slot, rows[from + at], from + at));
    if (slots.length && !measured) measure();
    const there = slots.find((slot) => slot.row?.id === active);
    if (there) table.setAttribute("aria-activedescendant", there.element.id);
    else table.removeAttribute("aria-activedescendant");
  }

  function grow() {
    const wanted = (printing ? Math.min(PRINTED, order.rows.length) : order.rows.length) * rowHeight;
    if (wanted === height) return;
    height = wanted;
    const tall = Math.min(height, TALLEST);
    body.style.setProperty("block-size", `${tall}px`);
    const before = scale;
    const rest = headHeight - viewHeight;
    scale = (height + rest) / (tall + rest) || 1;
    if (scale !== before) scrollTo(top);
  }

  function scrollTo(wanted) {
    grow();
    scroller.scrollTop = wanted / scale;
    top = scroller.scrollTop * scale;
  }

  // The rows of the document stay in the order of the table: those that left the sight go to the other end.
  function arrange(wanted, from) {
    while (slots.length < wanted) {
      const slot = makeSlot();
      slots.push(slot);
      body.append(slot.element);
    }
    for (const slot of slots.splice(wanted)) slot.element.remove();
    const by = from - first;
    if (by > 0 && by < slots.length) {
      const moved = slots.splice(0, by);
      body.append(...moved.map((slot) => slot.element));
      slots.push(...moved);
    } else if (by < 0 && -by < slots.length) {
      const moved = slots.splice(by);
      body.prepend(...moved.map((slot) => slot.element));
      slots.unshift(...moved);
    }
    first = from;
  }

  function fill(slot, row, index) {
    const {element: tr} = slot;
    const at = index * rowHeight - (top - top / scale);
    if (slot.index !== index || slot.at !== at) {
      slot.index = index;
      slot.at = at;
      tr.style.setProperty("transform", `translateY(${at}px)`);
      tr.setAttribute("aria-rowindex", String(index + 2));
      tr.classList.toggle("even", index % 2 === 1);
    }
    toggle(slot, "active", row.id === active);
    if (toggle(slot, "selected", row.id === selected)) tr.setAttribute("aria-selected", String(row.id === selected));
    if (slot.row === row) return;
    slot.row = row;
    const {node} = row;
    COLUMNS.forEach(({text}, at) => write(slot.texts[at], text(node)));
    slot.link.setAttribute("href", nodeHash(row.id));
    slot.link.title = safe(node.name, 255);
    slot.own.hidden = !row.self;
    write(slot.own, row.self ? "this node" : "");
    slot.state.dataset.online = onlineWord(node);
    const seen = slot.cells.last_seen;
    if (seen.title !== safe(node.last_seen)) seen.title = safe(node.last_seen);
    for (const name of ["tags", "routes", "user"]) slot.cells[name].title = slot.cells[name].textContent;
  }

  function soon() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(draw);
  }

  /** Changes the rows, and keeps what the reader looks at where it is. */
  function keeping(change) {
    const at = Math.floor(top / rowHeight);
    const seen = at + Math.floor((viewHeight - headHeight) / rowHeight);
    const cursor = active === null ? -1 : order.indexOf(active);
    const fixed = cursor >= at && cursor < seen && document.activeElement === table ? cursor : at;
    const id = top > 0 || fixed !== at ? order.rows[fixed]?.id : undefined;
    change();
    const now = id === undefined ? -1 : order.indexOf(id);
    if (now >= 0 && now !== fixed) scrollTo(top + (now - fixed) * rowHeight);
    tell();
  }

  function tell() {
    const total = order.size - (store.self ? 1 : 0);
    const filtered = search.value.trim() !== "" || chosen.size > 0;
    const peers = total === 1 ? "peer" : "peers";
    write(count, filtered ? `${number(order.peers)} of ${number(total)} ${peers}` : `${number(total)} ${peers}`);
    table.setAttribute("aria-rowcount", String(order.rows.length + 1));
    const none = order.rows.length === 0;
    empty.hidden = !none;
    table.hidden = none && order.size === 0;
    if (none) {
      const nothing = store.trust.state === "none" ? "No netmap has come yet." : "This node sees no other nodes.";
      write(empty.firstChild, order.size ? "No node is like that." : nothing);
      empty.lastChild.hidden = order.size === 0;
    }
    soon();
  }

  function refilter() {
    order.filter(acceptance(search.value, chosen));
    scrollTo(0);
    tell();
    clearTimeout(speaking);
    speaking = setTimeout(() => write(spoken, count.textContent), SETTLED_MS);
  }

  function clear() {
    search.value = "";
    for (const chip of chips) chip.setAttribute("aria-pressed", "false");
    chosen.clear();
    refilter();
  }

  function sortBy(name, down) {
    order.sortBy(name, down);
    for (const th of head.children) {
      const here = th.dataset.column === name;
      th.setAttribute("aria-sort", here ? (down ? "descending" : "ascending") : "none");
    }
    scrollTo(0);
    tell();
  }

  function go(index) {
    const to = Math.min(order.rows.length - 1, Math.max(0, index));
    if (to < 0) return;
    active = order.rows[to].id;
    const highest = to * rowHeight;
    const lowest = highest + rowHeight - (viewHeight - headHeight);
    if (top > highest) scrollTo(highest);
    else if (top < lowest) scrollTo(lowest);
    // At once: what a screen reader is told to look at has to be there.
    draw();
  }

  /** Into the window: the table is focused whole, and Firefox leaves it where a part of it is in sight. */
  function bring() {
    scroller.scrollIntoView({block: "nearest"});
  }

  function onKey(event) {
    if (event.target !== table || event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor((viewHeight - headHeight) / rowHeight) - 1);
    const at = active === null ? -1 : order.indexOf(active);
    const steps = {ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0,
      End: order.rows.length - 1};
    if (event.key in steps) {
      go(steps[event.key]);
      bring();
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) select(active);
    else if (event.key === "Escape" && selected !== null) select(null);
    else return;
    event.preventDefault();
  }

  function measure() {
    const probe = slots[0]?.element.offsetHeight;
    measured = Boolean(probe);
    headHeight = head.offsetHeight || headHeight;
    viewHeight = scroller.clientHeight;
    height = -1;
    if (probe && probe !== rowHeight) {
      const at = top / rowHeight;
      rowHeight = probe;
      scrollTo(at * rowHeight);
    }
    soon();
  }

  table.addEventListener("keydown", onKey);
  table.addEventListener("focus", () => {
    if (active === null || order.indexOf(active) < 0) go(Math.floor(top / rowHeight));
    // Not under somebody's mouse.
    if (table.matches(":focus-visible")) bring();
  });
  body.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || getSelection().type === "Range") return;
    const slot = slots.find(({element: tr}) => tr.contains(event.target));
    if (!slot?.row) return;
    event.preventDefault();
    active = slot.row.id;
    select(active);
    soon();
  });
  head.addEventListener("click", (event) => {
    const name = event.target.closest("th")?.dataset.column;
    if (!name) return;
    const {latestFirst = false} = COLUMNS.find((column) => column.name === name);
    sortBy(name, order.sort.name === name ? !order.sort.descending : latestFirst);
  });
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      const pressed = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(pressed));
      if (pressed) chosen.add(chip.dataset.chip);
      else chosen.delete(chip.dataset.chip);
      refilter();
    });
  }
  empty.lastChild.addEventListener("click", clear);
  search.addEventListener("input", refilter);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && search.value) {
      event.preventDefault();
      event.stopPropagation();
      clear();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      table.focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || writes || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    search.focus();
    search.select();
  });
  scroller.addEventListener("scroll", () => {
    top = scroller.scrollTop * scale;
    soon();
  }, {passive: true});
  const watch = new ResizeObserver(measure);
  watch.observe(scroller);
  watch.observe(head);

  for (const [name, now] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(name, () => {
      printing = now;
      draw();
    });
  }
  // What is told by the clock: a day ends, a key expires soon.
  setInterval(() => {
    for (const slot of slots) slot.row = null;
    soon();
  }, MINUTE_MS);

  store.subscribe((turn) => {
    if (turn.whole) keeping(() => order.reset(store.nodes, store.self));
    else if (turn.nodes.size) keeping(() => order.update(turn.nodes, store.node, store.self));
    else return;
  });
  order.reset(store.nodes, store.self);
  sortBy("name", false);

  return {
    selected(id) {
      selected = id;
      soon();
    },
  };
}

function build(element) {
  const search = Object.assign(document.createElement("input"), {type: "search", placeholder: "Search", id: "search"});
  for (const [name, value] of [["autocomplete", "off"], ["spellcheck", "false"], ["aria-keyshortcuts", "/"],
    ["aria-describedby", "search-help"]]) search.setAttribute(name, value);
  const label = make("label", {className: "visually-hidden", textContent: "Search nodes", htmlFor: "search"});
  const help = make("span", {id: "search-help", className: "help"});
  help.append("such as ");
  for (const word of ["tag:web", "online:no", "os:linux", "-user:alice"]) {
    help.append(make("code", {textContent: word}), " ");
  }
  const count = make("span", {className: "count"});
  // Not the count itself: it changes as the nodes do.
  const spoken = make("span", {className: "visually-hidden"});
  spoken.setAttribute("role", "status");
  const chips = CHIPS.map(({name, title}) => {
    const chip = make("button", {type: "button", className: "chip", textContent: title});
    chip.dataset.chip = name;
    chip.setAttribute("aria-pressed", "false");
    return chip;
  });
  const filters = make("div", {className: "chips"});
  filters.setAttribute("role", "group");
  filters.setAttribute("aria-label", "Show only");
  filters.append(...chips);
  const tools = make("div", {className: "tools"});
  tools.append(label, search, help, filters);

  const table = make("table", {className: "grid", tabIndex: 0});
  for (const [name, value] of [["role", "grid"], ["aria-label", "Nodes"], ["aria-readonly", "true"]]) {
    table.setAttribute(name, value);
  }
  const thead = rowgroup("thead");
  const head = make("tr");
  head.setAttribute("role", "row");
  head.setAttribute("aria-rowindex", "1");
  for (const {name, title} of COLUMNS) {
    const th = make("th", {className: `c-${name}`, scope: "col"});
    th.setAttribute("role", "columnheader");
    th.dataset.column = name;
    th.append(make("button", {type: "button", textContent: title}));
    head.append(th);
  }
  thead.append(head);
  const body = rowgroup("tbody");
  table.append(thead, body);
  // Firefox stops at whatever scrolls; here the keys are those of the table in it.
  const scroller = make("div", {className: "scroller", tabIndex: -1});
  const empty = make("div", {className: "empty", hidden: true});
  empty.append(make("p"), make("button", {type: "button", textContent: "Show all nodes"}));
  scroller.append(table, empty);
  const title = make("div", {className: "title"});
  title.append(element.querySelector("h2"), count, spoken);
  element.append(title, tools, scroller);
  return {search, count, spoken, chips, scroller, table, head, body, empty};
}

let made = 0;

function makeSlot() {
  const tr = make("tr", {id: `row-${(made += 1)}`});
  tr.setAttribute("role", "row");
  tr.setAttribute("aria-selected", "false");
  const slot = {element: tr, row: null, index: -1, at: 0, texts: [], cells: {}, active: false, selected: false};
  for (const {name} of COLUMNS) {
    const td = make("td", {className: `c-${name}`});
    td.setAttribute("role", "gridcell");
    const text = document.createTextNode("");
    if (name === "name") {
      slot.link = make("a", {className: "name", tabIndex: -1});
      slot.link.append(text);
      slot.own = make("span", {className: "own", hidden: true});
      td.append(slot.link, slot.own);
    } else if (name === "online") {
      slot.state = make("span", {className: "online"});
      slot.state.append(text);
      td.append(slot.state);
    } else td.append(text);
    slot.texts.push(text);
    slot.cells[name] = td;
    tr.append(td);
  }
  return slot;
}

/** Whether it changed. */
function toggle(slot, name, on) {
  if (slot[name] === on) return false;
  slot[name] = on;
  slot.element.classList.toggle(name, on);
  return true;
}

function rowgroup(tag) {
  const group = document.createElement(tag);
  group.setAttribute("role", "rowgroup");
  return group;
}

const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);
const number = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, NARROW);

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
