// What all parts of the page write alike: durations, sizes, times, and text that strangers chose. Pure.

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;
const SHORT_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r"};

/**
 * Text that somebody else chose, made visible: controls, bidirectional marks and what prints as nothing become
 * escapes, as the terminal shows them. At most `limit` characters.
 * @param {unknown} text
 * @param {number} [limit]
 */
export function safe(text, limit = 300) {
  const all = Array.from(String(text ?? "").slice(0, limit * 2 + 2));
  const cut = all.length > limit ? all.slice(0, limit) : all;
  const shown = cut.join("").replace(HIDDEN, (c) => SHORT_ESCAPES[c] ?? escaped(c.codePointAt(0)));
  return all.length > limit ? `${shown}…` : shown;
}

function escaped(code) {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/**
 * A span of time: "12 s", "3 min", "2 h 5 min", "4 d 2 h".
 * @param {number|null|undefined} seconds
 */
export function age(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "unknown";
  const s = Math.max(0, Math.floor(seconds));
  if (s < 120) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 24) return min % 60 ? `${h} h ${min % 60} min` : `${h} h`;
  const d = Math.floor(h / 24);
  return h % 24 && d < 10 ? `${d} d ${h % 24} h` : `${d} d`;
}

/**
 * "512 B", "33.0 MiB".
 * @param {number|null|undefined} count
 */
export function bytes(count) {
  if (count === null || count === undefined) return "unknown";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let value = count;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at ? value.toFixed(1) : value} ${units[at]}`;
}

const pad = (number) => String(number).padStart(2, "0");

/**
 * The moment in the reader's time zone: "05:12:13" if it is of the day of `now`, else "2026-11-28 05:12:13". A text
 * that is no time is shown as it is.
 * @param {string|null|undefined} rfc3339
 * @param {Date} [now]
 */
export function localTime(rfc3339, now = new Date()) {
  if (!rfc3339) return "";
  const at = new Date(rfc3339);
  if (Number.isNaN(at.getTime())) return safe(rfc3339);
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return at.toDateString() === now.toDateString() ? time : `${localDay(at)} ${time}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * The same where there is little room: "05:12:13" today, "Nov 28, 05:12" this year, else "2025-11-28".
 * @param {string|null|undefined} rfc3339
 * @param {Date} [now]
 */
export function shortTime(rfc3339, now = new Date()) {
  const at = new Date(rfc3339 ?? "");
  if (Number.isNaN(at.getTime()) || at.toDateString() === now.toDateString()) return localTime(rfc3339, now);
  if (at.getFullYear() !== now.getFullYear()) return localDay(at);
  return `${MONTHS[at.getMonth()]} ${at.getDate()}, ${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

/** @param {Date} at */
export function localDay(at) {
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}

/**
 * A <time> with the local time, and the text of the server as its title.
 * @param {string} rfc3339
 */
export function timeElement(rfc3339) {
  const element = document.createElement("time");
  element.dateTime = safe(rfc3339);
  element.title = safe(rfc3339);
  element.textContent = localTime(rfc3339);
  return element;
}

/**
 * An element of text from elsewhere, which cannot reorder what stands around it.
 * @param {string} tag
 * @param {string} className
 * @param {unknown} [text]
 */
export function textElement(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = safe(text);
  return element;
}

/** The first label of a node's name; names may be empty: then its stable id. */
export function shortName(node) {
  return node.name ? node.name.split(".", 1)[0] : node.stable_id;
}

/** The address of a node on the page; what no address can hold of its id is replaced. */
export const nodeHash = (id) => `#node=${encodeURIComponent(String(id).toWellFormed())}`;

/** "online", "offline" or "unknown": what the server did not say is not offline. */
export function onlineWord(node) {
  if (node.online === null || node.online === undefined) return "unknown";
  return node.online ? "online" : "offline";
}
