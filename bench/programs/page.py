"""The page in Chromium with 10 000 peers and 50 changes a second: frames, first row, and its heap over an hour of it.

Software draws here, on the cores that run the daemon, too. So beside each figure stands what a page without work
reaches meanwhile on the same machine: one that scrolls rows which never change, one that only fetches the netmap.
"""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, Figures, run_program
from bench.instruments.page_watch import (
    FIRST_ROW,
    PLAIN_LIST,
    Heap,
    MainThread,
    fetch_and_parse,
    first_row,
    frame_gaps,
)
from bench.peers.tailnets import real_node
from tests.support.browser.chromium import launched
from tests.support.browser.page_daemon import PageDaemon
from tests.support.processes.http_process import free_address, running_http
from tests.support.processes.publisher_process import running_publisher

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.support.processes.publisher_process import PublisherProcess

PEERS, RATE = 10_000, 50
ROUNDS, WINDOW = 5, 5.0
"""Openings of the page, and seconds of each part of one."""
HOUR = 3600 * RATE
"""Changes."""
TOGETHER = 1_000
"""Changes after which the page has to have caught up."""
LIVE, FED = f"embedded.{PEERS}.page", f"fed.{PEERS}.page"
VIEWPORT = {"width": 1440, "height": 900}
SLOW = 33.4
"""Milliseconds: two frames of a screen with 60 a second."""


class Frames:
    """Of one page in one state, window by window."""

    def __init__(self) -> None:
        self.means: list[float] = []
        self.p95s: list[float] = []
        self.slow: list[float] = []
        self.work: list[float] = []

    def watch(self, page: Page, *, scrolling: bool) -> None:
        """One window more."""
        thread = MainThread(page)
        before = thread.seconds()
        gaps = frame_gaps(page, WINDOW, scrolling=scrolling)
        self.work.append(1000 * (thread.seconds() - before) / len(gaps))
        self.means.append(statistics.fmean(gaps))
        self.p95s.append(sorted(gaps)[len(gaps) * 95 // 100])
        self.slow.append(100 * sum(gap > SLOW for gap in gaps) / len(gaps))

    def figures(self, key: str) -> Figures:
        """Milliseconds between frames, how many of a hundred are late, and the CPU of one."""
        return {
            f"{key}_gap": Figure.of("ms", self.means),
            f"{key}_gap_p95": Figure.of("ms", self.p95s),
            f"{key}_slow": Figure.of("%", self.slow),
            f"{key}_cpu": Figure.of("ms", self.work),
        }


def live(browser: Browser, rounds: int) -> tuple[Figures, dict[str, Any]]:
    """A whole daemon whose tailnet is never still; and its status."""
    ours, rest, plain = Frames(), Frames(), Frames()
    rows, fetches = [], []
    config = f"[dev_control]\nnodes = {PEERS}\nchurn = {RATE}.0\n"
    with PageDaemon(config=config) as daemon:
        daemon.wait_served()
        status = daemon.wait_reported()
        for _ in range(rounds):
            context = browser.new_context(viewport=VIEWPORT)
            page = context.new_page()
            page.goto(f"{daemon.origin}/openapi.json")
            fetches.append(fetch_and_parse(page))
            page.set_content(PLAIN_LIST)
            plain.watch(page, scrolling=True)
            page.add_init_script(FIRST_ROW)
            page.goto(f"{daemon.origin}/")
            rows.append(first_row(page))
            frame_gaps(page, 1.0, scrolling=False)
            ours.watch(page, scrolling=True)
            rest.watch(page, scrolling=False)
            context.close()
    return {
        **ours.figures(f"{LIVE}_scrolling"),
        **rest.figures(f"{LIVE}_at_rest"),
        **plain.figures(f"{LIVE}_plain_list"),
        f"{LIVE}_scrolling_gap/plain_list": Figure.ratio(ours.means, plain.means),
        f"{LIVE}_first_row": Figure.of("s", rows),
        f"{LIVE}_first_row/fetch": Figure.ratio(rows, fetches),
    }, status


def feed(publisher: PublisherProcess, rng: random.Random, mark: int) -> None:
    """As many changes as the page has to catch up with, a second's worth in a message, and a mark that it shows."""
    for _ in range(TOGETHER // RATE):
        patches = [
            {"NodeID": 1_000 + target, "Online": rng.random() < 0.5, "DERPRegion": 1 + rng.randrange(900)}
            for target in rng.sample(range(PEERS), RATE)
        ]
        publisher.map_response({"PeersChangedPatch": patches})
    publisher.map_response({"Domain": f"mark-{mark}.example"})
    while publisher.router.poll(0):
        publisher.router.recv_multipart()


def wait_mark(page: Page, mark: int) -> None:
    """The page shows it."""
    page.locator("#tailnet", has_text=f"mark-{mark}.").wait_for(timeout=60_000)


def over_an_hour(browser: Browser, status: dict[str, Any], changes: int) -> Figures:
    """A page that follows them as fast as it can; its heap after a tenth of them, and after each sixth."""
    rng = random.Random(1)
    with running_publisher() as publisher, running_http(publisher, free_address()) as endpoint:
        endpoint.told = {"status": status, "counters": {}}
        own = real_node(rng, 1) | {"StableID": "self"}
        peers = [real_node(rng, number) for number in range(1_000, 1_000 + PEERS)]
        publisher.new_session({"Node": own, "Peers": peers, "Domain": "bench.example"})
        endpoint.fresh()
        page = browser.new_page(viewport=VIEWPORT)
        page.add_init_script(FIRST_ROW)
        page.goto(f"http://{endpoint.listen}/")
        first_row(page)
        heap = Heap(page)
        rounds = changes // TOGETHER
        sixths = [rounds * part // 6 for part in range(1, 7)]
        sizes, elements = {}, {}
        for mark in range(1, rounds + 1):
            feed(publisher, rng, mark)
            wait_mark(page, mark)
            if mark in {rounds // 10, *sixths}:
                sizes[mark], elements[mark] = heap.mebibytes(), heap.elements()
        page.close()
    return {
        **{f"{FED}_heap_{part}_of_6": Figure.of("MiB", [sizes[mark]]) for part, mark in enumerate(sixths, 1)},
        f"{FED}_growth": Figure.of("", [sizes[rounds] / sizes[rounds // 10]]),
        f"{FED}_elements_growth": Figure.of("", [elements[rounds] / elements[rounds // 10]]),
    }


def measure(quick: bool) -> Figures:
    """A quick one has two openings and a tenth of the hour."""
    with launched() as browser:
        figures, status = live(browser, 2 if quick else ROUNDS)
        return figures | over_an_hour(browser, status, HOUR // 10 if quick else HOUR)


if __name__ == "__main__":
    run_program("page", measure)
