// Few streams for all tabs. A browser keeps six connections to an endpoint (HTTP/1.1), and a stream has one for itself:
// the sixth tab would leave none for any other question, and a seventh could not even be loaded.

const MOST = 4;
/** Streams at a time, and that of the tab that is looked at. */

/**
 * @param {{onFull: () => void, looked?: () => boolean, channel?: BroadcastChannel}} options
 *   `onFull`: MOST other tabs opened theirs later, and nobody looks at this one: its stream has to make way
 * @returns {{opened: () => void, closed: () => void, looked: () => boolean}}  what this tab does with its stream
 */
export function createTabLimit({onFull, looked = isLookedAt, channel = new BroadcastChannel("netmap-streams")}) {
  // No randomUUID: without TLS, away from this machine, there is none.
  const own = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const later = new Set();
  let open = false;

  function check() {
    if (!open || later.size < MOST || looked()) return;
    closed();
    onFull();
  }

  function closed() {
    if (open) channel.postMessage({closed: own});
    open = false;
  }

  channel.addEventListener("message", ({data}) => {
    if (data.opened) later.add(data.opened);
    else later.delete(data.closed);
    check();
  });
  channel.start?.();
  addEventListener("blur", check);
  document.addEventListener("visibilitychange", check);
  addEventListener("pagehide", closed);
  return {
    opened() {
      open = true;
      later.clear();
      channel.postMessage({opened: own});
    },
    closed,
    looked,
  };
}

const isLookedAt = () => !document.hidden && document.hasFocus();
