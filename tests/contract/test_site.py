"""The site of the documentation: what the program puts into it is whole, and what is drawn is true.

That it can be built without a warning is for `make check` itself.
"""

from __future__ import annotations

import re
import runpy
from types import SimpleNamespace

import pytest

from netmap_actors.http_endpoint import pages
from netmap_supervisor.supervision.child_machine import TABLE, Action
from tests.contract import public_surface
from tests.contract.site import pictures, reference
from tests.contract.test_documentation import PAGES, name_of
from tests.contract.test_house import ROOT


@pytest.mark.parametrize("part", reference.PARTS)
def test_a_part_is_made_for_a_page_that_names_it(part: str) -> None:
    (page,) = [one for one in PAGES if f"<!-- generated: {part} -->" in one.read_text()]
    text = reference.filled(page.read_text())
    assert "generated:" not in text
    assert text.count("\n| ") > 5


def test_a_part_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        reference.filled("<!-- generated: nothing -->\n")


def test_every_metric_is_told() -> None:
    told = set(re.findall(r"`(netmap_\w+)`", reference.metrics()))
    # One is the beginning of others.
    assert {one for one in public_surface.surface()["metrics"] if not one.endswith("_")} - told == set()


def test_every_path_is_told() -> None:
    assert re.findall(r"^## `(.*)`$", reference.http(), re.MULTILINE) == list(pages.PATHS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_picture_has_words_for_those_who_do_not_see_it(page: object) -> None:
    assert re.findall(r"!\[\s*\]\(", page.read_text()) == []


def test_what_stands_for_a_picture_keeps_its_words_apart() -> None:
    conf = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    app = SimpleNamespace(env=SimpleNamespace(doc2path=lambda name: str(ROOT / "docs" / f"{name}.md")))
    content = ["![one\ntwo](a.svg) and [three\nfour](tutorial.md)"]
    conf["_fill"](app, "index", content)
    assert content == ["![one two](a.svg) and [three\nfour](tutorial.md)"]


def test_the_words_of_a_drawing_are_large_enough_and_the_site_does_not_shrink_them_on_a_phone() -> None:
    for path, text in pictures.pictures().items():
        assert min(map(int, re.findall(r"font-size:(\d+)px", text))) >= 12, path.name
    context = {"metatags": "<meta>"}
    runpy.run_path(str(ROOT / "docs" / "conf.py"))["_style"](None, "", "", context, None)
    assert context["metatags"].startswith("<meta><style>@media(max-width")
    assert "img[src$='.svg']{max-width:none}" in context["metatags"]


def test_the_drawn_verdict_is_that_of_the_detector() -> None:
    verdict, reports = pictures.verdict_of_silence()
    assert verdict == 120.0
    assert reports == [15.0 * number for number in range(9)]


def test_every_move_of_a_child_is_drawn() -> None:
    moves = {
        (state, after)
        for state, row in TABLE.items()
        for action, after in row.values()
        if after is not state or action is not Action.NOTHING
    }
    (drawn,) = [text for path, text in pictures.pictures().items() if path.stem == "life-of-a-child"]
    assert drawn.count("<path class='line'") == len(moves)
