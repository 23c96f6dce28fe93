"""The fixture `dev_control` and its marker, which pytest finds by the entry point `pytest11`.

It adds no option and changes nothing for tests that do not ask for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from netmap_supervisor.testing.options import UnknownOption
from netmap_supervisor.testing.server import dev_control_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_supervisor.testing.server import DevControl

__all__ = ["dev_control", "pytest_configure"]

_MARKER = "dev_control(**options): options of the control server that the fixture `dev_control` starts"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, which --strict-markers demands."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def dev_control(request: pytest.FixtureRequest) -> Iterator[DevControl]:
    """A ts2021 control server on a free port of 127.0.0.1, for this test alone.

    `@pytest.mark.dev_control(nodes=5, keep_alive=1.0)` gives it options: those of `dev_control_server`. The marker of
    a function goes before that of its class or module, option by option.
    """
    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("dev_control"))):
        if mark.args:
            pytest.fail("the marker dev_control takes options by name: dev_control(nodes=5)", pytrace=False)
        options |= mark.kwargs
    try:
        with dev_control_server(**options) as server:
            yield server
    except UnknownOption as error:
        pytest.fail(str(error), pytrace=False)
