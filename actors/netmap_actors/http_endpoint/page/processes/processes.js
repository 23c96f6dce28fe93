/** The tree of processes, and what is degraded: of GET /status, each 5 s while the page is visible. */

import {actorRows, changesOf} from "./rows.js";

const OLD = 12_000;
/** Milliseconds after which the last answer is said to be old. */
const COLUMNS = [
  ["name", "Process"], ["state", "State"], ["restarts", "Restarts"], ["memory", "Memory"], ["up", "Up"],
];

/** @param {HTMLElement} element @param {{status: Object, store: Object, format: Object}} page */
export function mount(element, {store, status, format}) {
  const make = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const degraded = make("ul", "degraded");
  degraded.setAttribute("role", "list");
  const old = make("p", "notice", "Not asked yet.");
  const spoken = make("p", "visually-hidden");
  spoken.setAttribute("role", "status");
  const box = make("div", "scrolls");
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Processes");
  const table = make("table", "processes");
  const caption = make("caption", "visually-hidden", "The Supervisor and its children, in the order of their start");
  const head = make("thead");
  const headRow = make("tr");
  for (const [name, title] of COLUMNS) {
    const cell = make("th", name, title);
    cell.scope = "col";
    headRow.append(cell);
  }
  head.append(headRow);
  const body = make("tbody");
  table.append(caption, head, body);
  box.append(table);
  box.hidden = true;
  element.append(degraded, old, box, spoken);

  const rows = new Map();
  let last = null;
  let at = performance.now();

  function say(cell, text) {
    if (cell.textContent !== text) cell.textContent = text;
  }

  function show(told) {
    const changes = last === null ? [] : changesOf(last.actors, told.actors);
    if (changes.length > 0) spoken.textContent = `${changes.join(". ")}.`;
    last = told;
    at = performance.now();
    box.hidden = false;
    old.hidden = true;
    element.classList.remove("old");
    const wanted = actorRows(told, format);
    const there = new Set(wanted.map((row) => row.key));
    for (const [key, row] of rows) {
      if (there.has(key)) continue;
      row.element.remove();
      row.second.remove();
      rows.delete(key);
    }
    wanted.forEach((told, index) => {
      let row = rows.get(told.key);
      if (row === undefined) {
        row = {element: make("tr"), second: make("tr"), more: make("td"), cells: new Map()};
        row.more.colSpan = COLUMNS.length;
        row.second.append(row.more);
        for (const [name] of COLUMNS) {
          const cell = make(name === "name" ? "th" : "td", name);
          if (name === "name") cell.scope = "row";
          row.cells.set(name, cell);
          row.element.append(cell);
        }
        rows.set(told.key, row);
      }
      for (const [name, cell] of row.cells) say(cell, told[name]);
      say(row.more, told.more);
      const place = [told.child ? "child" : "", told.last ? "last" : ""];
      row.element.className = ["actor", ...place, told.tone].filter(Boolean).join(" ");
      row.second.className = ["about", ...place, told.ended ? "ended" : ""].filter(Boolean).join(" ");
      if (body.children[2 * index] !== row.element) {
        body.insertBefore(row.element, body.children[2 * index] ?? null);
        row.element.after(row.second);
      }
    });
    showDegraded(told.degraded ?? []);
  }

  function showDegraded(conditions) {
    const text = JSON.stringify(conditions);
    if (degraded.dataset.told === text) return;
    degraded.dataset.told = text;
    degraded.replaceChildren(
      ...conditions.map(({code, text: why, since}) => {
        const item = make("li");
        item.append(make("strong", "", `Degraded, ${format.safe(code, 60).replaceAll("_", " ")}: `));
        item.append(format.safe(why, 1000), " Since ", format.timeElement(since), ".");
        return item;
      }),
    );
    degraded.hidden = conditions.length === 0;
  }

  function age() {
    if (document.hidden || performance.now() - at < OLD) return;
    if (last === null) {
      say(old, "The Supervisor has not said how its processes are.");
      return;
    }
    element.classList.add("old");
    old.hidden = false;
    const silent = format.age((performance.now() - at) / 1000);
    say(old, `The Supervisor has not answered for ${silent}: this is how it was.`);
  }

  degraded.hidden = true;
  status?.subscribe(show);
  if (store.status) show(store.status);
  // A netmap that goes stale is most often a process that ended.
  store.subscribe((turn) => {
    if (turn.changes.some(({kind}) => kind === "state_changed" || kind === "snapshot")) status?.ask();
  });
  setInterval(age, 1000);
  return {};
}
