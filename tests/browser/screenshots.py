"""Pictures of the page at three sizes, light and dark, into docs/page or the folder that is named."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.browser.chromium import launched, opened
from tests.support.browser.indexed_png import indexed
from tests.support.browser.night import morning_after

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZES = {"wide": (1440, 900), "tablet": (820, 1180), "phone": (390, 844)}
SCHEMES = ("light", "dark")


def settle(page: Page) -> None:
    """Its nodes, its processes and its history are there."""
    page.locator("#nodes").get_by_text("alice-desktop").first.wait_for()
    page.locator("#processes").get_by_text("publisher").first.wait_for()
    page.locator("#timeline").get_by_text("publisher restarted once").first.wait_for()
    page.locator("#recent li").first.wait_for()
    page.evaluate("document.fonts.ready.then(() => null)")


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as work,
        morning_after(Path(work)) as (daemon, _),
        launched() as browser,
    ):
        empty = browser.new_page()
        for scheme in SCHEMES:
            for name, (width, height) in SIZES.items():
                viewport = {"width": width, "height": height}
                with opened(browser, daemon.origin, viewport=viewport, color_scheme=scheme) as page:
                    settle(page)
                    path = directory / f"{name}-{scheme}.png"
                    path.write_bytes(indexed(empty, page.screenshot()))
                    print(path, path.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "docs" / "page")
