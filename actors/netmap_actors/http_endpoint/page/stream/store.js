// The netmap as the page has it: the events of /events applied one by one. Pure but for the turn in which it tells.

/**
 * @typedef {Object} Node  as `netmap --json` prints a peer
 * @typedef {{state: "none"|"fresh"|"stale", ageAtMs: number|null, at: number, reason: string}} Trust
 *   `ageAtMs`: how old the last word of the control server was at `at`, in milliseconds; null: never heard.
 *   `at`: by the clock given as `now`.
 * @typedef {{kind: string, nodes: string[], event: Object}} Change  `nodes`: stable ids of those that changed
 * @typedef {{changes: Change[], nodes: Set<string>, whole: boolean, trust: boolean, dropped: number}} Turn
 *   What came since the last frame; `whole`: every node may be another; `changes`: the last KEPT ones.
 */

const KEPT = 500;
const HELD_BACK = "held_back";

/**
 * @param {{now?: () => number, schedule?: (f: () => void) => void}} [options]  `schedule` calls once per frame
 */
export function createStore({now = () => performance.now(), schedule = frame} = {}) {
  /** @type {Map<string, Node>} */
  let nodes = new Map();
  const listeners = new Set();
  let turn = newTurn();
  let scheduled = false;
  let events = 0;
  let doubtedAt = -1;
  const store = {
    get nodes() {
      return nodes;
    },
    /** @type {Node|null} Our own node. */
    self: null,
    domain: "",
    /** @type {Object} Everything of the netmap that is no node: dns, packet_filter, user_profiles, ... */
    rest: {},
    /** @type {Trust} */
    trust: {state: "none", ageAtMs: null, at: now(), reason: ""},
    /** @type {Object|null} The last of GET /status. */
    status: null,
    /** The node with this id, our own as well. */
    node: (id) => nodes.get(id) ?? (store.self?.stable_id === id ? store.self : undefined),
    apply,
    takeStatus,
    /** @param {(turn: Turn) => void} listener  @returns {() => void} ends it */
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };

  /** @returns {Change} */
  function apply(event) {
    events += 1;
    const change = {kind: event.type, nodes: [], event};
    switch (event.type) {
      case "snapshot": {
        const {self, domain, peers, ...rest} = event.netmap;
        const found = new Map(peers.map((peer) => [peer.stable_id, peer]));
        nodes = found;
        store.self = self;
        store.domain = domain ?? "";
        store.rest = rest;
        turn.whole = true;
        // The text of the netmap is not kept a second time.
        change.event = {...event, netmap: undefined};
        break;
      }
      case "peer_upserted":
        nodes.set(event.peer.stable_id, event.peer);
        touched(change, event.peer.stable_id);
        break;
      case "peer_removed":
        nodes.delete(event.stable_id);
        touched(change, event.stable_id);
        break;
      case "self_changed":
        if (store.self) touched(change, store.self.stable_id);
        store.self = event.self;
        if (store.self) touched(change, store.self.stable_id);
        break;
      case "domain_changed":
        store.domain = event.domain;
        break;
      case "user_profiles_changed":
        store.rest.user_profiles = profiles(store.rest.user_profiles ?? [], event);
        break;
      default: {
        const name = String(event.type).replace(/_changed$/, "");
        if (name in event) store.rest[name] = event[name];
      }
    }
    trusted(heardWith(event), event.reason ?? "");
    turn.changes.push(change);
    if (turn.changes.length > 2 * KEPT) drop();
    tellSoon();
    return change;
  }

  function touched(change, id) {
    if (!change.nodes.includes(id)) change.nodes.push(id);
    turn.nodes.add(id);
  }

  function drop() {
    turn.dropped += turn.changes.splice(0, turn.changes.length - KEPT).length;
  }

  /**
   * What GET /status said: it tells the age between two events. Whether to trust is what the events say, but for two
   * answers with no event between them that both say it is not fresh; and how old the nodes are only while events come.
   * @param {boolean} [following]
   */
  function takeStatus(status, following = true) {
    store.status = status;
    const {state, reason} = store.trust;
    if (!following) doubtedAt = -1;
    else if (status.netmap.state === state || reason === HELD_BACK) trusted(status.netmap, "");
    else if (state === "fresh") {
      if (doubtedAt === events) trusted(status.netmap, HELD_BACK);
      doubtedAt = events;
    }
    turn.trust = true;
    tellSoon();
  }

  function trusted({state, age_s: ageS}, reason) {
    const before = store.trust;
    if (state === undefined || (state === before.state && ageS === undefined)) return;
    const told = ageS === undefined ? {ageAtMs: before.ageAtMs, at: before.at} : {ageAtMs: inMs(ageS), at: now()};
    store.trust = {state, ...told, reason: state === before.state && !reason ? before.reason : reason};
    turn.trust = true;
  }

  function tellSoon() {
    if (scheduled) return;
    scheduled = true;
    schedule(() => {
      scheduled = false;
      if (turn.changes.length > KEPT) drop();
      const told = turn;
      turn = newTurn();
      for (const listener of listeners) {
        try {
          listener(told);
        } catch (error) {
          console.error(error); // one part of the page that fails must not end the others
        }
      }
    });
  }

  return store;
}

// A change of a fresh netmap is a word of the control server: it is as old as its event.
function heardWith(event) {
  return event.state === "fresh" && event.age_s === undefined ? {...event, age_s: 0} : event;
}

const inMs = (seconds) => (seconds === null ? null : seconds * 1000);

function newTurn() {
  return {changes: [], nodes: new Set(), whole: false, trust: false, dropped: 0};
}

function profiles(known, {upserted, removed}) {
  const gone = new Set([...upserted, ...removed].map((profile) => profile.id));
  return [...known.filter((profile) => !gone.has(profile.id)), ...upserted];
}

// Frames do not come in a hidden tab; its title has to stay right all the same.
function frame(f) {
  let done = false;
  const once = () => {
    if (!done) f();
    done = true;
  };
  requestAnimationFrame(once);
  setTimeout(once, 250);
}
