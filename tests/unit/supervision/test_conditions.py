from __future__ import annotations

from netmap_supervisor.supervision.conditions import MAX_CONDITIONS, Conditions


def test_a_condition_is_new_once_and_keeps_its_beginning() -> None:
    conditions = Conditions()
    first = conditions.show("publisher", "quarantined", "1 peer", 10.0)
    assert first is not None
    assert conditions.show("publisher", "quarantined", "2 peers", 20.0) is None
    assert [(shown.text, shown.since) for shown in conditions.all()] == [("2 peers", 10.0)]


def test_a_condition_is_taken_back_once() -> None:
    conditions = Conditions()
    conditions.show("publisher", "quarantined", "1 peer", 10.0)
    assert conditions.take_back("publisher", "quarantined") is not None
    assert conditions.take_back("publisher", "quarantined") is None
    assert conditions.all() == []


def test_owners_do_not_take_back_what_others_said() -> None:
    conditions = Conditions()
    conditions.show("publisher", "code", "a", 2.0)
    conditions.show("liveness", "code", "b", 1.0)
    assert conditions.take_back("control_connection", "code") is None
    assert [shown.owner for shown in conditions.all()] == ["liveness", "publisher"]
    assert [shown.text for shown in conditions.of("publisher")] == ["a"]


def test_text_from_others_is_escaped_and_bounded() -> None:
    conditions = Conditions()
    shown = conditions.show("control_connection", "health\x1b", "\x1b[31mred\n" + "x" * 10_000, 1.0)
    assert shown is not None
    assert shown.text.startswith("\\x1b[31mred\\n")
    assert len(shown.text) < 600
    assert conditions.take_back("control_connection", "health\x1b") is not None


def test_the_number_of_conditions_is_bounded() -> None:
    conditions = Conditions()
    for number in range(MAX_CONDITIONS + 10):
        conditions.show("publisher", f"code-{number}", "text", float(number))
    assert len(conditions.all()) == MAX_CONDITIONS


def test_nobody_leaves_others_no_room() -> None:
    """Not even one who has been taken over and says all that comes to mind."""
    conditions = Conditions()
    for number in range(10 * MAX_CONDITIONS):
        conditions.show("http_endpoint", f"code-{number}", "text", float(number))
    assert conditions.show("control_connection", "control_key_changed", "text", 1e6) is not None
    assert conditions.all()[-1].code == "control_key_changed"
