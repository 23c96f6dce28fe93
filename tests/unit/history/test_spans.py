"""What may be said of a time."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.history.spans import Interval, Span, cut, gaps, joined, settled

MOMENTS = range(40)
intervals = st.lists(
    st.tuples(st.sampled_from(MOMENTS), st.sampled_from(MOMENTS)).map(lambda two: Interval(*two)), max_size=8
)


@st.composite
def lanes(draw: st.DrawFn) -> list[Span]:
    """Spans of one subject: one after the other."""
    edges = sorted(draw(st.sets(st.sampled_from(MOMENTS), max_size=9)))
    states = draw(st.lists(st.sampled_from(["online", "offline"]), min_size=len(edges), max_size=len(edges)))
    pids = st.sampled_from([{}, {"pid": 1}, {"pid": 2}])
    return [
        Span(since, until, state, draw(pids))
        for since, until, state in zip(edges, edges[1:], states, strict=False)
    ]


def covered(interval: Interval | Span, moment: float) -> bool:
    return interval.since <= moment < interval.until


@given(intervals)
def test_joined_is_the_same_time_in_fewest_intervals(given_: list[Interval]) -> None:
    found = joined(given_)
    for moment in MOMENTS:
        assert any(covered(one, moment) for one in found) == any(covered(one, moment) for one in given_)
    assert all(one.until < two.since for one, two in itertools.pairwise(found))


@given(lanes(), intervals)
def test_a_state_is_told_where_it_held_and_was_seen_and_nowhere_else(
    spans: list[Span], given_: list[Interval]
) -> None:
    seen = joined(given_)
    found = cut(spans, seen)
    for moment in MOMENTS:
        held = [one[2:] for one in spans if covered(one, moment)]
        told = [one[2:] for one in found if covered(one, moment)]
        assert told == (held if any(covered(one, moment) for one in seen) else [])


@given(intervals, st.sampled_from(MOMENTS), st.sampled_from(MOMENTS))
def test_gaps_are_what_was_not_seen_of_the_window(given_: list[Interval], one: int, two: int) -> None:
    window = Interval(min(one, two), max(one, two))
    seen = joined(given_)
    found = gaps(seen, window)
    for moment in MOMENTS:
        inside = covered(window, moment) and not any(covered(interval, moment) for interval in seen)
        assert any(covered(gap, moment) for gap in found) == inside


@given(st.lists(st.tuples(st.sampled_from(MOMENTS), st.sampled_from(range(1, 9))), max_size=8))
def test_of_two_spans_of_one_moment_the_later_written_counts(given_: list[tuple[int, int]]) -> None:
    """A clock that was set back."""
    written = [Span(since, since + length, str(n)) for n, (since, length) in enumerate(given_)]
    found = settled(written)
    for moment in MOMENTS:
        last = [span.state for span in written if covered(span, moment)][-1:]
        assert [span.state for span in found if covered(span, moment)] == last
    assert all(one.until <= two.since for one, two in itertools.pairwise(found))
