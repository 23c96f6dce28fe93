/** Lanes and axis as SVG: a few paths each, however much there is to draw. */

import {clustered, visible} from "./lanes.js";
import {ticks} from "./axis.js";

const SVG = "http://www.w3.org/2000/svg";
export const HEIGHT = 22;
const TOP = 5;
const BOTTOM = 17;
/** Of a bar, in pixels. */
const THIN = {offline: 5, absent: 1, down: 5, unseen: 1, none: 5, attempt: 6};
/** How high what is not there is drawn, above BOTTOM: no bar is told from another one by its colour alone. */
const BLANK = new Set(["unheard", "unloaded", "many"]);
const SIZE = 5;

const SHAPES = {
  bad: (x, y) => `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`,
  good: (x, y) => `M${x - 3} ${y - 3}h6v6h-6z`,
  gone: (x, y) => `M${x - SIZE} ${y - 4}h${2 * SIZE}l${-SIZE} 8z`,
  come: (x, y) => `M${x - SIZE} ${y + 4}h${2 * SIZE}l${-SIZE} -8z`,
  other: (x, y) => `M${x} ${y - SIZE}l${SIZE} ${SIZE}l${-SIZE} ${SIZE}l${-SIZE} ${-SIZE}z`,
};

/** @param {string} name @param {Object} [attributes] */
export function svg(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** What hatched bars are filled with; somewhere in the document, once. */
export function patterns() {
  const holder = svg("svg", {class: "patterns", "aria-hidden": "true", width: 0, height: 0});
  const defs = svg("defs");
  for (const [id, angle, step] of [["hatched", 45, 7], ["backhatched", -45, 5], ["dotted", 0, 4]]) {
    const pattern = svg("pattern", {
      id, width: step, height: step, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})`,
    });
    pattern.append(svg("rect", {width: step, height: step, class: `${id}-paper`}));
    const ink = id === "dotted" ? {width: 2, height: 2} : {width: 1.6, height: step};
    pattern.append(svg("rect", {...ink, class: `${id}-ink`}));
    defs.append(pattern);
  }
  holder.append(defs);
  return holder;
}

/**
 * The picture of one lane.
 *
 * @typedef {{bars: Object[], marks: Object[]}} Drawn What `visible` and `clustered` made of it.
 */
export function createLanePicture() {
  const element = svg("svg", {class: "lane-picture", "aria-hidden": "true", height: HEIGHT});
  const bars = svg("g");
  const marks = svg("g");
  element.append(bars, marks);
  const known = new Map();

  function path(group, name, d) {
    let one = known.get(name);
    if (one === undefined) {
      one = {element: svg("path", {class: name}), d: ""};
      known.set(name, one);
      group.append(one.element);
    }
    if (one.d !== d) one.element.setAttribute("d", d);
    one.d = d;
  }

  return {
    element,
    /** @param {import("./lanes.js").Lane} lane @returns {Drawn} */
    draw(lane, window, width) {
      const drawn = {
        bars: visible(lane.segments, window, width),
        marks: clustered(lane.marks, window, width),
      };
      const paths = new Map([...known.keys()].map((name) => [name, ""]));
      const add = (name, d) => paths.set(name, (paths.get(name) ?? "") + d);
      for (const {x, width: wide, state} of drawn.bars) {
        if (BLANK.has(state)) continue;
        const top = state in THIN ? BOTTOM - THIN[state] : TOP;
        add(`bar ${state}`, `M${round(x)} ${top}h${round(Math.max(wide, 1))}V${BOTTOM}H${round(x)}z`);
        if (state === "session" && x > 0) add("edge", `M${round(x)} ${TOP - 3}V${BOTTOM + 3}`);
      }
      for (const {x, tone} of drawn.marks) {
        add(`mark ${tone}`, SHAPES[tone](round(x), (TOP + BOTTOM) / 2));
      }
      for (const [name, d] of paths) path(name.startsWith("mark") ? marks : bars, name, d);
      element.setAttribute("width", String(width));
      return drawn;
    },
  };
}

/** The axis above the lanes, and the lines of the days down through them. */
export function createAxis() {
  const element = svg("svg", {class: "axis", "aria-hidden": "true", height: 24});
  return {
    element,
    draw(window, width) {
      element.setAttribute("width", String(width));
      const parts = [];
      for (const {x, text, day} of ticks(window, width)) {
        const name = day ? "tick day" : "tick";
        const last = x > width - 40;
        parts.push(svg("path", {class: name, d: `M${round(x)} 17V24`}));
        const label = svg("text", {
          class: name, x: round(last ? Math.min(x, width) : Math.max(x, 0)), y: 13,
          "text-anchor": last ? "end" : x < 30 ? "start" : "middle",
        });
        label.textContent = text;
        parts.push(label);
      }
      element.replaceChildren(...parts);
    },
  };
}

/** A picture of a bar or a mark for the legend. */
export function swatch(kind, name) {
  const element = svg("svg", {class: "swatch", "aria-hidden": "true", width: 22, height: HEIGHT});
  const d = kind === "mark"
    ? SHAPES[name](11, (TOP + BOTTOM) / 2)
    : `M0 ${name in THIN ? BOTTOM - THIN[name] : TOP}h22V${BOTTOM}H0z`;
  element.append(svg("path", {class: `${kind} ${name}`, d}));
  return element;
}

const LEGEND = [
  ["bar", "session", "session, fresh, online, running"],
  ["bar", "stale", "stale"],
  ["bar", "silence", "silence"],
  ["bar", "offline", "offline"],
  ["bar", "asleep", "this machine slept"],
  ["bar", "unrecorded", "not recorded"],
  ["mark", "bad", "broke off"],
  ["mark", "good", "began"],
  ["mark", "gone", "went"],
  ["mark", "come", "came"],
  ["mark", "other", "changed"],
];

/** What bars and marks mean. */
export function legend() {
  const element = document.createElement("ul");
  element.className = "legend";
  for (const [kind, name, text] of LEGEND) {
    const item = document.createElement("li");
    item.append(swatch(kind, name), text);
    element.append(item);
  }
  return element;
}

function round(number) {
  return Math.round(number * 10) / 10;
}
