"""What an actor does once it is up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from netmap_actors.boot import Boot, Endpoints, LivenessSettings
from netmap_actors.exit_reason import ExitReason
from netmap_actors.liveness.actor import Liveness
from netmap_actors.process import actor_base
from tests.support.processes import pairs

if TYPE_CHECKING:
    from pathlib import Path


def test_an_actor_gives_back_what_it_needed_to_start_once_it_has_settled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = []
    monkeypatch.setattr(actor_base, "SETTLED", 0.05)
    monkeypatch.setattr(actor_base, "give_back", lambda: given.append(actor.loop.now()))
    names = ("supervisor", "liveness", "publisher", "updates", "requests")
    actor = Liveness(
        Boot(
            run="00" * 8,
            actor="liveness",
            generation=1,
            parent_pid=os.getpid(),
            life_fd=-1,
            endpoints=Endpoints(**{name: f"ipc://@{tmp_path.name}-{os.getpid()}-{name}" for name in names}),
            secrets=pairs.secrets_of("liveness"),
            settings=msgspec.Raw(msgspec.json.encode(LivenessSettings())),
        )
    )
    began = actor.loop.now()
    actor.on_start()
    assert given == []
    actor.loop.run(lambda: bool(given) or actor.loop.now() > began + 5.0)
    actor.finish(ExitReason.NORMAL)
    assert len(given) == 1
    assert given[0] >= began + 0.05
