// What the table of nodes shows, sorts by and finds. Pure: a row is made of a node once, and again when it changes.

import {age, localDay, onlineWord, safe, shortName, shortTime} from "../format.js";

/**
 * @typedef {Object} Row
 * @property {string} id  stable id
 * @property {Object} node
 * @property {boolean} self  our own node
 * @property {string} found  what a word of the search is looked for in, lower case
 * @property {string} nameKey
 * @property {string} key  of the column sorted by; "": has none, and is last
 */

const DEFAULT_ROUTES = new Set(["0.0.0.0/0", "::/0"]);
const ipOf = (prefix) => prefix.replace(/\/(32|128)$/, "");
const moment = (text) => (text ? Date.parse(text) : NaN);
const padded = (text) => text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
const RANK = {online: "1", unknown: "2", offline: "3"};

/** Every prefix the node routes besides its own addresses. */
export function routesOf(node) {
  const own = new Set(node.addresses);
  const all = new Set([...(node.routes ?? []), ...(node.allowed_ips ?? [])]);
  return [...all].filter((prefix) => !own.has(prefix));
}

export const isExitNode = (node) => routesOf(node).some((prefix) => DEFAULT_ROUTES.has(prefix));
export const subnetsOf = (node) => routesOf(node).filter((prefix) => !DEFAULT_ROUTES.has(prefix));
export const isExpired = (node, now = Date.now()) => Boolean(node.expired) || moment(node.key_expiry) < now;
export const tagName = (tag) => tag.replace(/^tag:/, "");

function expiry(node) {
  if (isExpired(node)) return "expired";
  if (!node.key_expiry) return "never";
  const left = (moment(node.key_expiry) - Date.now()) / 1000;
  if (Number.isNaN(left)) return safe(node.key_expiry);
  return left < 7 * 86_400 ? `in ${age(left)}` : localDay(new Date(node.key_expiry));
}

function lastSeen(node) {
  if (node.online) return "now";
  return node.last_seen ? shortTime(node.last_seen) : "";
}

const routed = (node) => [isExitNode(node) ? "exit node" : "", ...subnetsOf(node)].filter(Boolean);
const isTime = (node, key) => !Number.isNaN(moment(node[key]));

/** `text`: what stands in the cell; `key`: what it is sorted by, as text that compares. */
export const COLUMNS = [
  {name: "name", title: "Name", text: (n) => safe(shortName(n), 80), key: (n) => padded(shortName(n))},
  {
    name: "address",
    title: "Address",
    text: (n) => safe(ipOf(n.addresses?.[0] ?? "")),
    key: (n) => padded(n.addresses?.[0] ?? ""),
  },
  {name: "online", title: "Online", text: onlineWord, key: (n) => RANK[onlineWord(n)]},
  {
    name: "last_seen",
    title: "Last seen",
    text: lastSeen,
    key: (n) => (n.online ? "9" : isTime(n, "last_seen") ? n.last_seen : ""),
    latestFirst: true,
  },
  {
    name: "tags",
    title: "Tags",
    text: (n) => safe((n.tags ?? []).map(tagName).join(", ")),
    key: (n) => padded((n.tags ?? []).map(tagName).join(",")),
  },
  {name: "routes", title: "Routes", text: (n) => safe(routed(n).join(", ")), key: (n) => padded(routed(n).join(","))},
  {name: "os", title: "OS", text: (n) => safe(n.os), key: (n) => padded(n.os ?? "")},
  {name: "user", title: "User", text: (n) => safe(n.user), key: (n) => padded(n.user ?? "")},
  {
    name: "key_expiry",
    title: "Key expiry",
    text: expiry,
    key: (n) => (isExpired(n) ? "0" : isTime(n, "key_expiry") ? n.key_expiry : "9"),
  },
];

/** @returns {Row} */
export function makeRow(node, self, column) {
  const all = [node.name, safe(node.name), node.hostname, node.user, node.os, node.stable_id, ...(node.addresses ?? []),
    ...(node.tags ?? []), ...(node.routes ?? [])];
  return {
    id: node.stable_id,
    node,
    self,
    found: all.filter(Boolean).join("\n").toLowerCase(),
    nameKey: padded(shortName(node)),
    key: column.key(node),
  };
}

/** -1, 0 or 1. What has no value is last in both directions; equal ones are by name. */
export function compareRows(a, b, descending) {
  if (a.key !== b.key) {
    if (a.key === "" || b.key === "") return a.key === "" ? 1 : -1;
    return a.key < b.key === descending ? 1 : -1;
  }
  if (a.nameKey !== b.nameKey) return a.nameKey < b.nameKey ? -1 : 1;
  return a.id < b.id ? -1 : Number(a.id > b.id);
}

const begins = (texts, value) => (texts ?? []).some((text) => text?.toLowerCase().startsWith(value));
const YES = {yes: "online", true: "online", no: "offline", false: "offline"};

/** Words of the search that look at one thing: `tag:web`. What is not one of them is a word like any other. */
const FIELDS = {
  name: (node, value) => (node.name ?? "").toLowerCase().includes(value),
  address: (node, value) => begins(node.addresses, value),
  online: (node, value) => onlineWord(node).startsWith(YES[value] ?? value),
  tag: (node, value) => begins((node.tags ?? []).map(tagName), value),
  route: (node, value) => begins(routed(node), value),
  os: (node, value) => begins([node.os], value),
  user: (node, value) => (node.user ?? "").toLowerCase().includes(value),
  id: (node, value) => begins([node.stable_id, node.key], value),
  key: (node, value) => expiry(node).startsWith(value),
};
FIELDS.ip = FIELDS.address;

export const CHIPS = [
  {name: "offline", title: "Offline", accepts: (node) => node.online === false},
  {name: "tagged", title: "Tagged", accepts: (node) => (node.tags ?? []).length > 0},
  {name: "expired", title: "Key expired", accepts: (node) => isExpired(node)},
  {name: "exit", title: "Exit nodes", accepts: isExitNode},
  {name: "subnet", title: "Subnet routers", accepts: (node) => subnetsOf(node).length > 0},
];

/**
 * What a search and the pressed chips let through: all words have to be found, `-word` must not be.
 * @param {string} text
 * @param {Iterable<string>} [chips]
 * @returns {((row: Row) => boolean)|null}  null: everything
 */
export function acceptance(text, chips = []) {
  const tests = CHIPS.filter(({name}) => [...chips].includes(name)).map(({accepts}) => (row) => accepts(row.node));
  for (const match of text.matchAll(/(-?)(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))/gi)) {
    const [, minus, field = "", quoted, bare] = match;
    const value = (quoted ?? bare).toLowerCase();
    const known = Object.hasOwn(FIELDS, field.toLowerCase());
    const test = known
      ? (row) => FIELDS[field.toLowerCase()](row.node, value)
      : (row) => row.found.includes(field ? `${field.toLowerCase()}:${value}` : value);
    tests.push(minus ? (row) => !test(row) : test);
  }
  return tests.length ? (row) => tests.every((test) => test(row)) : null;
}
