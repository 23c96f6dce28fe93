"""The long description of the wheel and the sdist: the README, whose links lead outside the repository only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\[([^\]]+)\]\((?!https?://)[^)\s]+\)")
"""Markdown's, to a file or a heading of the repository."""
PLACES = """\
The files that this page names are in the source distribution. Rules, dashboard, units, the files of the image
and examples are installed below `share/netmap-supervisor`, and `man netmap-supervisor` has every command.

"""


class LongDescription(MetadataHookInterface):
    """What hatchling asks for the metadata that pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme`."""
        text = (Path(self.root) / "README.md").read_text()
        metadata["readme"] = {"content-type": "text/markdown", "text": long_description(text)}


def long_description(readme: str) -> str:
    """A link into the repository becomes the name of its file, or its own text where that says it."""
    plain = LINK.sub(r"\1", readme)
    title, _, rest = plain.partition("\n\n")
    return f"{title}\n\n{PLACES}{rest}"
