/** Ticks of a time axis at round local times: pure. Times are milliseconds since 1970. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const STEPS = [1, 2, 5, 10, 15, 30].map((count) => count * MINUTE)
  .concat([1, 2, 3, 6, 12].map((count) => count * HOUR), [1, 2, 7].map((count) => count * DAY));

/**
 * @param {{since: number, until: number}} window
 * @param {number} width Pixels.
 * @param {number} [room] Of a label.
 * @returns {{at: number, x: number, text: string, day: boolean}[]} `day`: a day begins there;
 *   its label goes before those beside it.
 */
export function ticks({since, until}, width, room = 64) {
  const least = ((until - since) / width) * room;
  const step = STEPS.find((one) => one >= least) ?? STEPS.at(-1);
  const out = [];
  const first = new Date(since);
  // From local midnight on, so that hours are round in every time zone; a changed clock shifts none of them.
  let day = new Date(first.getFullYear(), first.getMonth(), first.getDate());
  while (day.getTime() < until) {
    const days = Math.max(1, Math.round(step / DAY));
    const next = new Date(day.getFullYear(), day.getMonth(), day.getDate() + days);
    for (let minutes = 0; minutes * MINUTE < DAY; minutes += step / MINUTE) {
      const at = new Date(day.getFullYear(), day.getMonth(), day.getDate(), 0, minutes);
      // An hour that a clock skips would be the next one again.
      const ms = at.getTime();
      if (ms < since || ms >= until || at >= next || ms === out.at(-1)?.at) continue;
      out.push(tick(at, since, until, width));
    }
    day = next;
  }
  const days = out.filter((one) => one.day);
  for (const one of out) {
    if (!one.day && days.some((other) => Math.abs(other.x - one.x) < 1.6 * room)) one.text = "";
  }
  return out;
}

function tick(at, since, until, width) {
  const day = at.getHours() === 0 && at.getMinutes() === 0;
  const pad = (number) => String(number).padStart(2, "0");
  const text = day
    ? at.toLocaleDateString(undefined, {weekday: "short", day: "numeric", month: "short"})
    : `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  return {at: at.getTime(), x: ((at.getTime() - since) / (until - since)) * width, text, day};
}
