from __future__ import annotations

import msgspec
import pytest

from netmap_actors.errors import ConfigurationError
from netmap_supervisor.supervision.child_spec import (
    ChildSpec,
    Restart,
    Strategy,
    SupervisorFlags,
    check_child_specs,
)

GOOD = (ChildSpec(name="one"), ChildSpec(name="two", restart=Restart.TRANSIENT, shutdown=0))


def test_good_specifications_pass() -> None:
    check_child_specs(SupervisorFlags(), GOOD)


@pytest.mark.parametrize(
    ("specs", "field"),
    [
        ((), "children"),
        ((ChildSpec(name="one"), ChildSpec(name="one")), "name = 'one'"),
        ((ChildSpec(name="a b"),), "name = 'a b'"),
        ((ChildSpec(name="one", shutdown=-1),), "one.shutdown"),
        ((ChildSpec(name="one", start_limit=0),), "one.start_limit"),
        ((ChildSpec(name="one", heartbeat_limit=-1),), "one.heartbeat_limit"),
        ((ChildSpec(name="one", shutdown=3), ChildSpec(name="two", shutdown=2)), "within 5 s"),
    ],
)
def test_a_specification_that_cannot_work_is_refused_by_its_field(specs, field) -> None:
    with pytest.raises(ConfigurationError, match="cannot supervise with") as caught:
        check_child_specs(SupervisorFlags(), specs)
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("intensity", -1),
        ("failures", -1),
        ("period", 0.0),
        ("healthy", 0.0),
        ("slow_pace", 0.0),
        ("slow_pace", 59.0),
    ],
)
def test_flags_that_cannot_work_are_refused_by_their_field(field, value) -> None:
    with pytest.raises(ConfigurationError, match=field):
        check_child_specs(msgspec.structs.replace(SupervisorFlags(), **{field: value}), GOOD)


def test_the_words_are_those_of_otp() -> None:
    assert [word.value for word in Restart] == ["permanent", "transient", "temporary"]
    assert [word.value for word in Strategy] == ["one_for_one", "rest_for_one", "one_for_all"]
