/** The time axis as a table, for those who read it: made only while it is open. */

import {detail, local, what, who} from "../history/occurrences.js";
import {long} from "./summary.js";
import {laneTitle, stateWords} from "./labels.js";

const MOST = 300;
/** Rows of each table. */
const PACE = 5000;
/** Milliseconds between two fillings: who reads in it is not disturbed all the time. */

export function createTable() {
  const element = document.createElement("details");
  element.className = "as-table";
  const title = document.createElement("summary");
  title.textContent = "The same as tables";
  const states = table("What was when", ["Lane", "State", "From", "To", "Time"]);
  const occurrences = table("What happened", ["Time", "What", "Who", "Detail"]);
  element.append(title, occurrences.element, states.element);
  let filled = -Infinity;
  let open = () => {};
  element.addEventListener("toggle", () => {
    filled = -Infinity;
    open();
  });

  return {
    element,
    /** @param {() => void} f When it is opened. */
    onOpen(f) {
      open = f;
    },
    /** @param {() => {lanes: import("./lanes.js").Lane[], now: number}} told Called if somebody looks. */
    show(told) {
      if (!element.open || performance.now() - filled < PACE) return;
      filled = performance.now();
      const {lanes, now} = told();
      const marks = lanes.flatMap((lane) => lane.marks).sort((one, other) => other.at - one.at);
      occurrences.fill(
        marks.map(({occurrence: one}) => [local(one.at, now), what(one.kind), who(one), detail(one, now)]),
      );
      states.fill(
        lanes.flatMap((lane) =>
          lane.segments
            .filter((one) => one.state !== "many")
            .map((one) => [
              laneTitle(lane), stateWords(one.state, lane.kind), local(one.since, now), local(one.until, now),
              long(one.until - one.since),
            ]),
        ),
      );
    },
  };
}

function table(name, columns) {
  const element = document.createElement("div");
  element.className = "scrolls";
  element.tabIndex = 0;
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", name);
  const made = document.createElement("table");
  const caption = document.createElement("caption");
  const head = document.createElement("thead");
  const body = document.createElement("tbody");
  head.append(row("th", columns));
  for (const cell of head.rows[0].cells) cell.scope = "col";
  made.append(caption, head, body);
  element.append(made);
  return {
    element,
    fill(rows) {
      caption.textContent = rows.length > MOST ? `${name}: the first ${MOST} of ${rows.length}` : name;
      body.replaceChildren(...rows.slice(0, MOST).map((cells) => row("td", cells)));
    },
  };
}

function row(tag, cells) {
  const made = document.createElement("tr");
  made.append(
    ...cells.map((text) => {
      const cell = document.createElement(tag);
      cell.textContent = text;
      return cell;
    }),
  );
  return made;
}
