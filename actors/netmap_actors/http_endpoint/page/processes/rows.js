/** The processes of a status as rows, in the words of Erlang's supervisors: pure. */

import {safe} from "../format.js";

const CALM = new Set(["active"]);

/**
 * @param {Object} status What `status --json` prints.
 * @param {{age: Function, bytes: Function}} format
 * @returns {{key: string, name: string, child: boolean, last: boolean, state: string, restarts: string,
 *   memory: string, up: string, more: string, ended: boolean, tone: ""|"bad"|"waiting"}[]}
 *   The Supervisor, then its children in the order in which they start.
 */
export function actorRows({actors, nursery}, {age, bytes}) {
  const rows = actors.map((actor, index) => ({
    key: actor.name,
    name: index === 0 ? "Supervisor" : safe(actor.name, 60).replaceAll("_", " "),
    child: index > 0,
    last: index === actors.length - 1,
    state: `${sign(actor)} ${safe(actor.state, 40).replaceAll("_", " ")}`,
    restarts: String(actor.restarts),
    memory: actor.rss_bytes === null || actor.rss_bytes === undefined ? "" : bytes(actor.rss_bytes),
    up: actor.uptime_s === null || actor.uptime_s === undefined ? "" : age(actor.uptime_s),
    more: [
      actor.last_exit ? `last exit: ${safe(actor.last_exit, 200)}` : "",
      `generation ${actor.generation}${actor.pid ? `, pid ${actor.pid}` : ""}`,
      confinement(actor),
    ].filter(Boolean).join(" · "),
    ended: Boolean(actor.last_exit),
    tone: CALM.has(actor.state) ? "" : actor.pid ? "waiting" : "bad",
  }));
  if (nursery) {
    const pid = nursery.pid ? `, pid ${nursery.pid}` : "";
    rows.splice(1, 0, {
      key: "nursery", name: "nursery", child: true, last: actors.length === 1,
      state: nursery.pid ? "● active" : "○ down",
      restarts: String(Math.max(0, nursery.generation - 1)), memory: "", up: "",
      more: `generation ${nursery.generation}${pid} · has forked ${nursery.forked}`,
      ended: false, tone: nursery.pid ? "" : "bad",
    });
  }
  return rows;
}

function sign({state, pid}) {
  return CALM.has(state) ? "●" : pid ? "◐" : "○";
}

function confinement({confinement: ground = {}, system_calls: calls, refused_calls: refused = {}}) {
  const parts = [];
  if (ground.landlock) parts.push("Landlock");
  if (calls === "refused") parts.push("seccomp");
  else if (calls === "counted") parts.push("seccomp, counting");
  if (ground.capabilities === 0) parts.push("no capabilities");
  const count = Object.values(refused).reduce((sum, one) => sum + one, 0);
  const named = Object.keys(refused).slice(0, 5).map((one) => safe(one, 40));
  if (count > 0) parts.push(`${count} system calls refused: ${named.join(", ")}`);
  return parts.length > 0 ? `confined by ${parts.join(", ")}` : "not confined";
}

/**
 * What is said aloud of the difference.
 *
 * @param {Object[]} before @param {Object[]} now Both as `actors` of a status. @returns {string[]}
 */
export function changesOf(before, now) {
  const known = new Map(before.map((actor) => [actor.name, actor]));
  return now.flatMap((actor) => {
    const old = known.get(actor.name);
    const name = safe(actor.name, 60).replaceAll("_", " ");
    if (old === undefined) return [`${name} is ${actor.state}`];
    const why = actor.last_exit ? ` after it ended: ${safe(actor.last_exit, 200)}` : "";
    if (actor.pid && actor.pid !== old.pid) return [`${name} was restarted${why}`];
    return actor.state !== old.state ? [`${name} is ${safe(actor.state, 40)}`] : [];
  });
}
