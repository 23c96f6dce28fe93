from __future__ import annotations

import pytest

from netmap_actors.publisher.publication.repeats import GREETINGS, TAIL_WAIT, Repeats

FIRST, SECOND = GREETINGS
COMMIT, COMES = Repeats.committed, Repeats.subscriber_came


@pytest.mark.parametrize(
    ("inputs", "repeated"),
    [
        ([], []),
        ([(0.0, COMMIT)], [TAIL_WAIT]),
        ([(0.0, COMMIT), (0.3, COMMIT)], [TAIL_WAIT]),
        ([(0.0, COMMIT), (0.6, COMMIT)], [TAIL_WAIT, 0.6 + TAIL_WAIT]),
        ([(0.0, COMES)], [FIRST, SECOND]),
        ([(0.0, COMES), (0.05, COMES), (0.3, COMES)], [FIRST, SECOND]),
        ([(0.0, COMES), (0.6, COMES)], [FIRST, SECOND, 0.6 + FIRST, 0.6 + SECOND]),
        ([(0.0, COMMIT), (0.0, COMES)], [FIRST, SECOND]),
        ([(0.0, COMMIT), (0.2, COMES)], [0.2 + FIRST, TAIL_WAIT, 0.2 + SECOND]),
    ],
)
def test_a_commit_is_repeated_for_whoever_may_have_missed_it(inputs, repeated) -> None:
    repeats, at = Repeats(), []
    for now, occur in [*inputs, (10.0, None)]:
        while (deadline := repeats.deadline()) is not None and deadline <= now:
            assert not repeats.expire(deadline - 1e-6)
            assert repeats.expire(deadline)
            at.append(deadline)
        if occur is not None:
            occur(repeats, now)
    assert at == pytest.approx(repeated)


def test_after_a_stop_one_repetition_serves_all() -> None:
    repeats = Repeats()
    repeats.committed(0.0)
    repeats.subscriber_came(0.0)
    assert repeats.expire(60.0)
    assert repeats.deadline() is None
    assert not repeats.expire(60.0)
