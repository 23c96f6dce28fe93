"""`export template`: the text that a user's template makes of the netmap, within limits of time and memory."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors import shown_json
from netmap_actors.confinement.bounded_child import BoundedChild, Bounds, NotMade
from netmap_supervisor.admin.commands import CommandFailed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_template", "rendered"]

PROCESSOR_TIME: Final = 10
"""Seconds."""
PATIENCE: Final = 60.0
"""Seconds, for a process that waits instead of working."""
_MEMORY: Final = 1 << 30
"""Bytes besides what the values take."""
_PER_BYTE: Final = 20
"""Bytes that one byte of JSON takes as values, at most."""
_MAX_SOURCE: Final = 4 << 20


def check_template(path: Path) -> None:
    """Raises CommandFailed if it is known by now that it cannot be rendered."""
    if importlib.util.find_spec("jinja2") is None:
        raise CommandFailed(
            "cannot render: Jinja2 is not installed; pip install 'netmap-supervisor[template]'"
        )
    try:
        path.open("rb").close()
    except OSError as error:
        raise CommandFailed(f"cannot render {path}: {error.strerror}") from None


def rendered(path: Path, values: dict[str, Any], *, processor_time: int = PROCESSOR_TIME) -> str:
    """The text that the template makes of these values, in so many seconds at most. Raises CommandFailed."""
    check_template(path)
    data = shown_json.encode(values)
    bounds = Bounds(processor_time, PATIENCE, _MEMORY + _PER_BYTE * len(data))
    try:
        return BoundedChild(f"render {path}", lambda: _render(path.resolve(), data), bounds).wait().decode()
    except NotMade as error:
        raise CommandFailed(str(error)) from None


def _render(path: Path, data: bytes) -> bytes:
    """In its process, which alone loads Jinja2. It reads no file outside the template's directory."""
    from netmap_actors.exports.remarks import CannotExport
    from netmap_actors.exports.template_sandbox import render
    from netmap_actors.exports.template_values import with_nodes

    def source(name: str) -> str | None:
        wanted = (path.parent / name).resolve()
        if not wanted.is_relative_to(path.parent) or not wanted.is_file():
            return None
        if wanted.stat().st_size > _MAX_SOURCE:
            raise CannotExport(f"cannot render {name}: it is larger than {_MAX_SOURCE >> 20} MiB")
        try:
            return wanted.read_text(encoding="utf-8")
        except OSError as error:
            raise CannotExport(f"cannot render {name}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CannotExport(f"cannot render {name}: it is not UTF-8") from None

    text = render(path.name, source, with_nodes(msgspec.json.decode(data)))
    return text.encode(errors="replace")
