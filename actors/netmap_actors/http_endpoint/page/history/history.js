/** What the daemon remembers: GET /history, kept current while the page is looked at. */

import {createLiveHistory, occurrencesOf} from "./live.js";
import {emptyModel, merged, parsed, trimmed, withOccurrences} from "./model.js";

const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const LONGEST = 7 * 24 * HOUR;
/** Milliseconds back from now; the page asks for no older time. */
const SHORTEST = 8 * HOUR;
/** So long ago is kept in any case. */
const OVERLAP = 30_000;
/** Of two answers: what is told of the last seconds may still be on its way into the history. */
const SOON = 1000;
const LATER = 30_000;
const SHARE = 5;
const EACH = 1.5;
/**
 * Between two questions lie SOON to LATER milliseconds: SHARE times what the last answer took, and EACH for
 * everything it told, so that a large tailnet is not asked for all its nodes every second.
 */
const MANY_LANES = 500;
/** With more nodes the lanes are asked for each LATER milliseconds, and what happened alone in between. */
const MOST_OCCURRENCES = 20_000;
const MOST_FRESH = 5000;
const MOST_SPANS = 250_000;
/** What is kept in memory, some 100 bytes each. */
const SAME = 10_000;
/** An event and its occurrence in the history are of the same time within so many milliseconds. */

/**
 * @typedef {Object} Answer What `history --json` prints.
 * @property {string} since
 * @property {string} until
 * @property {{since: string, until: string}[]} gaps
 * @property {{since: string, until: string, state: string, detail: Object}[]} netmap
 * @property {{since: string, until: string, state: string, detail: Object}[]} connection
 * @property {{stable_id: string, name: string,
 *   spans: {since: string, until: string, state: string}[]}[]} nodes
 * @property {{id: number, at: string, after: ?string, kind: string, subject: string, name: string,
 *   detail: Object}[]} occurrences
 * @property {boolean} more Older occurrences of this time are left out.
 * @property {string} file
 * @property {number} newest_id
 */

/** There is no answer. `status`: that of HTTP, 0 when nothing answered; `off`: no history is kept. */
export class HistoryError extends Error {
  /** @param {string} message @param {number} status */
  constructor(message, status) {
    super(message);
    this.status = status;
    /** Whether no history is kept at all. */
    this.off = status === 404 && message.includes("history.keep");
  }
}

/**
 * Ask once.
 *
 * @param {{since?: string, until?: string, peer?: string, kinds?: string[], lanes?: boolean,
 *   signal?: AbortSignal}} asked
 *   `since` and `until`: so long ago ("8h") or RFC 3339; `peer`: a stable id or a name; `lanes`: false for what
 *   happened alone.
 * @returns {Promise<Answer>} Raises HistoryError.
 */
export async function loadHistory({since, until, peer, kinds = [], lanes = true, signal} = {}) {
  const query = new URLSearchParams();
  if (since) query.append("since", since);
  if (until) query.append("until", until);
  if (peer) query.append("peer", peer);
  for (const kind of kinds) query.append("kind", kind);
  if (!lanes) query.append("lanes", "false");
  let answer;
  try {
    answer = await fetch(`history?${query}`, {signal, cache: "no-store"});
  } catch (error) {
    throw new HistoryError(`cannot load the history: ${error.message}`, 0);
  }
  if (!answer.ok) throw new HistoryError((await answer.text()).trim().slice(0, 500), answer.status);
  try {
    return await answer.json();
  } catch (error) {
    throw new HistoryError(`cannot load the history: ${error.message}`, 0);
  }
}


/**
 * @typedef {Object} PageHistory The history of the page.
 * @property {import("./model.js").HistoryModel} model
 * @property {"loading"|"kept"|"off"|"login"|"failed"} state `off`: none is kept, and `model` has what came
 *   since the page was opened; `failed`: see `problem`, `model` has what is known.
 * @property {string} problem
 * @property {() => number} now The server's clock, milliseconds since 1970.
 * @property {() => import("./model.js").Occurrence[]} recent What happened, with what the history
 *   does not tell yet, in the order of time.
 * @property {(stirred: boolean) => void} heard The endpoint answered, so what was seen last holds still;
 *   `stirred`: something happened that /events does not tell.
 * @property {(listener: (history: PageHistory) => void) => (() => void)} onHistory Calls the listener when something is
 *   known that was not; what it returns ends that.
 * @property {(since: number) => void} cover What is kept shall begin there; what is older may go.
 */

/** @type {?PageHistory} */
let history = null;

/**
 * The one history of the page, kept from the first time on that it is asked for.
 *
 * @param {Object} store That of the page. @returns {PageHistory}
 */
export function follow(store) {
  history ??= createHistory(store);
  return history;
}

function createHistory(store) {
  const listeners = new Set();
  const opened = Date.now();
  /** Only where no history is kept. */
  let live = null;
  let liveSince = 0;
  let trusted = null;
  let skew = 0;
  const now = () => Date.now() + skew;
  let fresh = [];
  let wanted = opened - SHORTEST;
  let timer = 0;
  let due = Infinity;
  let asking = null;
  let took = 0;
  let size = 0;
  let again = false;
  let whole = true;
  let lanesAt = 0;

  const self = {
    model: emptyModel(opened),
    state: "loading",
    problem: "",
    now,
    recent() {
      return fresh.length === 0 ? self.model.occurrences : [...self.model.occurrences, ...fresh].sort(byTime);
    },
    onHistory(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    heard(stirred) {
      if (live !== null) refreshLiveSoon();
      else if (stirred) schedule(pause());
    },
    cover(since) {
      wanted = Math.max(now() - LONGEST, Math.min(since, now() - SHORTEST));
      if (self.state !== "off" && wanted < self.model.since - OVERLAP) askAnew();
    },
  };

  function tell() {
    for (const listener of listeners) {
      try {
        listener(self);
      } catch (error) {
        console.error(error); // one part of the page that fails must not end the others
      }
    }
  }

  function pause() {
    return Math.min(LATER, Math.max(SOON, took * SHARE, size * EACH));
  }

  function askAnew() {
    whole = true;
    asking?.abort();
    asking = null;
    schedule(0);
  }

  function schedule(delay) {
    const at = performance.now() + delay;
    if (at >= due && timer !== 0) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(ask, Math.max(0, delay));
  }

  async function ask() {
    timer = 0;
    due = Infinity;
    if (document.hidden) return;
    if (asking !== null) {
      again = true;
      return;
    }
    again = false;
    const mine = (asking = new AbortController());
    const limit = setTimeout(() => mine.abort(), LATER);
    const began = performance.now();
    try {
      // Before the first answer nobody knows how far the browser's clock is from the server's.
      // It may have been set meanwhile, by years where a machine starts in 1970.
      const ago = `${Math.ceil(Math.min(Math.max(now() - wanted, SHORTEST), LONGEST) / 1000)}s`;
      const since = whole ? ago : new Date(self.model.until - OVERLAP).toISOString();
      const lanes = whole || self.model.nodes.size <= MANY_LANES || began - lanesAt >= LATER;
      const answer = await loadHistory({since, lanes, signal: mine.signal});
      if (asking === mine) take(answer, lanes);
      if (lanes) lanesAt = began;
      took = performance.now() - began;
    } catch (error) {
      if (asking === mine) failed(error);
    } finally {
      clearTimeout(limit);
      if (asking === mine) {
        asking = null;
        // Whether one is kept after all, or somebody has logged in, is asked with the next snapshot.
        if (self.state !== "off" && self.state !== "login") schedule(again ? pause() : LATER);
        tell();
      }
    }
  }

  function take(answer, lanes) {
    const later = parsed(answer);
    wanted -= skew;
    skew = Date.parse(answer.until) - Date.now();
    wanted += skew;
    size = later.occurrences.length;
    for (const node of later.nodes.values()) size += node.spans.length;
    const together = whole ? later : (lanes ? merged : withOccurrences)(self.model, later);
    if (together === null) {
      askAnew();
      return;
    }
    whole = false;
    wanted = Math.max(wanted, now() - LONGEST);
    self.model = trimmed(together, wanted - HOUR, MOST_OCCURRENCES, MOST_SPANS);
    self.state = "kept";
    live = null;
    self.problem = "";
    fresh = unknown(fresh, self.model);
  }

  function failed(error) {
    self.problem = error.message;
    if (error.off) {
      if (self.state !== "off") {
        live = createLiveHistory(now());
        live.apply(snapshotOf(store), now());
      }
      self.state = "off";
      refreshLive();
    } else if (error.status === 401 || error.status === 403) {
      self.state = "login";
    } else {
      self.state = "failed";
      // What is too much for one answer is asked for in a shorter time.
      if (error.status === 404 && whole && now() - wanted > HOUR) wanted = now() - (now() - wanted) / 2;
    }
  }

  function refreshLive() {
    if (live === null) return;
    const whole = live.model(now(), Math.max(now() - LONGEST, liveSince));
    self.model = trimmed(whole, wanted, MOST_OCCURRENCES, MOST_SPANS);
    // Spans that were too many are not kept to be left out again each time.
    if (self.model.since > Math.max(wanted, whole.since)) liveSince = self.model.since;
    fresh = [];
  }

  let told = 0;
  function refreshLiveSoon() {
    if (told !== 0) return;
    told = setTimeout(() => {
      told = 0;
      refreshLive();
      tell();
    }, SOON);
  }

  store.subscribe((turn) => {
    const at = now();
    const events = turn.changes.map(({event}) => event).filter(({type}) => type !== "snapshot");
    if (turn.whole) schedule(0);
    if (live !== null) {
      if (turn.whole) live.apply(snapshotOf(store), at);
      for (const event of events) live.apply(event, at);
      if (turn.whole || events.length > 0) refreshLiveSoon();
      return;
    }
    const made = [];
    for (const event of turn.whole ? [snapshotOf(store), ...events] : events) {
      made.push(...occurrencesOf(event, at, trusted));
      trusted = event.state ?? trusted;
    }
    if (made.length > 0) {
      fresh.push(...made);
      if (fresh.length > 2 * MOST_FRESH) fresh = fresh.slice(-MOST_FRESH);
      tell();
    }
    if (events.length > 0) schedule(pause());
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) schedule(0);
  });
  schedule(0);
  return self;
}

function snapshotOf(store) {
  return {type: "snapshot", state: store.trust.state, netmap: {peers: [...store.nodes.values()]}};
}

/** Those of `fresh` that the history does not tell yet, and still may. */
function unknown(fresh, model) {
  const known = new Map();
  for (const one of model.occurrences.slice(-5000)) known.set(`${one.kind} ${one.subject}`, one.at);
  return fresh.filter((one) => {
    const at = known.get(`${one.kind} ${one.subject}`);
    return one.at > model.until - SAME && (at === undefined || at < one.at - SAME);
  });
}

function byTime(one, other) {
  return one.at - other.at;
}
