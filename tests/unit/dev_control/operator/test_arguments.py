"""Arguments of commands are checked against what the command takes."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from netmap_actors.dev_control.operator.arguments import _TYPES, BadArgument, check_arguments
from netmap_actors.dev_control.operator.commands import Commands

_OWN_CHECK = {"execute", "fault"}
METHODS = [method for name, method in vars(Commands).items() if name[0] != "_" and name not in _OWN_CHECK]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_every_argument_of_every_command_has_a_type_that_is_known(method: Any) -> None:
    annotations = {
        name: one.annotation for name, one in inspect.signature(method).parameters.items() if name != "self"
    }
    assert set(annotations.values()) <= set(_TYPES), annotations


@pytest.mark.parametrize(
    ("method", "given", "why"),
    [
        (
            Commands.set_tags,
            {"node": "web-1", "tags": "web"},
            "tags of set_tags: Expected `array`, got `str`",
        ),
        (Commands.set_tags, {"node": "web-1"}, "set_tags needs tags"),
        (Commands.set_online, {"node": "web-1", "online": 1}, "online of set_online: Expected `bool`"),
        (Commands.churn, {"count": True}, "count of churn: Expected `int`"),
        (Commands.expire, {"node": 1, "in_seconds": "soon"}, "in_seconds of expire"),
        (Commands.set_policy, {"policy": []}, "policy of set_policy: Expected `object | null`, got `array`"),
        (Commands.faults, {"client": "web-1"}, "faults takes nothing, not client"),
        (Commands.nodes, {"self": 1}, "nodes takes nothing, not self"),
    ],
)
def test_what_does_not_fit_is_refused(method: Any, given: dict[str, Any], why: str) -> None:
    with pytest.raises(BadArgument, match=why):
        check_arguments(method, given)


def test_what_fits_is_handed_on() -> None:
    assert check_arguments(Commands.expire, {"node": 3, "in_seconds": 5}) == {"node": 3, "in_seconds": 5.0}
    assert check_arguments(Commands.set_tags, {"node": "web-1", "tags": ["tag:web"]}) == {
        "node": "web-1",
        "tags": ["tag:web"],
    }
    assert check_arguments(Commands.add_auth_key, {"expires_in": None}) == {"expires_in": None}
