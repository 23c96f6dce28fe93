"""The site of the documentation: `make docs` builds it, offline, and takes every warning as an error."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s:#]+)\)")
ALT = re.compile(r"!\[[^\]]+\]")
STYLE = (
    "<style>@media(max-width:46em){article p:has(>img[src$='.svg']){overflow-x:auto}"
    "article p>img[src$='.svg']{max-width:none}}</style>"
)
"""A drawing keeps its size where it has no room, and moves sideways: its words stay large enough to read."""
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import netmap_actors  # noqa: E402
from tests.contract.site.reference import filled  # noqa: E402

project = "netmap-supervisor"
author = "the netmap-supervisor maintainers"
project_copyright = author
version = release = netmap_actors.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "examples"]
source_suffix = {".md": "markdown"}
default_role = "code"
highlight_language = "none"  # a block without a language is for a shell, or what it printed
nitpicky = True
# What our names are made of: Python's and other libraries' types, whose documentation is not fetched.
nitpick_ignore_regex = [(r"py:.*", r"(?!netmap_supervisor\.).*")]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"

html_theme = "furo"
html_title = f"netmap-supervisor {release}"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}


def _fill(app: Any, name: str, content: list[str]) -> None:
    """Put the generated parts in; a link to a directory of the repository, which the site has not, is its words."""
    place = Path(app.env.doc2path(name)).parent
    text = LINK.sub(lambda link: link[1] if (place / link[2]).is_dir() else link[0], filled(content[0]))
    # A line break in what an image is to those who do not see it would join two words.
    content[0] = ALT.sub(lambda alt: alt[0].replace("\n", " "), text)


def _style(*told: Any) -> None:
    """Into the head of a page; what is told of it fourth are the values of its template."""
    context = told[3]
    context["metatags"] = context.get("metatags", "") + STYLE


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("source-read", _fill)
    app.connect("html-page-context", _style)
