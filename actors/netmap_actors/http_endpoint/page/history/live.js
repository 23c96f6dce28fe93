/** What came over /events since the page was opened, in the shape of a history: pure. */

import {emptyModel} from "./model.js";

const MOST = 2000;
/** Occurrences that are kept. */
const NOTHING = Object.freeze({});
/** One for all spans: an hour of changes makes a hundred thousand of them. */

const FIELDS = {
  name: "node_renamed",
  tags: "node_tagged",
  routes: "node_routed",
  addresses: "node_moved",
  home_derp: "node_moved",
  key: "node_key_changed",
};
/** Fields of a node and what a change of each is called, as the daemon's own history calls it. */

/**
 * What an event of /events tells, as occurrences.
 *
 * @param {Object} event @param {number} at When it came, milliseconds.
 * @param {?string} trusted The state of the netmap before it; null: none was told.
 * @returns {import("./model.js").Occurrence[]}
 */
export function occurrencesOf(event, at, trusted) {
  const made = [];
  const add = (kind, subject = "", name = "", detail = {}) => {
    const id = `${event.epoch}:${event.seq}:${made.length}`;
    made.push({id, at, after: null, kind, subject, name, detail});
  };
  const { peer, state } = event;
  if (event.type === "peer_upserted") {
    const { stable_id: id, name } = peer;
    const previous = event.previous;
    if (previous === undefined || previous === null) {
      add("node_joined", id, name, { state: stateOf(peer.online) });
    } else {
      if ("online" in previous && typeof peer.online === "boolean") {
        add(peer.online ? "node_online" : "node_offline", id, name);
      }
      for (const [field, kind] of Object.entries(FIELDS)) {
        if (field in previous) add(kind, id, name, { [field]: { from: previous[field], to: peer[field] } });
      }
      if (previous.expired === false && peer.expired) add("node_key_expired", id, name);
    }
  } else if (event.type === "peer_removed") {
    add("node_left", event.stable_id, event.name);
  }
  if (trusted !== null && state !== undefined && state !== trusted && state !== "none") {
    const detail = event.reason ? {reason: event.reason} : {};
    add(state === "fresh" ? "netmap_fresh" : "netmap_stale", "", "", detail);
  }
  return made;
}

/** @param {?boolean} online */
export function stateOf(online) {
  return online === true ? "online" : online === false ? "offline" : "unknown";
}

/**
 * Keeps what events tell.
 *
 * @param {number} opened When the page was opened, milliseconds.
 */
export function createLiveHistory(opened) {
  const model = {...emptyModel(opened), connection: null};
  let trusted = null;

  function enter(spans, state, at) {
    const last = spans.at(-1);
    if (last !== undefined && last.state === state && last.until === Infinity) return;
    if (last !== undefined && last.until === Infinity) last.until = at;
    if (state !== null) spans.push({ since: at, until: Infinity, state, detail: NOTHING });
  }

  function seen(peer, at) {
    let node = model.nodes.get(peer.stable_id);
    if (node === undefined) model.nodes.set(peer.stable_id, (node = { name: peer.name, spans: [] }));
    node.name = peer.name;
    enter(node.spans, stateOf(peer.online), at);
  }

  return {
    /** @param {Object} event @param {number} at @returns {import("./model.js").Occurrence[]} */
    apply(event, at) {
      const made = occurrencesOf(event, at, trusted);
      if (event.state !== undefined && event.state !== trusted) {
        trusted = event.state;
        enter(model.netmap, trusted, at);
      }
      if (event.type === "snapshot") {
        const there = new Set();
        for (const peer of event.netmap?.peers ?? []) {
          seen(peer, at);
          there.add(peer.stable_id);
        }
        for (const [id, node] of model.nodes) if (!there.has(id)) enter(node.spans, null, at);
      } else if (event.type === "peer_upserted") {
        seen(event.peer, at);
      } else if (event.type === "peer_removed") {
        const node = model.nodes.get(event.stable_id);
        if (node !== undefined) enter(node.spans, null, at);
      }
      model.occurrences.push(...made);
      if (model.occurrences.length > 2 * MOST) {
        model.occurrences = model.occurrences.slice(-MOST);
        model.occurrencesSince = model.occurrences[0].at;
      }
      return made;
    },
    /** @returns {import("./model.js").HistoryModel} What was seen until `at`, from `since` on. */
    model(at, since) {
      const close = (spans) =>
        spans.filter((span) => span.since < at).map((span) => (span.until <= at ? span : { ...span, until: at }));
      const nodes = new Map();
      for (const [id, node] of model.nodes) {
        node.spans = node.spans.filter((span) => span.until > since);
        if (node.spans.length === 0) model.nodes.delete(id);
        else nodes.set(id, { name: node.name, spans: close(node.spans) });
      }
      model.netmap = model.netmap.filter((span) => span.until > since);
      const occurrences = [...model.occurrences];
      return {...model, since: Math.max(model.since, since), until: at, netmap: close(model.netmap), nodes, occurrences};
    },
  };
}
