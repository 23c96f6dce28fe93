"""The tree of a run with everything that can be switched on."""

from __future__ import annotations

from netmap_actors.process.bootstrap import ACTOR_CLASSES
from netmap_actors.webhooks.spec import WebhookSpec
from netmap_supervisor.config.settings import RunSettings
from netmap_supervisor.daemon.tree import FLAGS, in_nursery, specs_for
from netmap_supervisor.supervision.child_spec import check_child_specs

NOTHING = RunSettings(state_dir="/s", runtime_dir="/r", control_url="https://c.example", history_keep=0.0)
EVERYTHING = RunSettings(
    state_dir="/s",
    runtime_dir="/r",
    http_listen="127.0.0.1:1",
    webhooks=(WebhookSpec(name="a", url="file:/u"),),
)


def test_all_children_together_stop_in_time() -> None:
    specs = specs_for(EVERYTHING)
    check_child_specs(FLAGS, specs)
    assert {spec.name for spec in specs} == set(ACTOR_CLASSES)


def test_without_webhooks_there_is_no_process_for_them_and_nobody_loads_it_beforehand() -> None:
    assert [spec.name for spec in specs_for(NOTHING)] == ["publisher", "liveness", "control_connection"]
    assert "webhooks" not in in_nursery(EVERYTHING).actors
