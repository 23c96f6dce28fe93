/** What happened last, the newest first; floods are told in one line. */

import {follow} from "./history/history.js";
import {swatch} from "./timeline/drawing.js";
import {condensed, isOfNode, lineSentence, local} from "./history/occurrences.js";

const MOST = 50;
const PACE = 1000;
/** Milliseconds between two changes of the list at least. */

/**
 * @param {HTMLElement} element
 * @param {{store: Object, format: Object, select: (id: ?string) => void}} page
 */
export function mount(element, {store, format, select}) {
  const history = follow(store);
  const log = document.createElement("div");
  log.className = "recent";
  log.tabIndex = 0;
  log.setAttribute("role", "log");
  log.setAttribute("aria-live", "polite");
  log.setAttribute("aria-relevant", "additions");
  log.setAttribute("aria-label", "What happened last");
  const list = document.createElement("ol");
  log.append(list);
  const nothing = document.createElement("p");
  nothing.className = "notice";
  element.append(nothing, log);
  const rows = new Map();
  let timer = 0;
  let filledAt = -Infinity;

  function fill() {
    timer = 0;
    filledAt = performance.now();
    const now = history.now();
    const lines = condensed(history.recent(), MOST);
    nothing.hidden = lines.length > 0;
    const why = history.state === "loading" ? "Loading …" : "Nothing happened yet.";
    nothing.textContent = lines.length > 0 ? "" : why;
    const there = new Set(lines.map((line) => line.key));
    for (const [key, row] of rows) {
      if (there.has(key)) continue;
      row.remove();
      rows.delete(key);
    }
    let before = list.firstElementChild;
    for (const line of lines) {
      let row = rows.get(line.key);
      if (row === undefined) {
        row = made(line, now);
        rows.set(line.key, row);
      }
      if (row === before) before = before.nextElementSibling;
      else list.insertBefore(row, before);
    }
  }

  function made(line, now) {
    const row = document.createElement("li");
    row.className = line.tone;
    const time = document.createElement("time");
    time.dateTime = new Date(line.at).toISOString();
    time.title = time.dateTime;
    time.textContent = local(line.at, now);
    const text = document.createElement("span");
    text.className = "sentence";
    const subject = line.one !== null && isOfNode(line.one.kind) ? line.one.subject : null;
    if (subject !== null) {
      const link = document.createElement("button");
      link.type = "button";
      link.className = "link";
      const name = document.createElement("bdi");
      name.textContent = format.safe((line.one.name || subject).split(".", 1)[0], 100);
      link.append(name);
      link.addEventListener("click", () => select(subject));
      text.append(link, lineSentence(line, now).slice(name.textContent.length));
    } else {
      text.textContent = lineSentence(line, now);
    }
    row.append(time, swatch("mark", line.tone), text);
    return row;
  }

  function soon() {
    if (timer !== 0) return;
    timer = setTimeout(fill, Math.max(0, PACE - (performance.now() - filledAt)));
  }

  history.onHistory(soon);
  fill();
  return {};
}
