"""What is asked of the kernel before a run begins: nothing that a unit like ours refuses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from netmap_supervisor.system import kernel_calls

if TYPE_CHECKING:
    import pytest


def test_no_call_is_tried_in_a_way_that_systemd_restricts(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd.exec(5): RestrictSUIDSGID= looks at modes, RestrictRealtime= at policies, and both answer EPERM."""
    tried: dict[str, tuple[Any, ...]] = {}

    class Library:
        def __getattr__(self, name: str) -> Any:
            return lambda *arguments: tried.update({name: arguments}) or 0

    monkeypatch.setattr(kernel_calls, "_libc", Library())
    kernel_calls.check_machine()
    assert len(tried) > 30
    assert tried["sched_setscheduler"][1] == os.SCHED_OTHER
    assert (tried["chmod"][1], tried["mkdir"][1], tried["fchmod"][1]) == (0, 0, 0)
