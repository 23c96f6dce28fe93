"""What a webhook may be, and which nodes it tells of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from netmap_actors.errors import ConfigurationError
from netmap_actors.history.occurrences import Happening
from netmap_actors.webhooks.spec import DEFAULT_EVENTS, EVENTS, NODE_EVENTS, BodyForm, WebhookSpec


def test_every_event_is_something_that_the_history_knows() -> None:
    assert set(EVENTS) <= {str(one) for one in Happening}
    assert set(DEFAULT_EVENTS) <= set(EVENTS)
    assert set(NODE_EVENTS) == {
        str(one) for one in Happening if one.startswith("node_") and one is not Happening.NODE_REMOVED
    }


def test_a_webhook_needs_a_name_and_a_url() -> None:
    read = msgspec.convert({"name": "ops", "url": "file:/etc/url"}, type=WebhookSpec)
    assert (read.events, read.body, read.hold_down, read.retry_for) == (
        DEFAULT_EVENTS, BodyForm.TAILSCALE, 60.0, 86_400.0,
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(read), type=WebhookSpec) == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "Ops"}, "its name must be"),
        ({"name": ""}, "its name must be"),
        ({"name": "a/b"}, "its name must be"),
        ({"name": "a" * 33}, "its name must be"),
        ({"name": "ops\n"}, "its name must be"),
        ({"url": ""}, "url must say where it is read from"),
        ({"url": "https://hooks.example/T0/s3cr3t"}, "url must say where it is read from"),
        ({"url": "credential:../x"}, "url must say where it is read from"),
        ({"secret": "s3cr3t"}, "secret must say where it is read from"),
        ({"events": []}, "events names none"),
        ({"events": ["node_online", "node_gone"]}, "there is no node_gone; events are node_online, "),
        ({"tags": ["web"]}, "tags are written as tag:NAME, and 'web' is not"),
        ({"tags": ["tag:"]}, "tags are written as tag:NAME"),
        ({"body": "template"}, "template must be given with"),
        ({"template": "/t.j2"}, "template must be given with"),
        ({"hold_down": -1.0}, "hold_down must be between 0 and 86400"),
        ({"hold_down": float("nan")}, "hold_down must be between"),
        ({"retry_for": 1.0}, "retry_for must be between 60 and"),
        ({"retry_for": 100.0, "hold_down": 100.0}, "hold_down must be less than retry_for"),
        ({"events_per_minute": 0}, "events_per_minute must be between 1 and"),
        ({"events_per_body": 1001}, "events_per_body must be between 1 and 1000"),
    ],
)
def test_what_cannot_be_is_said_without_what_may_be_a_secret(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        msgspec.convert({"name": "ops", "url": "credential:ops-url"} | given, type=WebhookSpec)
    assert said in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("tags", "names", "name", "tagged", "chosen"),
    [
        ((), (), "db", (), True),
        (("tag:web",), (), "db", ("tag:web",), True),
        (("tag:web",), (), "db", ("tag:db",), False),
        (("tag:web",), ("db*",), "db-1.example.ts.net", (), True),
        ((), ("web-*",), "web-1.example.ts.net.", (), True),
        ((), ("WEB-1",), "Web-1.example.ts.net", (), True),
        ((), ("web-1.example.ts.net.",), "web-1.example.ts.net.", (), True),
        ((), ("*.example.ts.net",), "web-1.example.ts.net", (), True),
        ((), ("web-?",), "web-12.example.ts.net", (), False),
        ((), ("web-1",), "my-web-1.example.ts.net", (), False),
    ],
)
def test_nodes_are_chosen_by_tag_or_name(
    tags: tuple[str, ...], names: tuple[str, ...], name: str, tagged: tuple[str, ...], chosen: bool
) -> None:
    assert WebhookSpec(name="w", url="file:/u", tags=tags, names=names).chooses(name, tagged) is chosen
