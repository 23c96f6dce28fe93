"""Questions whose answer is withheld for a while."""

from __future__ import annotations

from netmap_actors.history.answers import MAX_WAIT, HistoryQuestion
from netmap_actors.history_writer.waiting import MAX_WAITING, WaitingQuestions


def test_each_is_over_in_its_time_and_none_is_withheld_for_ever() -> None:
    waiting = WaitingQuestions()
    assert waiting.due() is None
    for who, wait in ((b"a", 5.0), (b"b", 1e9), (b"c", 2.0)):
        assert waiting.add(who, HistoryQuestion(wait=wait), 100.0) == []
    assert waiting.due() == 102.0
    assert [one.who for one in waiting.over(101.9)] == []
    assert [one.who for one in waiting.over(105.0)] == [b"a", b"c"]
    assert waiting.due() == 100.0 + MAX_WAIT
    assert [one.who for one in waiting.over(100.0 + MAX_WAIT)] == [b"b"]
    assert waiting.due() is None


def test_one_too_many_ends_the_wait_of_the_oldest() -> None:
    waiting = WaitingQuestions()
    ended = [
        one.who
        for number in range(MAX_WAITING + 2)
        for one in waiting.add(b"%d" % number, HistoryQuestion(wait=9.0), 100.0)
    ]
    assert ended == [b"0", b"1"]
    assert len(waiting.take()) == MAX_WAITING
    assert waiting.take() == []


def test_one_that_is_put_back_keeps_its_time() -> None:
    waiting = WaitingQuestions()
    waiting.add(b"a", HistoryQuestion(wait=5.0), 100.0)
    for one in waiting.take():
        waiting.put_back(one)
    assert waiting.due() == 105.0
