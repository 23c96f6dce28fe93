"""What a forked process finds made: nothing of it is made anew when it reads its boot record."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import msgspec
from netmap_actors.boot import BOOT_TYPES
from netmap_actors.process import bootstrap
bootstrap.preload()
def refuse(frame, event, _):
    if event == "call" and "msgspec" in frame.f_code.co_filename:
        raise SystemExit(f"made anew: {frame.f_code.co_name}")
sys.setprofile(refuse)
for kind in BOOT_TYPES:
    try:
        msgspec.json.decode(b"{}", type=kind)
    except msgspec.ValidationError:
        pass
"""


def test_the_types_of_a_boot_record_are_known_to_the_decoder() -> None:
    shown = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
