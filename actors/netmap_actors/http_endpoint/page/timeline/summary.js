/** What happened in a window of time, in one line: pure. Times are milliseconds since 1970. */

import {local, trustReason, who} from "../history/occurrences.js";
import {silences} from "./lanes.js";

/** A span of time, exact to its second: "2 min 10 s", "41 min", "3 h 5 min". @param {number} ms */
export function long(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return seconds < 1 ? "less than 1 s" : `${seconds} s`;
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  const told = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return told.map(([count, unit]) => `${count} ${unit}`).join(" ");
}

/** "1 node", "2 nodes". */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en-GB").replaceAll(",", "\u202f")} ${count === 1 ? one : many}`;
}

/**
 * @param {import("../history/model.js").HistoryModel} model
 * @param {import("./lanes.js").Window} window
 * @param {number} now
 * @param {?{state: string, state_since: ?string}} said What the daemon's status tells of the netmap.
 * @returns {{trust: string, parts: {text: string, tone: string, nodes: {id: string, name: string}[],
 *   count: number}[]}} `trust`: since when what is shown is true, or why it is not; `parts`: what happened;
 *   `nodes`: the last NAMED of `count`.
 */
export function summary(model, window, now, said) {
  const within = model.occurrences.filter((one) => one.at >= window.since && one.at < window.until);
  const parts = [];
  const add = (text, tone = "", nodes = [], count = 0) => parts.push({text, tone, nodes, count});
  const first = beginning(model);
  const unseen = total(model.gaps.filter((gap) => gap.since > first), window);
  if (first > window.since) add(`recorded since ${local(first, now)}`);
  const runs = within.filter((one) => one.kind === "run_started" && one.at > first).length;
  if (runs > 0) add(`the daemon was started ${times(runs)}`);
  if (unseen >= 1000) add(`nothing recorded for ${long(unseen)}`, unseen >= 60_000 ? "bad" : "");
  if (model.connection !== null) {
    const lived = model.connection.filter((one) => one.state === "session" && overlaps(one, window));
    // One that lives on over a gap is still the same, and who found it there does not know its number.
    const numbers = new Map();
    for (const {detail: {generation, pid, session}} of lived) {
      const process = `${pid} ${generation}`;
      numbers.set(process, (numbers.get(process) ?? new Set()).add(session));
    }
    let sessions = 0;
    for (const known of numbers.values()) sessions += Math.max(1, known.size - known.has(undefined));
    add(counted(sessions, "session"), sessions === 0 ? "bad" : "");
  }
  const silent = within.filter((one) => one.kind === "silence_detected").length;
  const unheard = total(silences(within), {since: -Infinity, until: Infinity});
  if (silent > 0) add(`${counted(silent, "silence")} of ${long(unheard)}`, "bad");
  const wakes = within.filter((one) => one.kind === "wake_detected");
  const slept = wakes.reduce((sum, one) => sum + (one.detail.slept_s ?? 0), 0);
  if (slept > 0) add(`slept ${long(slept * 1000)}`);
  const stale = total(model.netmap.filter((one) => one.state === "stale"), window);
  if (stale >= 1000) add(`stale for ${long(stale)}`, "bad");
  for (const [name, count] of restarts(within)) {
    add(`${name.replaceAll("_", " ")} restarted ${times(count)}`, "bad");
  }
  for (const [kinds, undone, word] of MOVES) {
    const nodes = [...last(within, kinds, undone).values()];
    if (nodes.length === 0) continue;
    const named = nodes.slice(-NAMED).reverse().map((one) => ({id: one.subject, name: who(one)}));
    add(`${counted(nodes.length, "node")} ${word}`, "", named, nodes.length);
  }
  if (model.occurrencesSince > Math.max(window.since, model.since)) {
    add(`what happened before ${local(model.occurrencesSince, now)} is not counted`);
  }
  return {trust: trustOf(model, now, said), parts};
}

function times(count) {
  return count === 1 ? "once" : count === 2 ? "twice" : `${count} times`;
}

const MOVES = [
  ["node_left", "node_joined", "left"],
  ["node_offline", "node_online", "went offline"],
  ["node_joined", "node_left", "joined"],
  ["node_renamed", "", "renamed"],
  ["node_key_expired", "", "whose key expired"],
  ["node_key_expiring", "node_key_expired", "whose key expires soon"],
];
/** What happened to nodes, and what undoes it. */

const SILENT = 120_000;
/** Milliseconds without an answer after which what the history told last is not said of now. */

const NAMED = 5;
/** So many nodes of each kind are named. */

function last(occurrences, kind, undone) {
  const found = new Map();
  for (const one of occurrences) {
    if (one.kind === kind) {
      found.delete(one.subject); // it is the last one now
      found.set(one.subject, one);
    } else if (one.kind === undone || (one.kind === "node_left" && kind !== "node_left")) {
      found.delete(one.subject);
    }
  }
  return found;
}

/** When the first word of this history was written, before which nothing was missed; -Infinity: long ago. */
export function beginning({occurrences}) {
  return occurrences.some((one) => one.id === 1) ? occurrences[0].at : -Infinity;
}

/** By name, without control_connection: each of its ends is the end of a session, too. */
function restarts(occurrences) {
  const found = new Map();
  for (const {kind, subject, detail} of occurrences) {
    if (kind === "actor_started" && detail.generation > 1 && subject !== "control_connection") {
      found.set(subject, (found.get(subject) ?? 0) + 1);
    }
  }
  return found;
}

function trustOf(model, now, said) {
  const last = model.netmap.at(-1);
  if (last === undefined) return "";
  let since = last.since;
  let seen = false;
  for (const one of [...model.netmap].reverse()) {
    seen = one.state !== last.state && one.until >= since;
    if (one.state !== last.state || one.until < since) break;
    since = one.since;
  }
  // The history has not seen it begin; the publisher has.
  const told = said?.state === last.state ? Date.parse(said.state_since) : Number.NaN;
  const knows = !seen && told < since;
  if (knows) since = told;
  const silent = now - model.until > SILENT;
  const ended = silent || (last.until < model.until && !(told <= last.until));
  const until = ended ? ` until ${local(last.until, now)}, not seen since` : "";
  // What made it fresh again answers no question.
  const given = last.state === "fresh" || typeof last.detail.reason !== "string" ? "" : last.detail.reason;
  const reason = given ? trustReason(given) : "";
  const begun = `since ${knows || since > model.since ? "" : "before "}${local(since, now)}`;
  return [`${last.state} ${begun}${until}`, reason].filter(Boolean).join(": ");
}

function overlaps(one, {since, until}) {
  return one.since < until && one.until > since;
}

function total(spans, {since, until}) {
  const length = (one) => Math.max(0, Math.min(one.until, until) - Math.max(one.since, since));
  return spans.reduce((sum, one) => sum + length(one), 0);
}
