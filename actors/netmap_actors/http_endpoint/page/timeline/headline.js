/** The line above the time axis that says in short what happened. */

import {local} from "../history/occurrences.js";
import {counted, long, summary} from "./summary.js";

/** @param {string} tag @param {string} [className] @param {string} [text] */
export function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** @param {(id: string) => void} select */
export function createHeadline(select) {
  const element = make("p", "headline");
  const notice = make("p", "notice");
  notice.hidden = true;

  /** @param {import("../history/history.js").PageHistory} history @param {import("./window.js").View} view
   * @param {?{state: string, state_since: ?string}} said As for `summary`. */
  function show(history, view, window, now, said) {
    const told = summary(history.model, window, now, said);
    const parts = [];
    if (told.trust) parts.push(make("strong", "", `${told.trust[0].toUpperCase()}${told.trust.slice(1)}. `));
    const range = `${local(window.since, now)} to ${local(window.until, now)}`;
    const length = view.until === null ? `In the last ${long(view.length)}: ` : `${range}: `;
    if (history.state !== "loading") {
      parts.push(length);
      told.parts.forEach((part, index) => {
        if (index > 0) parts.push(", ");
        parts.push(make("span", part.tone, part.text));
        if (part.nodes.length > 0) parts.push(" ", ...named(part));
      });
      parts.push(told.parts.length > 0 ? "." : "nothing happened.");
    } else {
      parts.push("The history is being loaded …");
    }
    sayIfNew(element, parts);
    const problem = {
      off:
        'No history is kept (history.keep = "off" in the configuration; --history-keep 7d switches it on): ' +
        "this is what came since the page was opened.",
      failed: `The history is not answering: ${history.problem}`,
      login: "Log in to see what happened.",
    }[history.state];
    notice.hidden = problem === undefined;
    if (problem !== undefined && notice.textContent !== problem) notice.textContent = problem;
  }

  function named({nodes, count}) {
    const rest = count - nodes.length;
    const links = nodes.map(({id, name}, index) => {
      const before = index === 0 ? "(" : "";
      const link = make("button", "link");
      link.type = "button";
      link.append(make("bdi", "", name));
      link.addEventListener("click", () => select(id));
      const unbroken = make("span", "unbroken");
      unbroken.append(before, link, index < nodes.length - 1 ? "," : rest > 0 ? "" : ")");
      return unbroken;
    });
    const spaced = links.flatMap((link) => [" ", link]).slice(1);
    return rest > 0 ? [...spaced, ` and ${counted(rest, "more", "more")})`] : spaced;
  }

  return {element, notice, show};
}

/** The same words are not written again: links in them keep the focus. */
function sayIfNew(element, parts) {
  const text = parts.map((part) => (typeof part === "string" ? part : part.textContent)).join("");
  if (element.textContent !== text) element.replaceChildren(...parts);
}
