"""When a silent connection has to prove its silence, as tables and as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.control_connection.client.standing import Standing
from netmap_actors.wire.vocabulary import Stage

moments = st.floats(0.0, 1e6)


@pytest.mark.parametrize(
    ("stage", "received_at", "due"),
    [
        (Stage.MAP, 100.0, 220.0),
        (Stage.MAP, 150.0, 270.0),
        # Stamped before the stage began: the stage counts.
        (Stage.MAP, 90.0, 220.0),
        *((stage, 100.0, None) for stage in Stage if stage is not Stage.MAP),
    ],
)
def test_only_the_map_stage_proves_silence(stage: Stage, received_at: float, due: float | None) -> None:
    standing = Standing(1, stage, stage_since=100.0, limit=120.0, last_received_at=received_at)
    assert standing.proof_due == due


@given(moments, st.floats(0.1, 1e4), st.lists(moments))
def test_each_deadline_is_proved_once(since: float, limit: float, times: list[float]) -> None:
    standing = Standing(1, Stage.MAP, since, limit, last_received_at=since)
    due = standing.proof_due
    assert due is not None
    assert [standing.expire(now) for now in sorted(times)].count(True) == any(now >= due for now in times)


def test_a_map_response_after_the_proof_sets_the_next_deadline() -> None:
    standing = Standing(1, Stage.MAP, 100.0, 120.0, last_received_at=100.0)
    assert standing.expire(220.0)
    assert standing.proof_due is None
    standing.last_received_at = 221.0
    assert not standing.expire(340.0)
    assert standing.proof_due == 341.0
