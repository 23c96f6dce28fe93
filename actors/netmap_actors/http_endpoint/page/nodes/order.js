// The rows of the table in their order, kept as nodes change without sorting anew. Pure.

import {COLUMNS, compareRows, makeRow} from "./columns.js";

export function createOrder() {
  /** @type {Map<string, import("./columns.js").Row>} */
  let all = new Map();
  /** @type {import("./columns.js").Row[]} */
  let rows = [];
  let column = COLUMNS[0];
  let descending = false;
  let accepts = null;
  let own = null;

  const compare = (a, b) => compareRows(a, b, descending);
  const accepted = (row) => accepts === null || accepts(row);

  function arrange() {
    rows = [...all.values()].filter(accepted).sort(compare);
  }

  return {
    /** Those that are shown, in order. */
    get rows() {
      return rows;
    },
    get size() {
      return all.size;
    },
    get sort() {
      return {name: column.name, descending};
    },
    /** How many of them are peers. */
    get peers() {
      return rows.length - (own !== null && position(own) >= 0 ? 1 : 0);
    },
    /** @param {string} name  of a column */
    sortBy(name, down) {
      column = COLUMNS.find((one) => one.name === name);
      descending = down;
      for (const row of all.values()) row.key = column.key(row.node);
      arrange();
    },
    /** @param {((row: Object) => boolean)|null} test */
    filter(test) {
      accepts = test;
      arrange();
    },
    /** All nodes may be others. */
    reset(nodes, self) {
      all = new Map();
      for (const node of nodes.values()) all.set(node.stable_id, makeRow(node, false, column));
      own = self ? makeRow(self, true, column) : null;
      if (own) all.set(own.id, own);
      arrange();
    },
    /**
     * @param {Set<string>} ids  of the nodes that changed, came or went
     * @param {(id: string) => Object|undefined} find  the node as it is now
     */
    update(ids, find, self) {
      for (const id of ids) {
        const before = all.get(id);
        const node = find(id);
        const row = node ? makeRow(node, self?.stable_id === id, column) : undefined;
        if (row?.self || before?.self) own = row ?? null;
        if (row) all.set(id, row);
        else all.delete(id);
        place(before ? position(before) : -1, row && accepted(row) ? row : undefined);
      }
    },
    /** Where the row of this node is; -1: it is not shown. */
    indexOf: (id) => (all.has(id) ? position(all.get(id)) : -1),
  };

  /** Put `row` where it belongs, in place of the one at `index`. */
  function place(index, row) {
    if (index >= 0 && row && rows[index].key === row.key && rows[index].nameKey === row.nameKey) {
      rows[index] = row;
      return;
    }
    if (index >= 0) rows.splice(index, 1);
    if (row) rows.splice(lowest(row), 0, row);
  }

  /** The index of a row that is in order; -1: it is not shown. */
  function position(row) {
    const at = lowest(row);
    return rows[at]?.id === row.id ? at : -1;
  }

  /** The lowest index at which `row` would be in order. */
  function lowest(row) {
    let from = 0;
    let to = rows.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (compare(rows[middle], row) < 0) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
