/**
 * The history as the page keeps it: pure. Times are milliseconds since 1970, as the server tells them.
 *
 * @typedef {{since: number, until: number, state: string, detail: Object}} Span
 * @typedef {{id: (number|string), at: number, after: ?number, kind: string, subject: string, name: string,
 *   detail: Object}} Occurrence `after`: it was not seen as it happened, but after this moment.
 * @typedef {Object} HistoryModel
 * @property {number} since What is known begins here.
 * @property {number} until And ends here; later than that nothing was asked yet.
 * @property {{since: number, until: number}[]} gaps Nobody recorded.
 * @property {Span[]} netmap
 * @property {?Span[]} connection null: nothing can be known of it.
 * @property {Map<string, {name: string, spans: Span[]}>} nodes By stable id.
 * @property {Occurrence[]} occurrences In the order of their time.
 * @property {number} occurrencesSince Older ones are left out.
 * @property {string} file
 * @property {number} newestId
 */

const LATE = 30_000;
/** Milliseconds by which the history may lag: a gap at its end that is shorter is not known to be one. */

/** @returns {HistoryModel} Nothing is known of any time. */
export function emptyModel(at) {
  return {
    since: at,
    until: at,
    gaps: [],
    netmap: [],
    connection: [],
    nodes: new Map(),
    occurrences: [],
    occurrencesSince: at,
    file: "",
    newestId: 0,
  };
}

/** @param {import("./history.js").Answer} answer @returns {HistoryModel} Raises TypeError: it is none. */
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
  const occurrences = answer.occurrences.map(occurrenceOf).filter((one) => one.at >= 0);
  occurrences.sort(byTime);
  return {
    since,
    until,
    gaps,
    netmap: spans(answer.netmap),
    connection: spans(answer.connection),
    nodes: new Map(
      answer.nodes.map((node) => [node.stable_id, { name: node.name, spans: spans(node.spans) }]),
    ),
    occurrences,
    occurrencesSince: answer.more && occurrences.length > 0 ? occurrences[0].at : since,
    file: answer.file,
    newestId: answer.newest_id,
  };
}

/**
 * What is known together: `later` counts from its beginning on.
 *
 * @param {HistoryModel} model @param {HistoryModel} later Begins within `model`.
 * @returns {?HistoryModel} null: they are not of one file, or do not meet; ask for the whole.
 */
export function merged(model, later) {
  const other = model.file !== later.file || later.newestId < model.newestId;
  if (other || later.since > model.until || later.since < model.since) return null;
  const nodes = new Map();
  for (const [id, node] of model.nodes) {
    const known = later.nodes.get(id);
    const spans = joined(node.spans, known?.spans ?? [], later.since);
    if (spans.length > 0) nodes.set(id, { name: known?.name ?? node.name, spans });
  }
  for (const [id, node] of later.nodes) if (!model.nodes.has(id)) nodes.set(id, node);
  const told = new Set(later.occurrences.map((one) => one.id));
  const occurrences = model.occurrences.filter((one) => !told.has(one.id)).concat(later.occurrences);
  occurrences.sort(byTime);
  const cut = later.occurrencesSince > later.since && !told.has(model.newestId);
  return {
    since: model.since,
    until: later.until,
    gaps: joined(
      model.gaps.map((gap) => ({ ...gap, state: "", detail: {} })),
      later.gaps.map((gap) => ({ ...gap, state: "", detail: {} })),
      later.since,
    ).map(({ since, until }) => ({ since, until })),
    netmap: joined(model.netmap, later.netmap, later.since),
    connection: joined(model.connection, later.connection, later.since),
    nodes,
    occurrences,
    occurrencesSince: cut ? later.occurrencesSince : model.occurrencesSince,
    file: later.file,
    newestId: later.newestId,
  };
}

/**
 * The occurrences of `later`, which was asked for without lanes, and the lanes of `model` as they are.
 *
 * @param {HistoryModel} model @param {HistoryModel} later @returns {?HistoryModel} null: as `merged`.
 */
export function withOccurrences(model, later) {
  if (later.since > model.until) return null;
  return merged(model, {...later, since: model.until, until: model.until, gaps: [], netmap: [], connection: [],
    nodes: new Map()});
}

/**
 * Without what is older than `since`, with no more than so many occurrences and spans: the oldest go first.
 *
 * @param {HistoryModel} model @returns {HistoryModel}
 */
export function trimmed(model, since, mostOccurrences, mostSpans) {
  let begin = Math.min(Math.max(model.since, since), model.until);
  const ends = [];
  for (const node of model.nodes.values()) for (const span of node.spans) ends.push(span.until);
  if (ends.length > mostSpans) {
    ends.sort((one, other) => other - one);
    begin = Math.max(begin, ends[mostSpans]);
  }
  let occurrences = model.occurrences;
  let occurrencesSince = Math.max(begin, model.occurrencesSince);
  if (occurrences.length > mostOccurrences) {
    occurrences = occurrences.slice(-mostOccurrences);
    occurrencesSince = Math.max(occurrencesSince, occurrences[0].at);
  }
  if (begin === model.since && occurrences === model.occurrences) return model;
  const nodes = new Map();
  for (const [id, node] of model.nodes) {
    const spans = after(node.spans, begin);
    if (spans.length > 0) nodes.set(id, { name: node.name, spans });
  }
  return {
    ...model,
    since: begin,
    gaps: after(model.gaps, begin),
    netmap: after(model.netmap, begin),
    connection: model.connection && after(model.connection, begin),
    nodes,
    occurrences: occurrences.filter((one) => one.at >= begin),
    occurrencesSince,
  };
}

function occurrenceOf(one) {
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
