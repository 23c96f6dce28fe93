"""Few questions at a time, one for all that ask the same, and none that is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.history_writer.actor import ANSWERS_HWM
from netmap_actors.webhooks.questions import MAX_IN_FLIGHT, SharedQuestions


def at(after_id: int) -> HistoryQuestion:
    return HistoryQuestion(after_id=after_id, oldest=True, lanes=False, wait=50.0)


def test_all_that_ask_the_same_have_one_question_and_its_answer() -> None:
    sent: list[HistoryQuestion] = []
    questions = SharedQuestions[str](sent.append)
    tokens = {name: questions.ask(name, at(7)) for name in ("a", "b", "c")}
    assert len(sent) == 1
    assert questions.answered(sent[0].token) == list(tokens.items())
    assert questions.answered(sent[0].token) == []


def test_the_history_has_room_for_all_answers_at_once() -> None:
    assert MAX_IN_FLIGHT < ANSWERS_HWM


def test_one_that_was_lost_is_put_again_for_all_who_wait_for_it() -> None:
    sent: list[HistoryQuestion] = []
    questions = SharedQuestions[str](sent.append)
    first = {name: questions.ask(name, at(7)) for name in ("a", "b")}
    again = questions.ask("a", at(7), lost=True)
    assert len(sent) == 2
    assert questions.answered(sent[0].token) == []
    assert dict(questions.answered(sent[1].token)) == {"a": again, "b": first["b"]}


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.sampled_from("abcdefgh"), st.integers(0, 5), st.booleans()),
            st.tuples(st.just("answer"), st.integers(0, 9), st.none(), st.none()),
        )
    )
)
def test_few_are_on_their_way_and_every_asker_is_answered_in_the_end(steps: list[tuple]) -> None:
    sent: list[HistoryQuestion] = []
    questions = SharedQuestions[str](sent.append)
    expected: dict[str, tuple[int, int]] = {}

    def answer(number: int) -> None:
        question = sent.pop(number % len(sent))
        for asker, token in questions.answered(question.token):
            assert expected.pop(asker) == (token, question.after_id)

    for what, first, after_id, lost in steps:
        if what == "ask":
            expected[first] = (questions.ask(first, at(after_id), lost=lost), after_id)
        elif sent:
            answer(first)
        assert len(questions._flights) <= MAX_IN_FLIGHT
    while sent:
        answer(0)
    assert expected == {}
