"""A control server for the tests of any control client: `with dev_control_server() as server`, or the fixture.

`netmap_supervisor.testing.pytest_plugin` is that fixture, `dev_control`; pytest finds it by itself. Not here: the
server, which is `netmap_actors.dev_control` and is loaded when one is started.
"""

from __future__ import annotations

from netmap_supervisor.testing.options import DevControlOptions, UnknownOption
from netmap_supervisor.testing.server import DevControl, dev_control_server

__all__ = ["DevControl", "DevControlOptions", "UnknownOption", "dev_control_server"]
