/** What a lane's bars say, in words: pure. */

import {local, safeDetail, trustReason} from "../history/occurrences.js";
import {long} from "./summary.js";

const STATES = {
  unrecorded: "nothing was recorded: the daemon or its history did not run",
  unloaded: "older than what this page asked for",
  unheard: "not known here yet",
  unseen: "not known",
  fresh: "netmap fresh",
  stale: "netmap stale",
  none: "no netmap yet",
  session: "map session",
  attempt: "trying to connect",
  silence: "silence: no MapResponse",
  asleep: "this machine slept",
  down: "not there",
  active: "running",
  online: "online",
  offline: "offline",
  unknown: "the server did not say whether it is online",
  absent: "not in the netmap",
  many: "see the marks",
  mixed: "changed often",
};
const OF_NODE = {stale: "not seen: the netmap was not fresh"};

/** @param {string} state @param {string} kind Of the lane. */
export function stateWords(state, kind) {
  return (kind === "node" && OF_NODE[state]) || STATES[state] || state;
}

/**
 * "map session 2, 03:12:04 to 04:00:00 (48 min), from …; ended: silence, no MapResponse for 8.0 s".
 *
 * @param {import("./lanes.js").Lane} lane
 * @param {{state: string, segment: import("./lanes.js").Segment, count: number}} bar
 * @param {number} now
 */
export function barSentence(lane, bar, now) {
  const {detail, state} = bar.segment;
  const {since, until} = bar.segment.of ?? bar.segment;
  if (bar.count > 1) {
    return `${stateWords(bar.state, lane.kind)}: ${bar.count} changes around ${local(since, now)}`;
  }
  const parts = [stateWords(state, lane.kind)];
  if (lane.kind === "connection" && (state === "session" || state === "attempt")) {
    parts[0] += ` of connection ${safeDetail(detail.generation)}`;
    if (detail.remote) parts.push(`to ${safeDetail(detail.remote)}`);
  }
  const end = until === Infinity ? now : until;
  parts.push(`${local(since, now)} to ${local(end, now)} (${long(end - since)})`);
  if (typeof detail.reason === "string") parts.push(trustReason(detail.reason));
  const ended = detail.ended;
  if (ended && typeof ended === "object") {
    parts.push(`ended: ${[ended.reason, ended.detail].filter(Boolean).map(safeDetail).join(", ")}`);
  }
  return parts.filter(Boolean).join(", ");
}

/** How a lane is called: a node by its first label. @param {import("./lanes.js").Lane} lane */
export function laneTitle(lane) {
  return safeDetail(lane.kind === "node" ? lane.title.split(".", 1)[0] || lane.subject : lane.title);
}
