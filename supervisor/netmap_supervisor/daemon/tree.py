"""This product's tree: which children there are, in which order, with which limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_supervisor.supervision.child_spec import ChildSpec, SupervisorFlags

if TYPE_CHECKING:
    from netmap_supervisor.config.settings import RunSettings

__all__ = ["DEV_CONTROL", "FLAGS", "HTTP_ENDPOINT", "specs_for"]

DEV_CONTROL = "dev_control"
HTTP_ENDPOINT = "http_endpoint"
FLAGS = SupervisorFlags()


def specs_for(settings: RunSettings) -> list[ChildSpec]:
    """Children in start order: whoever is needed stands before those who need it."""
    embedded = [ChildSpec(name=DEV_CONTROL)] if settings.embedded else []
    http = [ChildSpec(name=HTTP_ENDPOINT, shutdown=0.5)] if settings.http_listen else []
    return [
        *embedded,
        ChildSpec(name="publisher"),
        ChildSpec(name="liveness", shutdown=0.5),
        ChildSpec(name="control_connection", shutdown=1.5),
        *http,
    ]
