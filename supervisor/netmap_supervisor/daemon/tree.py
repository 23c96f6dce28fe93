"""This product's tree: which children there are, in which order, with which limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.nursery.orders import Rooms
from netmap_actors.wire.vocabulary import ActorName
from netmap_supervisor.supervision.child_spec import ChildSpec, SupervisorFlags
from netmap_supervisor.supervision.strategy import start_order

if TYPE_CHECKING:
    from netmap_supervisor.config.settings import RunSettings

__all__ = ["FLAGS", "in_nursery", "specs_for"]

FLAGS = SupervisorFlags()


def specs_for(settings: RunSettings) -> list[ChildSpec]:
    """Children, each after those it needs: they are stopped in the reverse order."""
    embedded = [ChildSpec(name=ActorName.DEV_CONTROL, first=True)] if settings.embedded else []
    http = [ChildSpec(name=ActorName.HTTP_ENDPOINT, shutdown=0.4)] if settings.http_listen else []
    history = (
        [ChildSpec(name=ActorName.HISTORY, after_up=True, shutdown=0.4)] if settings.history_keep else []
    )
    webhooks = [ChildSpec(name=ActorName.WEBHOOKS, after_up=True, shutdown=0.15)] if settings.webhooks else []
    return [
        *embedded,
        ChildSpec(name=ActorName.PUBLISHER),
        ChildSpec(name=ActorName.LIVENESS, shutdown=0.5),
        ChildSpec(name=ActorName.CONNECTION, first=True, shutdown=1.5),
        *http,
        *history,
        *webhooks,
    ]


def in_nursery(settings: RunSettings) -> Rooms:
    """What a nursery loads beforehand, in the order in which it is needed. The embedded server, the history and
    the webhooks load their own rooms: nobody else has them in use.
    """
    if settings.nursery == "off":
        return Rooms()
    left_out = {ActorName.DEV_CONTROL, ActorName.HISTORY, ActorName.WEBHOOKS}
    if settings.nursery != "all":
        left_out.add(ActorName.CONNECTION)
    actors = tuple(spec.name for spec in start_order(specs_for(settings)) if spec.name not in left_out)
    secured = any(url.startswith("https:") for url in (settings.control_url, settings.proxy))
    return Rooms(actors=actors, tls=secured and ActorName.CONNECTION in actors)
