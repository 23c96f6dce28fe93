"""The fault catalogue: names, address families and links that are slow or uneven (docs/fault-catalogue.md).

Each test ends with the checker of its recorded history.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from tests.system.catalogue_facts import ended_counts
from tests.system.history import boottime
from tests.system.wire_proxy import Uneven
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.control import Control
    from tests.system.history import Scenes
    from tests.system.wire_proxy import WireProxy

HICCUPS = 6
"""Late slices after which a line has been uneven for long enough."""
CHANGE_EVERY = 0.5


# --- links ----------------------------------------------------------------------------------------------------


def test_f42_a_line_with_hiccups_is_late_and_nobody_is_killed(
    proxied: Callable[[], tuple[Control, WireProxy]], recorded: Scenes
) -> None:
    seed = int(os.environ.get("NETMAP_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"NETMAP_TEST_SEED={seed}")
    control, proxy = proxied()
    line = Uneven(seed)
    proxy.harm = lambda: line
    scene = recorded(control=control, direct=False, silence=12.0)
    before = scene.daemon.wait_fresh(60.0)
    added, change_at = 0, boottime()

    def enough() -> bool:
        nonlocal added, change_at
        if boottime() >= change_at:
            change_at += CHANGE_EVERY
            added += 1
            control.server.call(lambda it: it.add_node(f"late-{added}"))
        return len(line.delays) >= HICCUPS

    wait_for(enough, 60.0, f"{HICCUPS} late slices")
    line.heal()
    after = scene.daemon.wait_status(
        lambda status: status["netmap"]["peers"] == before["netmap"]["peers"] + added, 10.0, "every change"
    )
    print(f"{added} changes, {sum(line.delays):.1f} s late")
    assert after["connection"]["generation"] == 1, "late is not silent"
    assert ended_counts(after) == {}
    assert after["netmap"]["state"] == "fresh"
