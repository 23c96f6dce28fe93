/**
 * The window of time that is looked at: pure. Times are milliseconds since 1970.
 *
 * @typedef {{length: number, until: ?number}} View `until`: null for now, which moves.
 */

const SHORTEST = 60_000;

/** @param {View} view @param {number} now @returns {{since: number, until: number}} */
export function windowOf({length, until}, now) {
  const end = until ?? now;
  return {since: end - length, until: end};
}

/** Later by `ms`, or earlier; not beyond now, nor longer ago than `longest`. @param {View} view */
export function panned(view, now, ms, longest) {
  const until = Math.max((view.until ?? now) + ms, now - longest + view.length);
  return {length: view.length, until: until >= now ? null : until};
}

/**
 * `factor` times as long, with the moment `about` in its place; null: the middle, or now.
 *
 * @param {View} view @param {?number} about @returns {View}
 */
export function zoomed(view, now, factor, about, longest) {
  const length = Math.min(longest, Math.max(SHORTEST, view.length * factor));
  const {since, until} = windowOf(view, now);
  if (about === null && view.until === null) return {length, until: null};
  const fixed = about ?? (since + until) / 2;
  const end = fixed + length * ((until - fixed) / view.length);
  return panned({length, until: Math.min(end, now)}, now, 0, longest);
}
