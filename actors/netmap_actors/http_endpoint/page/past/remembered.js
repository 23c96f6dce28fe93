/**
 * The history as the page keeps it: pure. Times are milliseconds since 1970, as the server tells them.
 *
 * @typedef {{since: number, until: number, state: string, detail: Object}} Span
 * @typedef {{id: (number|string), at: number, after: ?number, kind: string, subject: string, name: string,
 *   detail: Object}} Happening `after`: it was not seen as it happened, but after this moment.
 * @typedef {Object} Memory
 * @property {number} since What is known begins here.
 * @property {number} until And ends here; later than that nothing was asked yet.
 * @property {{since: number, until: number}[]} gaps Nobody recorded.
 * @property {Span[]} netmap
 * @property {?Span[]} connection null: nothing can be known of it.
 * @property {Map<string, {name: string, spans: Span[]}>} nodes By stable id.
 * @property {Happening[]} happenings In the order of their time.
 * @property {number} happeningsSince Older ones are left out.
 * @property {string} file
 * @property {number} newestId
 */

const LATE = 30_000;
/** Milliseconds by which the history may lag: a gap at its end that is shorter is not known to be one. */

/** @returns {Memory} Nothing is known of any time. */
export function nothing(at) {
  return {
    since: at,
    until: at,
    gaps: [],
    netmap: [],
    connection: [],
    nodes: new Map(),
    happenings: [],
    happeningsSince: at,
    file: "",
    newestId: 0,
  };
}

/** @param {import("../history.js").Answer} answer @returns {Memory} Raises TypeError: it is none. */
export function parsed(answer) {
  const since = Date.parse(answer?.since);
  let until = Date.parse(answer?.until);
  const lists = ["gaps", "netmap", "connection", "nodes", "occurrences"];
  if (!(since <= until && lists.every((name) => Array.isArray(answer[name])))) {
    throw new TypeError("cannot read the history: it is not one");
  }
  const gaps = answer.gaps.map((gap) => ({ since: Date.parse(gap.since), until: Date.parse(gap.until) }));
  const last = gaps.at(-1);
  if (last !== undefined && last.until >= until && until - last.since < LATE) {
    gaps.pop();
    until = Math.max(since, last.since);
  }
  const spans = (list) =>
    list
      .map((span) => ({
        since: Math.max(since, Date.parse(span.since)),
        until: Math.min(until, Date.parse(span.until)),
        state: span.state,
        detail: span.detail ?? {},
      }))
      .filter((span) => span.since < span.until);
  const happenings = answer.occurrences.map(happeningOf).filter((one) => one.at >= 0);
  happenings.sort(byTime);
  return {
    since,
    until,
    gaps,
    netmap: spans(answer.netmap),
    connection: spans(answer.connection),
    nodes: new Map(
      answer.nodes.map((node) => [node.stable_id, { name: node.name, spans: spans(node.spans) }]),
    ),
    happenings,
    happeningsSince: answer.more && happenings.length > 0 ? happenings[0].at : since,
    file: answer.file,
    newestId: answer.newest_id,
  };
}

/**
 * What is known together: `later` counts from its beginning on.
 *
 * @param {Memory} memory @param {Memory} later Begins within `memory`.
 * @returns {?Memory} null: they are not of one file, or do not meet; ask for the whole.
 */
export function merged(memory, later) {
  const other = memory.file !== later.file || later.newestId < memory.newestId;
  if (other || later.since > memory.until || later.since < memory.since) return null;
  const nodes = new Map();
  for (const [id, node] of memory.nodes) {
    const known = later.nodes.get(id);
    const spans = joined(node.spans, known?.spans ?? [], later.since);
    if (spans.length > 0) nodes.set(id, { name: known?.name ?? node.name, spans });
  }
  for (const [id, node] of later.nodes) if (!memory.nodes.has(id)) nodes.set(id, node);
  const told = new Set(later.happenings.map((one) => one.id));
  const happenings = memory.happenings.filter((one) => !told.has(one.id)).concat(later.happenings);
  happenings.sort(byTime);
  const cut = later.happeningsSince > later.since && !told.has(memory.newestId);
  return {
    since: memory.since,
    until: later.until,
    gaps: joined(
      memory.gaps.map((gap) => ({ ...gap, state: "", detail: {} })),
      later.gaps.map((gap) => ({ ...gap, state: "", detail: {} })),
      later.since,
    ).map(({ since, until }) => ({ since, until })),
    netmap: joined(memory.netmap, later.netmap, later.since),
    connection: joined(memory.connection, later.connection, later.since),
    nodes,
    happenings,
    happeningsSince: cut ? later.happeningsSince : memory.happeningsSince,
    file: later.file,
    newestId: later.newestId,
  };
}

/**
 * The happenings of `later`, which was asked for without lanes, and the lanes of `memory` as they are.
 *
 * @param {Memory} memory @param {Memory} later @returns {?Memory} null: as `merged`.
 */
export function withHappenings(memory, later) {
  if (later.since > memory.until) return null;
  return merged(memory, {...later, since: memory.until, until: memory.until, gaps: [], netmap: [], connection: [],
    nodes: new Map()});
}

/**
 * Without what is older than `since`, with no more than so many happenings and spans: the oldest go first.
 *
 * @param {Memory} memory @returns {Memory}
 */
export function trimmed(memory, since, mostHappenings, mostSpans) {
  let begin = Math.min(Math.max(memory.since, since), memory.until);
  const ends = [];
  for (const node of memory.nodes.values()) for (const span of node.spans) ends.push(span.until);
  if (ends.length > mostSpans) {
    ends.sort((one, other) => other - one);
    begin = Math.max(begin, ends[mostSpans]);
  }
  let happenings = memory.happenings;
  let happeningsSince = Math.max(begin, memory.happeningsSince);
  if (happenings.length > mostHappenings) {
    happenings = happenings.slice(-mostHappenings);
    happeningsSince = Math.max(happeningsSince, happenings[0].at);
  }
  if (begin === memory.since && happenings === memory.happenings) return memory;
  const nodes = new Map();
  for (const [id, node] of memory.nodes) {
    const spans = after(node.spans, begin);
    if (spans.length > 0) nodes.set(id, { name: node.name, spans });
  }
  return {
    ...memory,
    since: begin,
    gaps: after(memory.gaps, begin),
    netmap: after(memory.netmap, begin),
    connection: memory.connection && after(memory.connection, begin),
    nodes,
    happenings: happenings.filter((one) => one.at >= begin),
    happeningsSince,
  };
}

function happeningOf(one) {
  const after = Date.parse(one.after);
  return {
    id: one.id,
    at: Date.parse(one.at),
    after: Number.isNaN(after) ? null : after,
    kind: String(one.kind ?? ""),
    subject: String(one.subject ?? ""),
    name: String(one.name ?? ""),
    detail: one.detail ?? {},
  };
}

function byTime(one, other) {
  return one.at - other.at || one.id - other.id || 0;
}

function before(spans, moment) {
  const kept = spans.filter((span) => span.since < moment);
  const last = kept.at(-1);
  if (last !== undefined && last.until > moment) kept[kept.length - 1] = { ...last, until: moment };
  return kept;
}

function after(spans, moment) {
  if (spans.length === 0 || spans[0].since >= moment) return spans;
  const kept = spans.filter((span) => span.until > moment);
  if (kept.length > 0 && kept[0].since < moment) kept[0] = { ...kept[0], since: moment };
  return kept;
}

function joined(spans, later, moment) {
  const out = before(spans, moment);
  for (const span of later) {
    const last = out.at(-1);
    if (last !== undefined && last.until >= span.since && same(last, span)) {
      out[out.length - 1] = { ...span, since: last.since };
    } else {
      out.push(span);
    }
  }
  return out;
}

function same(one, other) {
  const { detail: a, state } = one;
  const { detail: b } = other;
  return (
    state === other.state && a.generation === b.generation && a.session === b.session && a.reason === b.reason
  );
}
