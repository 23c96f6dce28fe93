/** What happened, in words as `netmap-supervisor history` has them, and floods made short: pure. */

import {age, localTime, safe} from "../format.js";

const SHOWN = {
  run_started: {version: "version ", control_url: "of "},
  actor_started: {pid: "pid "},
  actor_exited: {pid: "pid ", reason: "", detail: ""},
  map_session_started: {pid: "pid ", local: "from ", remote: "to "},
  session_ended: {reason: "", stage: "in stage ", lived_s: "after ", detail: ""},
  login_needed: {},
  silence_detected: {silent_for: "for "},
  wake_detected: {slept_s: "asleep for "},
  clock_stepped: {by_s: "seconds: "},
  link_changed: {route: "", before: "before: "},
  netmap_fresh: {reason: ""},
  netmap_stale: {reason: ""},
  degraded: {text: ""},
  healed: {},
  stopping: {reason: ""},
  node_online: {},
  node_offline: {},
  node_key_expiring: {expires: "at "},
};
/** What is shown of the details, and what stands before each; of other kinds everything, by name. */

const LENGTHS = new Set(["lived_s", "silent_for", "slept_s"]);
/** Details in seconds. */

const TRUST = new Map(Object.entries({
  session_started: "a new session",
  session_ended: "the connection ended",
  silence: "the control server fell silent",
  gap: "a change was missed",
  caught_up: "caught up with the publisher",
  publisher_ended: "the publisher ended",
}));

/** Why the netmap became fresh or stale. @param {string} reason */
export function trustReason(reason) {
  return TRUST.get(reason) ?? safe(reason, 100).replaceAll("_", " ");
}

const TONES = {
  bad: [
    "actor_exited", "silence_detected", "session_ended", "netmap_stale", "degraded", "gap", "node_removed",
    "login_needed",
  ],
  good: ["netmap_fresh", "healed", "map_session_started", "actor_started", "run_started"],
  gone: ["node_offline", "node_left", "node_key_expired"],
  come: ["node_online", "node_joined"],
};
const TONE = new Map(Object.entries(TONES).flatMap(([tone, kinds]) => kinds.map((kind) => [kind, tone])));

/**
 * @typedef {"bad"|"good"|"gone"|"come"|"other"} Tone  What a mark looks like: `bad` a cross, `good` a square,
 *   `gone` a triangle that points down, `come` one that points up, `other` a diamond.
 */

/** @param {string} kind @returns {Tone} */
export function toneOf(kind) {
  return TONE.get(kind) ?? "other";
}

/** @param {string} kind */
export function isOfNode(kind) {
  return kind.startsWith("node_") && kind !== "node_removed";
}

/** "offline", "session ended". @param {string} kind */
export function what(kind) {
  const bare = isOfNode(kind) ? kind.slice("node_".length) : kind;
  return safe(bare.replaceAll("_", " "), 60);
}

/** Whom it is about: the first label of a node's name, or the actor. @param {Occurrence} one */
export function who(one) {
  return safe(one.name ? one.name.split(".", 1)[0] : one.subject, 100);
}

/** @param {Occurrence} one @param {number} now Milliseconds. */
export function detail(one, now) {
  const parts = [];
  const wanted = SHOWN[one.kind];
  for (const [name, given] of Object.entries(one.detail)) {
    if (given === null || given === "" || (wanted !== undefined && !(name in wanted))) continue;
    if (name === "reason" && (one.kind === "netmap_fresh" || one.kind === "netmap_stale")) {
      parts.push(trustReason(given));
    } else if (LENGTHS.has(name) && wanted !== undefined && typeof given === "number") {
      parts.push(`${wanted[name]}${age(given)}`);
    } else if (typeof given === "object" && "from" in given && "to" in given) {
      const show = name === "name" ? (one) => value(String(one ?? "").split(".", 1)[0]) : value;
      parts.push(`${safe(name, 40)} ${show(given.from)} → ${show(given.to)}`);
    } else {
      parts.push(`${wanted === undefined ? `${safe(name, 40)} ` : wanted[name]}${value(given)}`);
    }
  }
  if (one.kind === "login_needed") parts.push("netmap-supervisor status shows the address there");
  if (one.after !== null) {
    const lead = one.kind === "gap" ? "nothing was seen" : "at some time";
    parts.push(one.after > 0 ? `${lead} since ${local(one.after, now)}` : `${lead} before`);
  }
  return parts.join(", ");
}

/** "web-3 offline", "actor exited publisher, pid 4711, signal 9". */
export function sentence(one, now) {
  const name = who(one);
  const lead = isOfNode(one.kind) ? [name, what(one.kind)] : [what(one.kind), name];
  return [lead.filter(Boolean).join(" "), detail(one, now)].filter(Boolean).join(", ");
}

/** A moment in milliseconds, as local time. @param {number} at @param {number} now */
export function local(at, now) {
  return localTime(new Date(at).toISOString(), new Date(now));
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;

/** Text of a detail, whoever chose it. */
export function safeDetail(given) {
  return safe(given ?? "", 300);
}

function value(given) {
  if (Array.isArray(given)) return `(${given.slice(0, 20).map((one) => safe(one, 100)).join(" ")})`;
  if (given !== null && typeof given === "object") return safe(JSON.stringify(given), 200);
  if (RFC3339.test(given)) return localTime(given);
  if (typeof given === "number") return String(Math.round(given * 1000) / 1000);
  return safe(shortKey(given), 300) || "-";
}

function shortKey(given) {
  return String(given ?? "").replace(/^([a-z]+key:[0-9a-f]{8})[0-9a-f]{20,}$/, "$1…");
}

/**
 * A line of what is recent: one occurrence, or a flood of those of nodes.
 *
 * @typedef {{key: string, at: number, tone: Tone, one: ?Occurrence, count: number, kinds: [string, number][],
 *   actors: string[]}} Line
 */

const FLOOD = 5;
const START = 2;
const STARTING = 3000;
/** More than so many occurrences of nodes in one second, or starts within milliseconds, are told together. */

/**
 * @param {Occurrence[]} occurrences In the order of their time.
 * @param {number} most Lines.
 * @returns {Line[]} The newest first.
 */
export function condensed(occurrences, most) {
  const lines = [];
  let at = occurrences.length - 1;
  while (at >= 0 && lines.length < most) {
    const last = occurrences[at];
    let first = at;
    while (first > 0 && together(occurrences[first - 1], last)) first -= 1;
    if (at - first + 1 > (isOfNode(last.kind) ? FLOOD : START)) {
      lines.push(flood(occurrences.slice(first, at + 1)));
      at = first - 1;
    } else {
      for (; at >= first && lines.length < most; at -= 1) lines.push(alone(occurrences[at]));
    }
  }
  return lines;
}

/** Nodes that change in the same second, or processes that start within a few. */
function together(one, last) {
  if (isOfNode(last.kind)) {
    return isOfNode(one.kind) && Math.floor(one.at / 1000) === Math.floor(last.at / 1000);
  }
  return last.kind === "actor_started" && one.kind === last.kind && last.at - one.at < STARTING;
}

function alone(one) {
  const key = `${one.kind} ${one.subject} ${one.id}`;
  return {key, at: one.at, tone: toneOf(one.kind), one, count: 1, kinds: [], actors: []};
}

function flood(occurrences) {
  const kinds = new Map();
  for (const one of occurrences) kinds.set(one.kind, (kinds.get(one.kind) ?? 0) + 1);
  const told = [...kinds].sort((one, other) => other[1] - one[1]);
  const at = occurrences.at(-1).at;
  return {
    key: `flood ${Math.floor(at / 1000)} ${occurrences[0].id}`,
    at,
    tone: toneOf(told[0][0]),
    one: null,
    count: new Set(occurrences.map((one) => one.subject)).size,
    kinds: told,
    actors: told[0][0] === "actor_started" ? occurrences.map(who) : [],
  };
}

/** "48 nodes changed in 1 s: offline 30, online 18". @param {Line} line @param {number} now */
export function lineSentence(line, now) {
  if (line.one !== null) return sentence(line.one, now);
  if (line.actors.length > 0) return `${line.count} processes started: ${line.actors.join(", ")}`;
  const kinds = line.kinds.map(([kind, count]) => `${what(kind)} ${count}`).join(", ");
  return `${line.count} ${line.count === 1 ? "node" : "nodes"} changed in 1 s: ${kinds}`;
}
