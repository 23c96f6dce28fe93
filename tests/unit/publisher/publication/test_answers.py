from __future__ import annotations

from netmap_actors.publisher.publication.answers import MAX_BLOCKED, RETRY_INTERVAL, STALL_LIMIT, Answers


def parts(name: str, count: int):
    return lambda: iter([f"{name}{i}".encode() for i in range(count)])


def drain(answers: Answers, now: float = 0.0) -> list[tuple[bytes, bytes]]:
    out = []
    while (following := answers.next(now)) is not None:
        out.append(following)
        answers.sent(following[0])
    return out


def test_requesters_are_served_in_turns_and_each_in_order() -> None:
    answers = Answers()
    answers.request(b"a", parts("a", 2))
    answers.request(b"b", parts("b", 2))
    assert drain(answers) == [(b"a", b"a0"), (b"b", b"b0"), (b"a", b"a1"), (b"b", b"b1")]
    assert (answers.completed, len(answers), answers.deadline(0.0)) == (2, 0, None)


def test_a_newer_request_takes_the_place_of_the_older_one() -> None:
    answers = Answers(max_active=1)
    answers.request(b"a", parts("old", 3))
    assert answers.next(0.0) == (b"a", b"old0")
    answers.request(b"b", parts("b", 1))
    answers.request(b"c", parts("c", 1))
    answers.request(b"b", parts("newer", 1))
    answers.request(b"a", parts("new", 1))
    assert drain(answers) == [(b"b", b"newer0"), (b"c", b"c0"), (b"a", b"new0")]


def test_an_answer_shows_the_netmap_of_the_moment_its_turn_comes() -> None:
    made = []
    answers = Answers(max_active=1)
    answers.request(b"a", parts("a", 1))
    answers.request(b"b", lambda: made.append("b") or iter([b"b0"]))
    assert answers.next(0.0) == (b"a", b"a0")
    assert made == []
    answers.sent(b"a")
    assert answers.next(0.0) == (b"b", b"b0")


def test_who_takes_nothing_makes_room_and_is_offered_the_same_part_again() -> None:
    answers = Answers(max_active=1)
    answers.request(b"slow", parts("s", 2))
    answers.request(b"quick", parts("q", 2))
    assert answers.next(0.0) == (b"slow", b"s0")
    answers.blocked(b"slow", 0.0)
    assert drain(answers) == [(b"quick", b"q0"), (b"quick", b"q1")]
    assert answers.deadline(0.0) == RETRY_INTERVAL
    assert answers.next(RETRY_INTERVAL) == (b"slow", b"s0")
    answers.sent(b"slow")
    assert drain(answers, 1.0) == [(b"slow", b"s1")]


def test_who_takes_nothing_for_long_is_given_up() -> None:
    answers = Answers()
    answers.request(b"dead", parts("d", 2))
    now = 0.0
    while answers.next(now) is not None:
        answers.blocked(b"dead", now)
        now += 1.0
    assert STALL_LIMIT <= now <= STALL_LIMIT + 2
    assert (answers.stalled, len(answers)) == (1, 0)


def test_the_number_of_waiting_and_of_stuck_requesters_is_bounded() -> None:
    answers = Answers(max_active=2, max_waiting=5)
    for i in range(20):
        answers.request(b"%d" % i, parts("x", 1))
    assert (len(answers), answers.refused) == (5, 15)
    many = Answers()
    for i in range(MAX_BLOCKED + 10):
        many.request(b"%d" % i, parts("x", 1))
    while (following := many.next(0.0)) is not None:
        many.blocked(following[0], 0.0)
    assert (len(many), many.stalled) == (MAX_BLOCKED, 10)


def test_who_is_gone_is_forgotten_wherever_it_stood() -> None:
    answers = Answers(max_active=1)
    for name in (b"active", b"waiting"):
        answers.request(name, parts("x", 3))
    following = answers.next(0.0)
    assert following is not None
    answers.gone(b"active")
    answers.gone(b"waiting")
    answers.gone(b"nobody")
    assert len(answers) == 0
    answers.sent(b"active")
    answers.blocked(b"active", 0.0)
    assert answers.next(0.0) is None
