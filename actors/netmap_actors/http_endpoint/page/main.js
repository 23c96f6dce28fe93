// Puts the page together: the stream of events, the store, and the parts that show it.

import {createStatus} from "./stream/status.js";
import {createStore} from "./stream/store.js";
import {openStream} from "./stream/stream.js";
import * as format from "./format.js";

/** Each part is loaded by itself: one that fails says so in its place, and the others go on. */
const SECTIONS = [
  ["timeline", "timeline/timeline"], ["nodes", "nodes/nodes"], ["panel", "nodes/panel"],
  ["processes", "processes/processes"], ["recent", "recent"],
];

const store = createStore();
const byId = (id) => document.getElementById(id);

const [{mount: mountTrust}, {mount: mountLogin}] = await Promise.all([
  import("./trust.js"),
  import("./login.js"),
]);
const login = mountLogin(byId("login"));
const banner = mountTrust(byId("trust"), {store});
const history = await import("./history/history.js").then(({follow}) => follow(store), () => null);

let following = false;
/** A part could not be had: with an endpoint that is back the page is loaded anew, for a browser asks for a part once. */
let lacking = false;
let lost = false;
let version = null;
const status = createStatus({
  onStatus: (told) => {
    version ??= told.version;
    // Of a daemon that was upgraded the page is another, too.
    if (told.version !== version) location.reload();
    // Somebody logged in beside this tab.
    if (login.shown) stream.reconnect();
    banner.answers(true);
    store.takeStatus(told, following);
    byId("logout").hidden = !told.http?.token_required;
  },
  // The stream is asked, too: what it says counts.
  onLogin: () => login.shown || stream.reconnect(),
  // One that says something has no need to answer: its stream is what counts.
  onFailure: (askedAt) => banner.answers(stream.heardAt() > askedAt),
});
const stream = openStream({
  onEvent: (event) => {
    if (event.type === "snapshot") {
      if (lacking && lost) location.reload();
      login.hide();
      status.ask();
    }
    banner.answers(true);
    store.apply(event);
  },
  onComment: () => banner.answers(true),
  onState: (state) => {
    following = state.phase === "open";
    lost ||= state.phase === "lost";
    banner.stream(state);
    if (state.phase !== "login") return;
    // What was shown to somebody who may no longer see it stays nowhere.
    if (store.self || store.nodes.size > 0) location.reload();
    else login.show();
  },
});

const context = {store, status, history, format, select};
const opened = new Set();
store.subscribe((turn) => {
  if (turn.whole || turn.changes.length) showWhose();
});

function showWhose() {
  const self = store.self ? ` · this node is ${format.safe(format.shortName(store.self))}` : "";
  const text = `${format.safe(store.domain)}${self}`;
  if (byId("tailnet").textContent !== text) byId("tailnet").textContent = text;
}

// The banner stays in sight; what is laid over the page begins below it.
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--top", `${byId("top").offsetHeight}px`);
}).observe(byId("top"));

/** Opens the panel of the node with this stable id; null closes it. The address then names the node. */
function select(id) {
  const hash = id === null ? "" : format.nodeHash(id);
  if (location.hash !== hash) {
    window.history.pushState(null, "", hash || location.pathname + location.search);
  }
  tellSelected();
}

function selected() {
  const found = /^#node=(.+)$/.exec(location.hash);
  if (!found) return null;
  try {
    return decodeURIComponent(found[1]);
  } catch {
    return null;
  }
}

function tellSelected() {
  const id = selected();
  for (const onSelected of opened) onSelected(id);
}

window.addEventListener("popstate", tellSelected);

for (const [id, module] of SECTIONS) {
  const element = byId(id);
  import(`./${module}.js`)
    .then(({mount}) => {
      const part = mount(element, context);
      if (part?.selected) {
        opened.add(part.selected);
        part.selected(selected());
      }
    })
    .catch((error) => {
      lacking = true;
      console.error(error);
      element.append(format.textElement("p", "notice", `This part of the page cannot be shown: ${error.message}`));
    });
}
status.ask();
