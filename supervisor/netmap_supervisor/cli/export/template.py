"""`export template`: the process that renders, within its limits, and the text it gives.

A template is a program. Jinja2's sandbox keeps it from the machine, but not from running for ever or from taking all
memory; so each text is made by a process of its own, which the kernel ends.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from netmap_actors import shown_json
from netmap_actors.errors import escape
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.export import rendering

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_template", "rendered"]

_MODULE: Final = "netmap_supervisor.cli.export.rendering"
PROCESSOR_TIME: Final = 10
"""Seconds."""
PATIENCE: Final = 60.0
"""Seconds, for a process that waits instead of working."""


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
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", _MODULE, str(path), str(processor_time)],
            input=shown_json.encode(values),
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            # Ctrl-C in our terminal is for us: it ends as it would have.
            process_group=0,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"cannot render {path}: it has not ended within {PATIENCE:g} s") from None
    except OSError as error:
        raise CommandFailed(f"cannot render {path}: no process can be started: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout.decode()
    said = done.stderr.decode(errors="replace").strip()
    match done.returncode:
        case rendering.REFUSED:
            raise CommandFailed(said)
        case rendering.OUT_OF_MEMORY:
            why = "it takes too much memory"
        case code if code == -signal.SIGXCPU:
            why = f"it takes more than {processor_time} s of processor time"
        case code:
            why = escape(said.splitlines()[-1]) if said else f"its process ended with status {code}"
    raise CommandFailed(f"cannot render {path}: {why}")
