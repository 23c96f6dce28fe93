"""The process that renders one template: `python -P -m netmap_supervisor.cli.export.rendering FILE SECONDS`.

Values as JSON on standard input, the text on standard output. It reads no file outside the template's directory and
writes none.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["OUT_OF_MEMORY", "REFUSED"]

REFUSED: Final = 1
"""Exit status: the reason is on standard error."""
OUT_OF_MEMORY: Final = 3
_MEMORY: Final = 1 << 30
"""Bytes of address space besides what the values take."""
_PER_BYTE: Final = 20
"""Bytes of address space that one byte of JSON takes as values, at most."""
_MAX_SOURCE: Final = 4 << 20


def main() -> int:
    """Render; the exit status."""
    path = Path(sys.argv[1]).resolve()
    data = sys.stdin.buffer.read()
    time = int(sys.argv[2])
    # One second later comes SIGKILL, which says nothing of the reason.
    resource.setrlimit(resource.RLIMIT_CPU, (time, time + 1))
    for kind, limit in (
        (resource.RLIMIT_AS, _MEMORY + _PER_BYTE * len(data)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
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

    try:
        text = render(path.name, source, with_nodes(msgspec.json.decode(data)))
        sys.stdout.buffer.write(text.encode(errors="replace"))
        sys.stdout.buffer.flush()
    except CannotExport as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except MemoryError:
        return OUT_OF_MEMORY
    return 0


if __name__ == "__main__":
    sys.exit(main())
