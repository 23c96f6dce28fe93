"""What a page does in Chromium: how far apart its frames are, when its first row is there, how large its heap is."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FRAMES = """
({seconds, scrolling}) => new Promise((done) => {
  const tall = (box) => box.scrollHeight > box.clientHeight + 5000;
  const boxes = [document.scrollingElement, ...document.querySelectorAll("#nodes, #nodes *")];
  const box = scrolling ? boxes.find(tall) : null;
  if (scrolling && !box) throw new Error("nothing to scroll");
  const gaps = [];
  let last = 0, step = 60, until = 0;
  requestAnimationFrame(function frame(at) {
    if (last) gaps.push(at - last);
    until ||= at + 1000 * seconds;
    last = at;
    if (box) {
      const before = box.scrollTop;
      box.scrollTop += step;
      if (box.scrollTop === before) step = -step;
    }
    if (at < until) requestAnimationFrame(frame);
    else done(gaps);
  });
})
"""
FIRST_ROW = """
requestAnimationFrame(function look() {
  if (document.querySelector('#nodes [aria-rowindex="2"]')) window.firstRow = performance.now();
  else requestAnimationFrame(look);
});
"""
"""Goes into a page before it is opened; `first_row` then waits for it."""
PLAIN_LIST = """<!doctype html><title>plain</title>
<style>
  body { margin: 0; font: 14px sans-serif }
  #nodes { height: 100vh; overflow-y: auto }
  #all { position: relative; height: 320000px }
  .row { position: absolute; display: grid; grid-template-columns: repeat(8, 1fr); width: 100%; height: 32px }
</style>
<div id="nodes"><div id="all"></div></div>
<script>
  const box = document.getElementById("nodes"), rows = [];
  for (let at = 0; at < 40; at++) {
    const row = document.createElement("div");
    row.className = "row";
    for (let cell = 0; cell < 8; cell++) row.append(document.createElement("span"));
    document.getElementById("all").append(row);
    rows.push(row);
  }
  function draw() {
    const first = Math.floor(box.scrollTop / 32);
    rows.forEach((row, at) => {
      row.style.top = `${32 * (first + at)}px`;
      [...row.children].forEach((cell, column) => { cell.textContent = `${first + at} ${column}`; });
    });
  }
  box.addEventListener("scroll", draw);
  draw();
</script>
"""
"""10 000 rows that never change, drawn with the least work: what scrolls no faster than this, this machine cannot."""


def frame_gaps(page: Page, seconds: float, *, scrolling: bool) -> list[float]:
    """Milliseconds between frames of so many seconds."""
    return cast("list[float]", page.evaluate(_FRAMES, {"seconds": seconds, "scrolling": scrolling}))


def first_row(page: Page) -> float:
    """Seconds from the navigation to the first row on the screen."""
    page.locator('#nodes [aria-rowindex="2"]').wait_for(timeout=60_000)
    return cast("float", page.evaluate("window.firstRow")) / 1000


def fetch_and_parse(page: Page) -> float:
    """Seconds in which a page of this origin gets the netmap as JSON, and shows nothing."""
    code = """async () => {
      const began = performance.now();
      await (await fetch("/netmap")).json();
      return performance.now() - began;
    }"""
    return cast("float", page.evaluate(code)) / 1000


class MainThread:
    """CPU of a page's own thread, which runs its scripts, its layout and its painting."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self) -> float:
        """So far."""
        metrics = {
            one["name"]: one["value"] for one in self._session.send("Performance.getMetrics")["metrics"]
        }
        return cast("float", metrics["TaskDuration"])


class Heap:
    """Of one page, garbage collected first."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("HeapProfiler.enable")

    def mebibytes(self) -> float:
        self._session.send("HeapProfiler.collectGarbage")
        return cast("float", self._session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20

    def elements(self) -> float:
        """Nodes of the document, those that only a script still holds among them."""
        self._session.send("HeapProfiler.collectGarbage")
        return cast("float", self._session.send("Memory.getDOMCounters")["nodes"])
