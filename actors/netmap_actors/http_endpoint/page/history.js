/** What the daemon remembers: GET /history, kept current while the page is looked at. */

/**
 * @typedef {Object} Answer What `history --json` prints.
 * @property {string} since
 * @property {string} until
 * @property {{since: string, until: string}[]} gaps
 * @property {{since: string, until: string, state: string, detail: Object}[]} netmap
 * @property {{since: string, until: string, state: string, detail: Object}[]} connection
 * @property {{stable_id: string, name: string, spans: {since: string, until: string, state: string}[]}[]} nodes
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
    this.off = status === 404 && message.includes("history.keep");
  }
}

/**
 * Ask once.
 *
 * @param {{since?: string, until?: string, peer?: string, kinds?: string[], signal?: AbortSignal}} asked `since` and
 *   `until`: so long ago ("8h") or RFC 3339; `peer`: a stable id or a name.
 * @returns {Promise<Answer>} Raises HistoryError.
 */
export async function loadHistory({ since, until, peer, kinds = [], signal } = {}) {
  const query = new URLSearchParams();
  if (since) query.append("since", since);
  if (until) query.append("until", until);
  if (peer) query.append("peer", peer);
  for (const kind of kinds) query.append("kind", kind);
  let answer;
  try {
    answer = await fetch(`/history?${query}`, { signal, cache: "no-store" });
  } catch (error) {
    throw new HistoryError(`cannot load the history: ${error.message}`, 0);
  }
  if (!answer.ok) throw new HistoryError((await answer.text()).trim().slice(0, 500), answer.status);
  return answer.json();
}

/**
 * The history of the page: `history` of the sections' `mount`.
 *
 * main.js hands every event of /events to `told(event)`, and calls `start()` once the page is let in.
 *
 * @param {{store: Object}} page
 */
export function createHistory({ store }) {
  const listeners = new Set();
  return {
    told(event) {},
    start() {},
    stop() {},
    onHistory(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    loadHistory,
  };
}
