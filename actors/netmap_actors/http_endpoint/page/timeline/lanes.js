/** From what is remembered to lanes that cover a window of time: pure. Times are milliseconds since 1970. */

import {isOfNode, sentence, toneOf} from "../history/occurrences.js";

/**
 * @typedef {{since: number, until: number}} Window
 * @typedef {{since: number, until: number, state: string, detail: Object, of: ?Object}} Segment
 *   `of`: the whole of it, where it reaches out of the window or is painted over.
 *   `state` of any lane: `unrecorded` (nobody wrote a history), `unloaded` (older than what the page asked
 *   for), `unheard` (later than the last answer). Of the netmap: fresh, stale, none, unseen. Of the
 *   connection: session, attempt, silence, asleep, down. Of a process: active, down, unseen. Of a node: online,
 *   offline, unknown, stale (the netmap was not fresh), absent. Of many nodes or processes: many.
 * @typedef {{key: string, at: number, tone: string, occurrence: import("../history/model.js").Occurrence}} Mark
 * @typedef {{id: string, kind: "netmap"|"connection"|"actor"|"actors"|"node"|"nodes", title: string,
 *   subject: string, segments: Segment[], marks: Mark[]}} Lane
 */

const CONNECTION = "control_connection";
/** The process whose lane is that of the connection. */
const OF_NETMAP = new Set([
  "netmap_fresh", "netmap_stale", "run_started", "stopping", "gap", "clock_stepped", "degraded", "healed",
]);

/**
 * The lanes of a window. In each the segments follow each other from its beginning to its end, and every
 * occurrence of the window is a mark of exactly one lane.
 *
 * @param {import("../history/model.js").HistoryModel} model
 * @param {Window} window
 * @param {{most: number, wanted?: string}} options `most`: lanes of nodes; `wanted`: a part of the names of
 *   those that are wanted, else those that changed.
 * @returns {{lanes: Lane[], more: number}} `more`: nodes that changed and have no lane.
 */
export function lanesOf(model, window, {most, wanted = ""}) {
  const occurrences = model.occurrences.filter((one) => one.at >= window.since && one.at < window.until);
  const chosen = chosenNodes(model, window, occurrences, wanted.toLowerCase());
  const shown = chosen.slice(0, most);
  const lanes = [
    lane("netmap", "netmap", "Netmap", "", painted(ground(model, window, "unseen"), model.netmap)),
  ];
  if (model.connection !== null) {
    lanes.push(lane("connection", "connection", "Connection", "", connectionOf(model, window)));
  }
  for (const [name, segments] of actorsOf(model, window, occurrences)) {
    lanes.push(lane(`actor:${name}`, "actor", name.replaceAll("_", " "), name, segments));
  }
  const unseen = painted(
    painted(span(window, "absent"), model.netmap.filter((one) => one.state !== "fresh").map(stale)),
    edges(model, window),
  );
  for (const {id, name} of shown) {
    const spans = model.nodes.get(id)?.spans ?? [];
    lanes.push(lane(`node:${id}`, "node", name, id, painted(unseen, spans)));
  }
  const more = chosen.length - shown.length;
  const byId = new Map(lanes.map((one) => [one.id, one]));
  const nodes = lane("nodes", "nodes", "Other nodes", "", ground(model, window, "many"));
  const actors = lane("actors", "actors", "Other processes", "", ground(model, window, "many"));
  for (const one of occurrences) {
    const mark = {key: `${one.id}`, at: one.at, tone: toneOf(one.kind), occurrence: one};
    (byId.get(laneIdOf(one)) ?? (isOfNode(one.kind) ? nodes : actors)).marks.push(mark);
  }
  if (actors.marks.length > 0) lanes.splice(lanes.findLastIndex(({kind}) => kind !== "node") + 1, 0, actors);
  if (nodes.marks.length > 0) lanes.push(nodes);
  return {lanes, more};
}

function laneIdOf({kind, subject}) {
  if (isOfNode(kind)) return `node:${subject}`;
  if (kind.startsWith("actor_") && subject !== CONNECTION) return `actor:${subject}`;
  return OF_NETMAP.has(kind) ? "netmap" : "connection";
}

function lane(id, kind, title, subject, segments) {
  return {id, kind, title, subject, segments, marks: []};
}

function stale(one) {
  return {...one, state: "stale", detail: one.detail};
}

function span(window, state) {
  return [{since: window.since, until: window.until, state, detail: {}}];
}

/** What is known of the window at all. */
function edges(model, window) {
  const out = model.gaps.map((gap) => ({...gap, state: "unrecorded", detail: {}}));
  const {since, until} = window;
  if (since < model.since) out.unshift({since, until: model.since, state: "unloaded", detail: {}});
  if (until > model.until) out.push({since: model.until, until, state: "unheard", detail: {}});
  return out;
}

function ground(model, window, state) {
  return painted(span(window, state), edges(model, window));
}

/**
 * Segments that cover what `base` covers, with `over` painted on them. Where the spans of `over` overlap, the
 * earlier one counts.
 *
 * @param {Segment[]} base @param {Segment[]} over Both in order.
 * @returns {Segment[]}
 */
export function painted(base, over) {
  const out = [];
  let next = 0;
  let end = -Infinity;
  for (const under of base) {
    let at = under.since;
    while (next < over.length && at < under.until) {
      const one = over[next];
      const since = Math.max(one.since, at, end);
      const until = Math.min(one.until, under.until);
      if (one.since >= under.until) break;
      if (since < until) {
        if (since > at) out.push({...under, since: at, until: since});
        out.push({...one, since, until, of: one.of ?? one});
        at = until;
        end = until;
      }
      if (one.until > under.until) break; // it goes on over the next one
      next += 1;
    }
    if (at < under.until) out.push({...under, since: at});
  }
  return one(out);
}

function one(segments) {
  const out = [];
  for (const segment of segments) {
    const last = out.at(-1);
    if (last !== undefined && last.state === segment.state && last.detail === segment.detail) {
      last.until = segment.until;
    } else {
      out.push(segment);
    }
  }
  return out;
}

function connectionOf(model, window) {
  const segments = painted(ground(model, window, "down"), model.connection);
  return painted(painted(segments, silences(model.occurrences)), sleeps(model.occurrences));
}

/** Spans of silence, without the time this machine slept: then nobody listened. @returns {Segment[]} */
export function silences(occurrences) {
  const told = lengths(occurrences, "silence_detected", "silent_for", "silence");
  return painted(told, sleeps(occurrences)).filter((one) => one.state === "silence");
}

function sleeps(occurrences) {
  return lengths(occurrences, "wake_detected", "slept_s", "asleep");
}

/** Spans that an occurrence at their end tells of, in order; `name`: of the detail that has their seconds. */
function lengths(occurrences, kind, name, state) {
  return occurrences
    .filter((one) => one.kind === kind && one.detail[name] > 0)
    .map(({at, detail}) => ({since: at - detail[name] * 1000, until: at, state, detail: {seconds: detail[name]}}))
    .sort((one, other) => one.since - other.since);
}

/** Of the processes that ended in the window, in the order of their first end there. */
function actorsOf(model, window, occurrences) {
  const told = new Set(occurrences.filter((one) => one.kind === "actor_exited").map((one) => one.subject));
  told.delete(CONNECTION);
  const spans = new Map([...told].map((name) => [name, []]));
  const last = new Map();
  const end = (name, at) => {
    const begun = last.get(name);
    if (begun !== undefined && begun.at < at) {
      spans.get(name)?.push({since: begun.at, until: at, state: begun.state, detail: begun.detail});
    }
  };
  for (const one of model.occurrences) {
    if (one.kind === "run_started") {
      for (const name of told) {
        end(name, one.at);
        last.set(name, {at: one.at, state: "down", detail: {}});
      }
    }
    if (!told.has(one.subject) || !one.kind.startsWith("actor_")) continue;
    const active = one.kind === "actor_started";
    // What was there before the first word of it: a process that ends was there, and one that starts was not.
    if (!last.has(one.subject)) {
      last.set(one.subject, {at: model.since, state: active ? "unseen" : "active", detail: {}});
    }
    end(one.subject, one.at);
    last.set(one.subject, {at: one.at, state: active ? "active" : "down", detail: one.detail});
  }
  const beyond = edges(model, window);
  return [...spans].map(([name, list]) => {
    const begun = last.get(name);
    if (begun !== undefined) {
      list.push({since: begun.at, until: Infinity, state: begun.state, detail: begun.detail});
    }
    return [name, painted(painted(span(window, "unseen"), list), beyond)];
  });
}

/** Nodes whose names are wanted, else those that changed: who is gone first, then whoever changed last. */
function chosenNodes(model, window, occurrences, wanted) {
  const changed = new Map();
  for (const one of occurrences) {
    if (!isOfNode(one.kind)) continue;
    const known = changed.get(one.subject) ?? {id: one.subject, name: one.name, at: 0, gone: false};
    known.at = one.at;
    known.name = one.name || known.name;
    if (one.kind === "node_left" || one.kind === "node_offline") known.gone = true;
    if (one.kind === "node_joined" || one.kind === "node_online") known.gone = false;
    changed.set(one.subject, known);
  }
  for (const [id, node] of model.nodes) {
    const known = changed.get(id);
    if (known !== undefined) {
      known.name = node.name || known.name;
    } else if (wanted || changedIn(node.spans, window)) {
      changed.set(id, {id, name: node.name, at: 0, gone: false});
    }
  }
  const found = [...changed.values()].filter((node) => !wanted || node.name.toLowerCase().includes(wanted));
  const byName = (one, other) => (one.name < other.name ? -1 : 1);
  return found.sort((one, other) => other.gone - one.gone || other.at - one.at || byName(one, other));
}

function changedIn(spans, {since, until}) {
  let state = null;
  for (const one of spans) {
    if (one.until <= since) continue;
    if (one.since >= until) break;
    if (state !== null && state !== one.state) return true;
    state = one.state;
  }
  return false;
}

const WORST = ["silence", "stale", "none", "down", "unrecorded", "asleep", "attempt", "offline"];
/** Of segments too short to be seen, what is drawn in their place. */

/**
 * The segments in `width` pixels, each wide enough to be seen: shorter ones become one together, `mixed` when
 * they say different things and none of them is worth attention.
 *
 * @param {Segment[]} segments @param {Window} window @param {number} width
 * @returns {{x: number, width: number, state: string, segment: Segment, count: number}[]}
 */
export function visible(segments, window, width, least = 2) {
  const scale = width / (window.until - window.since);
  const place = (at) => (at - window.since) * scale;
  const out = [];
  let small = null;
  const close = () => {
    if (small === null) return;
    const [only, ...others] = small.states;
    const state = others.length === 0 ? only : WORST.find((one) => small.states.has(one)) ?? "mixed";
    out.push({x: small.x, width: small.end - small.x, state, segment: small.segment, count: small.count});
    small = null;
  };
  for (const segment of segments) {
    const x = place(segment.since);
    const end = place(segment.until);
    if (end - x >= least) {
      close();
      out.push({x, width: end - x, state: segment.state, segment, count: 1});
      continue;
    }
    small ??= {x, end, states: new Set(), segment, count: 0};
    small.states.add(segment.state);
    small.end = end;
    small.count += 1;
    if (small.end - small.x >= least) close();
  }
  close();
  return out;
}

/**
 * Marks that would cover each other become one, with the tone of the worst.
 *
 * @param {Mark[]} marks In order. @param {Window} window @param {number} width @param {number} [near] Pixels.
 * @returns {{x: number, tone: string, marks: Mark[]}[]}
 */
export function clustered(marks, window, width, near = 9) {
  const scale = width / (window.until - window.since);
  const out = [];
  for (const mark of marks) {
    const x = (mark.at - window.since) * scale;
    const last = out.at(-1);
    if (last !== undefined && x - last.x < near) {
      last.marks.push(mark);
      if (TONES.indexOf(mark.tone) < TONES.indexOf(last.tone)) last.tone = mark.tone;
    } else {
      out.push({x, tone: mark.tone, marks: [mark]});
    }
  }
  return out;
}

const TONES = ["bad", "gone", "come", "other", "good"];

/** What a mark says: its sentence, or how many there are and the first. @param {{marks: Mark[]}} cluster */
export function clusterSentence(cluster, now) {
  const told = cluster.marks.slice(0, 4).map((mark) => sentence(mark.occurrence, now));
  const rest = cluster.marks.length - told.length;
  if (rest <= 0) return told.join("; ");
  return `${cluster.marks.length} occurrences: ${told.join("; ")}; and ${rest} more`;
}
