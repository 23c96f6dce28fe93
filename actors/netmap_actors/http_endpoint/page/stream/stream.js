// Follows /events. By fetch and not by EventSource: that one hides comments, so that silence could not be noticed.

import {createTabLimit} from "./tab_limit.js";
import {createParser} from "./sse.js";

export const SILENCE_MS = 40_000;
/** The endpoint says something every 15 seconds; after so long without a byte the stream is dead. */
const BACKOFF_MS = [1000, 2000, 4000, 8000, 15_000];
const TICK_MS = 1000;
const JUMP_MS = 5000;
/** How far the clock on the wall may leave the one that only counts: further, and the machine slept or was set. */

/** What came is no event of a netmap; what fails in fetch is the network. */
class Unusable extends Error {}

/**
 * @typedef {{phase: "connecting"|"open"|"lost"|"paused"|"login", why?: string, driftMs?: number}} StreamState
 *   `paused`: other tabs have the connections, and this one goes on when it is looked at;
 *   `why`: closed, unreachable, silent, jumped, refused, or the text of the stream's last event; `driftMs`: by how much the clock jumped
 * @param {{onEvent: (event: Object) => void, onComment: (text: string) => void,
 *   onState: (state: StreamState) => void, now?: () => number}} options
 * @returns {{reconnect: () => void, heardAt: () => number}}
 */
export function openStream({onEvent, onComment, onState, now = () => performance.now()}) {
  let abort = new AbortController();
  let heardAt = now();
  let failures = 0;
  let timer = 0;
  let waiting = false;
  let connected = false;
  let wall = Date.now() - now();
  let paused = false;
  const tabLimit = createTabLimit({onFull: pause});

  function connect() {
    clearTimeout(timer);
    waiting = false;
    paused = false;
    connected = true;
    tabLimit.opened();
    abort = new AbortController();
    heardAt = now();
    follow(abort);
  }

  async function follow(own) {
    let why = "closed";
    try {
      const response = await fetch("events", {
        signal: own.signal,
        cache: "no-store",
        headers: {Accept: "text/event-stream"},
      });
      if (response.status === 401) {
        connected = false;
        tabLimit.closed();
        onState({phase: "login"});
        return;
      }
      if (response.ok) why = await read(response, own);
      else why = `refused: ${response.status}`;
    } catch (error) {
      if (own !== abort) return;
      why = "unreachable";
      if (error instanceof Unusable) {
        console.error(error);
        why = error.message;
      }
    } finally {
      own.abort();
    }
    if (own === abort && connected) retry(why);
  }

  async function read(response, own) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let last = "closed";
    const push = createParser({
      onComment,
      onEvent: ({type, data}) => {
        try {
          const event = JSON.parse(data);
          if (type === "error") {
            last = event.error || "closed";
            return;
          }
          onEvent(event);
        } catch (error) {
          throw new Unusable(`It sent what cannot be used: ${error.message}`, {cause: error});
        }
        if (type === "snapshot") {
          failures = 0;
          onState({phase: "open"});
        }
      },
    });
    for (;;) {
      const {done, value} = await reader.read();
      if (done || own !== abort) return last;
      heardAt = now();
      push(value);
    }
  }

  function retry(why) {
    const wait = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
    failures += 1;
    waiting = true;
    onState({phase: "lost", why});
    timer = setTimeout(connect, wait);
  }

  function pause() {
    clearTimeout(timer);
    paused = true;
    waiting = connected = false;
    const old = abort;
    abort = new AbortController();
    old.abort("paused");
    onState({phase: "paused"});
  }

  function resume() {
    if (paused && tabLimit.looked()) reconnect();
  }

  /** Leave what there is, and ask anew at once. */
  function reconnect(why = "", driftMs = 0) {
    onState({phase: "connecting", why, driftMs});
    const old = abort;
    connect();
    old.abort(why);
  }

  setInterval(() => {
    const drift = Date.now() - now() - wall;
    wall += drift;
    if (Math.abs(drift) > JUMP_MS && (connected || waiting)) {
      failures = 0;
      reconnect("jumped", drift);
    } else if (connected && !waiting && now() - heardAt > SILENCE_MS) {
      const old = abort;
      abort = new AbortController();
      old.abort("silent");
      retry("silent");
    }
  }, TICK_MS);
  addEventListener("focus", resume);
  document.addEventListener("visibilitychange", resume);
  addEventListener("pageshow", ({persisted}) => persisted && reconnect());
  onState({phase: "connecting"});
  connect();
  return {reconnect, heardAt: () => heardAt};
}
