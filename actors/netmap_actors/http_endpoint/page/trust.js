// Whether the netmap can be trusted, said in words, shape and colour. `judge` is pure; `mount` draws the banner.

import {age, localDay, localTime, safe} from "./format.js";

const REASONS = {
  session_ended: "The connection to the control server ended.",
  silence: "The control server said nothing for longer than the limit, so the connection counts as dead.",
  gap: "A change was missed; the whole netmap is asked for again.",
  bad_map_response: "The control server sent something that cannot be used.",
  publisher_stopped: "The daemon's publisher was stopped.",
  publisher_restarted: "The daemon's publisher started anew; it takes in the netmap again.",
  publisher_silent: "The daemon's publisher says nothing.",
  behind: "The HTTP endpoint is behind the daemon's publisher.",
  held_back: "The daemon says so, but no event did: a proxy between may hold them back.",
};

/** Why the control connection ended (netmap_actors.wire.vocabulary.EndReason). */
const ENDED = {
  silence: REASONS.silence,
  wake: "The daemon's machine slept, and the connection did not survive it.",
  link: "The network changed, and the connection did not survive it.",
  closed: "The control server closed the connection.",
  error: "The connection to the control server failed.",
  crashed: "The process of the control connection crashed.",
  expired: "The key of this node expired.",
  hung: "The process of the control connection did not do its work.",
  operator: "Somebody asked for a new connection.",
};

/** What the control connection does, in the words of `netmap-supervisor status`. */
const DOING = {
  starting: "The connection is being started.",
  resolving: "It looks up the control server's address.",
  connecting: "It connects to the control server.",
  handshaking: "It waits for the control server's handshake.",
  registering: "It waits for the registration.",
  map_session: "It waits for the next netmap.",
  stopped: "The connection is stopped; start the daemon again.",
};

const LOST = {
  unreachable: "The HTTP endpoint does not answer.",
  closed: "The HTTP endpoint ended the connection.",
  silent: "Nothing came from the HTTP endpoint for 40 s.",
  held: "The HTTP endpoint answers, but no event came for 40 s: a proxy between may hold them back.",
};

/**
 * @typedef {{key: string, word: string, ageMs: number|null, reason: string, advice: string}} Verdict
 *   `key`: fresh, stale, none, connecting, gone, jumped, paused, token, login, approval or removed
 * @param {{trust: import("./stream/store.js").Trust, stream: import("./stream/stream.js").StreamState, status: Object|null,
 *   answers: boolean, now: number, sleptMs: number}} told
 *   `answers`: false when the endpoint left a question without an answer, and has sent nothing since; `sleptMs`: time
 *   since `trust.at` that the clock of `now` did not count
 * @returns {Verdict}
 */
export function judge({trust, stream, status, answers, now, sleptMs}) {
  const ageMs = trust.ageAtMs === null ? null : trust.ageAtMs + Math.max(0, now - trust.at) + sleptMs;
  const verdict = (key, word, reason, advice) => ({key, word, ageMs, reason, advice});
  const never = trust.state === "none";
  if (stream.phase === "login") {
    return verdict("token", "Log in", "This endpoint asks for a token.", "Nothing here is kept current until then.");
  }
  if (stream.phase === "lost" || (stream.phase === "open" && !answers)) {
    const cause = stream.phase === "open" ? "unreachable" : stream.why === "silent" && answers ? "held" : stream.why;
    const why = LOST[cause] ?? `${safe(cause)}.`;
    const word = `${never ? "No netmap" : "Stale"}: ${cause === "held" ? "no events" : "endpoint gone"}`;
    const advice = "Asking again by itself. If this stays, look at its machine: netmap-supervisor status.";
    return verdict("gone", word, why, advice);
  }
  if (stream.phase === "paused") {
    const reason = "A browser keeps few connections, and other tabs with this page have them.";
    return verdict("paused", never ? "No netmap: paused" : "Stale: paused", reason, "It goes on when you click here.");
  }
  if (stream.phase === "connecting") {
    if (stream.why === "jumped") {
      const reason = "This computer slept, or its clock was set.";
      return verdict("jumped", never ? "No netmap: checking" : "Stale: checking", reason, "Asking the daemon anew.");
    }
    return verdict("connecting", "Connecting", "Asking the HTTP endpoint for the netmap.", "");
  }
  if (trust.state === "fresh") {
    return verdict("fresh", "Fresh", "What stands here is what the control server says now.", "");
  }
  return untrusted(trust, status, verdict);
}

function untrusted(trust, status, verdict) {
  const connection = status?.connection;
  const end = connection?.last_end;
  if (connection?.state === "login_needed") {
    const reason = "The control server wants a person to log this node in.";
    // Who opens it decides whose node this is, so no page has it.
    return verdict("login", "Login needed", reason, "Its address is shown on that machine: netmap-supervisor status.");
  }
  if (connection?.state === "awaiting_approval") {
    const advice = "Approve it where the tailnet is administered.";
    return verdict("approval", "Approval needed", "An administrator has to approve this node.", advice);
  }
  if (end?.reason === "removed" && connection.state !== "map_session") {
    const advice = "Start the daemon again to register it anew, with an auth key or a login.";
    return verdict("removed", "Node removed", "The control server no longer knows this node.", advice);
  }
  const doing = connection ? doingNow(connection) : "";
  const why = trust.state === "none" ? "No netmap has come yet." : whyStale(trust.reason, connection);
  const advice = [lastFailure(why, connection), doing].filter(Boolean).join(" ");
  if (trust.state === "none") return verdict("none", "No netmap", why, advice);
  return verdict("stale", "Stale", why, advice);
}

/** Why it is still so, where the first reason does not say it: a silence, then a server that refuses. */
function lastFailure(why, connection) {
  const end = connection?.last_end;
  if (end?.reason !== "error" || !end.detail || connection.state === "map_session") return "";
  const detail = safe(end.detail, 160);
  return why.includes(detail) ? "" : `The last attempt failed: ${detail}.`;
}

function whyStale(reason, connection) {
  const end = connection?.last_end;
  const ended = reason === "session_ended" || (reason === "" && connection && connection.state !== "map_session");
  if (!ended || !end) return REASONS[reason] ?? "The daemon does not vouch for it now.";
  if (end.reason === "error" && end.detail) return `${ENDED.error.slice(0, -1)}: ${safe(end.detail, 160)}.`;
  return ENDED[end.reason] ?? REASONS.session_ended;
}

function doingNow(connection) {
  if (connection.state === "backing_off") {
    const next = connection.next_attempt_s;
    return `The next attempt comes by itself${next === null ? "" : `, in ${age(Math.ceil(next))}`}.`;
  }
  return DOING[connection.state] ?? "";
}

/**
 * Words for the age, with the time by the reader's clock when it is no longer fresh.
 * @param {number|null} ageMs
 * @param {boolean} fresh
 */
export function heard(ageMs, fresh, now = new Date()) {
  if (ageMs === null) return "never heard";
  if (fresh) return `heard ${age(ageMs / 1000)} ago`;
  const at = new Date(now.getTime() - ageMs);
  const day = localDay(at) === localDay(now) ? "" : `${localDay(at)} `;
  return `heard ${age(ageMs / 1000)} ago, at ${day}${localTime(at.toISOString(), at)}`;
}

const RING = "M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22z";
const PERSON = "M12 2a5 5 0 1 1 0 10 5 5 0 0 1 0-10zM2 22c0-6 4-9 10-9s10 3 10 9z";
const SHAPES = {
  fresh: [`${RING}M10.5 17.6l-5.3-5.3 2-2 3.3 3.3 6.6-7 2 2z`, "#15904f"],
  stale: ["M12 1.5 23.5 22H.5zM10.9 9v6.2h2.2V9zm0 8v2.3h2.2V17z", "#d97706"],
  none: ["M2 2h20v20H2zM8 5.9 5.9 8l4 4-4 4L8 18.1l4-4 4 4 2.1-2.1-4-4 4-4L16 5.9l-4 4z", "#dc2f3f"],
  gone: [`${RING}m0 3a8 8 0 0 1 4.9 1.7L5.7 16.9A8 8 0 0 1 12 4zm0 16a8 8 0 0 1-4.9-1.7L18.3 7.1A8 8 0 0 1 12 20z`,
    "#dc2f3f"],
  jumped: [`${RING}m0 3a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM11 6h2.2v5.5l4 2.4-1.1 1.9-5.1-3.1z`, "#d97706"],
  paused: [`${RING}M7 6h3.5v12H7zm6.5 0H17v12h-3.5z`, "#d97706"],
  token: ["M6 10V7a6 6 0 0 1 12 0v3h2v12H4V10zm3 0h6V7a3 3 0 0 0-6 0zM11 14v4h2v-4z", "#d97706"],
  removed: [`${RING}M5 10.4h14v3.2H5z`, "#dc2f3f"],
  login: [PERSON, "#d97706"],
  approval: [PERSON, "#d97706"],
  connecting: [`${RING}m0 3a8 8 0 1 1 0 16 8 8 0 0 1 0-16z`, "#7b8594"],
};
const SIGNS = {fresh: "✓", stale: "⚠", none: "✕", gone: "✕", removed: "✕"};
const SETTLED_MS = 700;
/** A change is spoken when it has lasted so long: not both ends of what is over in a moment. */

/**
 * @param {HTMLElement} element
 * @param {{store: Object}} context
 */
export function mount(element, {store}) {
  const shape = svg("svg", {viewBox: "0 0 24 24", class: "shape", "aria-hidden": "true"});
  const path = svg("path", {"fill-rule": "evenodd", fill: "currentColor"});
  shape.append(path);
  const word = made("strong", "word");
  const running = made("span", "age");
  const reason = made("span", "reason");
  const advice = made("span", "advice");
  const counts = made("p", "counts");
  const attention = made("a", "attention");
  attention.href = "#processes";
  const first = made("p", "first");
  first.append(word, " ", running);
  const second = made("p", "second");
  second.append(reason, " ", advice);
  const say = made("div", "say");
  say.append(first, second);
  const spoken = made("p", "visually-hidden");
  spoken.setAttribute("role", "status");
  const beside = made("div", "beside");
  beside.append(counts, attention);
  element.replaceChildren(shape, say, beside, spoken);

  let stream = {phase: "connecting"};
  let answers = true;
  let slept = {ms: 0, of: -1};
  let key = "";
  let title = "";
  let speaking = 0;

  function refresh() {
    const now = performance.now();
    const sleptMs = slept.of === store.trust.at ? slept.ms : 0;
    const verdict = judge({trust: store.trust, stream, status: store.status, answers, now, sleptMs});
    write(running, ["connecting", "token"].includes(verdict.key) ? "" : heard(verdict.ageMs, verdict.key === "fresh"));
    write(word, verdict.word);
    write(reason, verdict.reason);
    write(advice, verdict.advice);
    showTitle(verdict);
    if (verdict.key === key) return;
    key = verdict.key;
    element.dataset.state = key;
    document.documentElement.dataset.trust = key;
    path.setAttribute("d", SHAPES[key][0]);
    document.getElementById("favicon").href = icon(...SHAPES[key]);
    count();
    clearTimeout(speaking);
    speaking = setTimeout(() => write(spoken, `${verdict.word}. ${verdict.reason} ${verdict.advice}`), SETTLED_MS);
  }

  function showTitle({key: now, word: text}) {
    const wanted = `${SIGNS[now] ?? "…"} ${text}${store.domain ? ` · ${safe(store.domain, 60)}` : ""}`;
    if (wanted !== title) document.title = wanted;
    title = wanted;
  }

  function count() {
    const found = {online: 0, offline: 0, unknown: 0};
    for (const {online} of store.nodes.values()) found[online ? "online" : online === false ? "offline" : "unknown"] += 1;
    const unknown = found.unknown ? ` · ${found.unknown} unknown` : "";
    const then = key === "fresh" ? "" : "then ";
    write(counts, store.nodes.size ? `${then}${found.online} online · ${found.offline} offline${unknown}` : "");
  }

  function showAttention() {
    const count = store.status?.degraded?.length ?? 0;
    attention.hidden = count === 0;
    write(attention, count === 1 ? "1 condition needs attention" : `${count} conditions need attention`);
  }

  // The address is the node's: what leads to another place of the page must not change it.
  attention.addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("processes").scrollIntoView();
  });
  store.subscribe((turn) => {
    if (turn.trust || turn.whole) refresh();
    if (turn.trust) showAttention();
    if (turn.whole) count();
  });
  setInterval(() => {
    refresh();
    count();
  }, 1000);
  document.addEventListener("visibilitychange", refresh);
  refresh();
  showAttention();
  return {
    /** The state of the stream of events. */
    stream(state) {
      if (state.driftMs > 0) slept = {ms: (slept.of === store.trust.at ? slept.ms : 0) + state.driftMs, of: store.trust.at};
      stream = state;
      refresh();
    },
    /** Whether the endpoint answers questions, and says anything at all. */
    answers(yes) {
      answers = yes;
      refresh();
    },
  };
}

function icon(shape, colour) {
  const drawn = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path fill-rule="evenodd" fill="${colour}"
d="${shape}"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(drawn)}`;
}

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function made(tag, className) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  return element;
}

/** Only what differs: a text that is written again would be laid out, and perhaps spoken, again. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
