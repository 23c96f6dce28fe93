// One node: everything the netmap says of it, and what changed.

import {isExitNode, routesOf, subnetsOf, tagName} from "./columns.js";
import {loadHistory} from "../history/history.js";
import {age, onlineWord, safe, shortName, textElement, timeElement} from "../format.js";

const ip = (prefix) => prefix.replace(/\/(32|128)$/, "");
const region = (id, {rest}) => {
  const found = rest.derp_map?.Regions?.[id];
  return found ? `${found.RegionName || found.RegionCode} (${id})` : String(id);
};

/** [title, value: nothing when there is none; a list is a line each, with `copied` a button to copy each] */
const GROUPS = [
  ["Addresses", [
    ["Name", (n) => n.name, {copied: true}],
    ["Addresses", (n) => (n.addresses ?? []).map(ip), {copied: true}],
    ["Endpoints", (n) => n.endpoints],
    ["Home relay", (n, store) => (n.home_derp ? region(n.home_derp, store) : "")],
  ]],
  ["State", [
    ["Online", (n) => (onlineWord(n) === "unknown" ? "unknown: the control server does not say" : onlineWord(n))],
    ["Last seen", (n) => n.last_seen, {time: true}],
    ["Key expires", (n) => n.key_expiry ?? "never", {time: true}],
    ["Key expired", (n) => (n.expired ? "yes" : "")],
    ["Created", (n) => n.created, {time: true}],
  ]],
  ["Whose", [
    ["User", (n) => n.user],
    ["Tags", (n) => (n.tags ?? []).map(tagName)],
    ["Shared by", (n) => n.sharer],
    ["System", (n) => n.os],
    ["Its own hostname", (n) => n.hostname],
  ]],
  ["Routes", [
    ["Exit node", (n) => (isExitNode(n) ? "yes" : "")],
    ["Subnets", subnetsOf],
    ["Primary for", (n) => n.routes],
    ["Allowed", (n) => (routesOf(n).length ? n.allowed_ips : [])],
  ]],
  ["Identity", [
    ["Stable ID", (n) => n.stable_id, {copied: true}],
    ["Node ID", (n) => n.id],
    ["Node key", (n) => n.key, {copied: true}],
    ["Machine key", (n) => n.machine_key],
    ["Disco key", (n) => n.disco_key],
  ]],
  ["Capabilities", [
    ["Version", (n) => n.cap],
    ["Granted", (n) => Object.keys(n.cap_map ?? {})],
    ["Jailed", (n) => (n.jailed ? "yes" : "")],
    ["WireGuard only", (n) => (n.wireguard_only ? "yes" : "")],
    ["Not read", (n) => (n.decoded === false ? "yes: some of what the control server says of it" : "")],
  ]],
];

const HAPPENED = {
  node_joined: "joined",
  node_left: "left",
  node_online: "came online",
  node_offline: "went offline",
  node_key_changed: "its key changed",
  node_key_expiring: "its key expires soon",
  node_key_expired: "its key expired",
};
const SHOWN = 50;
const MOST = 200;
/** Lines of one fact: a node may have ten thousand tags. */
const SETTLES_MS = 1000;

/**
 * @param {HTMLElement} element
 * @param {{store: Object, select: (id: string|null) => void}} context
 * @returns {{selected: (id: string|null) => void}}
 */
export function mount(element, {store, select}) {
  const parts = build(element);
  const facts = parts.facts;
  let id = null;
  let node = null;
  let leftAt = "";
  let before = null;
  let asking = null;
  let timer = 0;

  function show() {
    const now = store.node(id);
    if (now) {
      node = now;
      leftAt = "";
    }
    const name = node ? shortName(node) : id;
    write(parts.title, safe(name, 80));
    write(parts.full, node && node.name !== name ? safe(node.name, 255) : "");
    parts.state.hidden = !now;
    if (now) {
      parts.state.dataset.online = onlineWord(node);
      write(parts.state, onlineWord(node));
    }
    showGone(Boolean(now));
    facts.hidden = !node;
    parts.raw.hidden = !node;
    if (!node) return;
    for (const fact of parts.rows) showFact(fact, node);
    for (const group of facts.children) {
      group.hidden = [...group.querySelectorAll(".fact")].every((one) => one.hidden);
    }
    if (parts.raw.open) writeRaw();
  }

  function showGone(there) {
    parts.gone.hidden = there || store.trust.state === "none";
    if (parts.gone.hidden) return;
    const when = leftAt ? ` at ${timeElement(leftAt).textContent}` : "";
    write(parts.gone, node
      ? `This node left the netmap${when}. What stands here is how it was last.`
      : "No node of the netmap has this ID now. It may have left, or be one this node may not see.");
  }

  function showFact({element: row, value, options, told}, of) {
    const found = value(of, store);
    const all = (Array.isArray(found) ? found : [found]).filter((one) => one !== null && one !== undefined && one !== "");
    const items = all.slice(0, MOST);
    const key = JSON.stringify([items, all.length]);
    if (told.key === key) return;
    told.key = key;
    row.hidden = items.length === 0;
    const rest = all.length > MOST ? [textElement("span", "muted", `and ${all.length - MOST} more: see its JSON`)] : [];
    row.lastChild.replaceChildren(...items.map((item) => factElement(item, options)), ...rest);
  }

  function writeRaw() {
    // Line by line: its own line breaks stay, those that a stranger wrote are escapes already.
    write(parts.json, JSON.stringify(node, null, 2).split("\n").map((line) => safe(line, 5000)).join("\n"));
  }

  async function askHistory() {
    clearTimeout(timer);
    if (id === null) return;
    asking?.abort();
    const own = (asking = new AbortController());
    try {
      const answer = await loadHistory({peer: id, since: "7d", signal: own.signal});
      if (own === asking) showHistory(answer.occurrences.filter((one) => one.subject === id).reverse());
    } catch (error) {
      if (own !== asking) return;
      parts.changes.replaceChildren();
      write(parts.note, error.off ? "The daemon keeps no history." : "What changed cannot be loaded now.");
    }
  }

  function showHistory(found) {
    if (!node && found[0]?.name) write(parts.title, safe(found[0].name, 80));
    parts.changes.replaceChildren(...found.slice(0, SHOWN).map(happened));
    const more = found.length > SHOWN ? `The last ${SHOWN} of ${found.length} in 7 days.` : "";
    write(parts.note, found.length ? more : "Nothing is recorded of it in the last 7 days.");
  }

  function open(wanted) {
    if (wanted === id) return;
    const closed = id === null;
    if (closed) before = document.activeElement;
    id = wanted;
    node = null;
    leftAt = "";
    element.hidden = id === null;
    document.documentElement.toggleAttribute("data-panel", id !== null);
    cover();
    asking?.abort();
    parts.changes.replaceChildren();
    write(parts.note, "");
    parts.raw.open = false;
    if (id === null) {
      if (before?.isConnected) before.focus({preventScroll: true});
      return;
    }
    show();
    element.scrollTop = 0;
    askHistory();
    if (document.activeElement !== document.body) element.focus({preventScroll: true});
  }

  // Where the panel hides everything, nobody gets behind it with the keyboard.
  const covers = matchMedia("(max-width: 28rem)");
  function cover() {
    const others = document.querySelectorAll("#main > section, #side > section");
    for (const other of others) other.inert = id !== null && covers.matches;
  }

  covers.addEventListener("change", cover);
  parts.close.addEventListener("click", () => select(null));
  parts.raw.addEventListener("toggle", () => parts.raw.open && node && writeRaw());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || id === null || event.defaultPrevented) return;
    event.preventDefault();
    select(null);
  });
  store.subscribe((turn) => {
    if (id === null || !(turn.whole || turn.nodes.has(id))) return;
    if (node && !store.node(id) && !leftAt) leftAt = new Date().toISOString();
    show();
    clearTimeout(timer);
    timer = setTimeout(askHistory, SETTLES_MS);
  });
  return {selected: open};
}

function happened(one) {
  const item = document.createElement("li");
  const what = document.createElement("span");
  const said = HAPPENED[one.kind];
  const changes = Object.entries(one.detail ?? {}).filter(([, value]) => value && typeof value === "object" && "to" in value);
  const lines = changes.map(([name, {from, to}]) => `${name.replaceAll("_", " ")}: ${plain(from)} → ${plain(to)}`);
  what.textContent = [said ?? (lines.length ? "" : one.kind.replace(/^node_/, "").replaceAll("_", " ")),
    ...lines.map((line) => safe(line))].filter(Boolean).join("; ");
  item.append(timeElement(one.at), " ", what);
  return item;
}

function plain(value) {
  if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) return "none";
  if (Array.isArray(value)) return value.map(plain).join(", ");
  // Of a key its beginning tells two apart.
  if (/^[a-z]+key:[0-9a-f]{64}$/.test(value)) return `${value.slice(0, value.indexOf(":") + 7)}…`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function factElement(item, {time = false, copied = false}) {
  const line = document.createElement("span");
  line.className = "line";
  if (time && !Number.isNaN(Date.parse(item))) {
    line.append(timeElement(item), textElement("span", "muted", distance(item)));
    return line;
  }
  line.append(textElement("bdi", "", item));
  if (copied) line.append(copyButton(String(item)));
  return line;
}

function distance(rfc3339) {
  const seconds = (Date.now() - Date.parse(rfc3339)) / 1000;
  return seconds >= 0 ? `${age(seconds)} ago` : `in ${age(-seconds)}`;
}

function copyButton(text) {
  const button = Object.assign(document.createElement("button"), {type: "button", className: "copy", textContent: "Copy"});
  button.setAttribute("aria-label", `Copy ${safe(text, 80)}`);
  button.addEventListener("click", async () => {
    button.textContent = (await copy(text)) ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}

/** Without TLS and away from this machine a page has no clipboard of the new kind. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const field = Object.assign(document.createElement("textarea"), {value: text, className: "visually-hidden"});
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

function build(element) {
  const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);
  const title = make("h2", {className: "name"});
  const full = make("p", {className: "full name"});
  const state = make("span", {className: "online"});
  const close = make("button", {type: "button", className: "close", textContent: "×"});
  close.setAttribute("aria-label", "Close");
  const words = make("div");
  words.append(title, full);
  const head = make("div", {className: "head"});
  head.append(words, state, close);
  const gone = make("p", {className: "gone", hidden: true});
  gone.setAttribute("role", "status");
  const facts = make("div", {className: "facts"});
  const rows = [];
  for (const [name, members] of GROUPS) {
    const group = make("section");
    const list = make("dl");
    for (const [label, value, options = {}] of members) {
      const row = make("div", {className: "fact", hidden: true});
      row.append(make("dt", {textContent: label}), make("dd"));
      list.append(row);
      rows.push({element: row, value, options, told: {key: "[[],0]"}});
    }
    group.append(make("h3", {textContent: name}), list);
    facts.append(group);
  }
  const changed = make("section", {className: "changed"});
  const changes = make("ol", {className: "changes"});
  const note = make("p", {className: "muted"});
  changed.append(make("h3", {textContent: "What changed"}), changes, note);
  const raw = make("details", {className: "raw"});
  const json = make("pre", {tabIndex: 0});
  json.setAttribute("aria-label", "Its JSON");
  json.setAttribute("role", "region");
  raw.append(make("summary", {textContent: "JSON"}), json);
  element.append(head, gone, changed, facts, raw);
  return {title, full, state, close, gone, facts, rows, changes, note, raw, json};
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
