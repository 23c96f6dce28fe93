// Asks GET /status while the page is visible: the age of the netmap between two events, and the processes.

const INTERVAL_MS = 5000;
const TIMEOUT_MS = 4000;
/** The endpoint gives the daemon 2 seconds to answer. */

/**
 * @param {{onStatus: (status: Object) => void, onLogin: () => void, onFailure: (askedAt: number) => void,
 *   now?: () => number}} options  `onFailure`: nothing came back at all, for a question of `askedAt`
 * @returns {{subscribe: (f: (status: Object) => void) => () => void, ask: () => void}}
 */
export function createStatus({onStatus, onLogin, onFailure, now = () => performance.now()}) {
  const listeners = new Set();
  let timer = 0;
  let asking = false;

  async function ask() {
    if (asking || document.hidden) return;
    asking = true;
    clearTimeout(timer);
    const askedAt = now();
    try {
      const response = await fetch("status", {signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store"});
      if (response.status === 401) onLogin();
      else if (response.ok) {
        const told = await response.json();
        // What is no status is like none: no part of the page is to fail of it.
        if (told?.netmap && Array.isArray(told.actors)) take(told);
      }
    } catch {
      onFailure(askedAt);
    } finally {
      asking = false;
      timer = setTimeout(ask, INTERVAL_MS);
    }
  }

  function take(status) {
    onStatus(status);
    for (const listener of listeners) listener(status);
  }

  document.addEventListener("visibilitychange", ask);
  return {
    ask,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
