"""What the page about webhooks shows works: its verification of a signature, and its template."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from netmap_actors.webhooks.bodies import body
from netmap_actors.webhooks.events import test_event as an_event
from netmap_actors.webhooks.signature import signature
from netmap_actors.webhooks.spec import BodyForm, WebhookSpec

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "howto" / "webhooks.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    assert isinstance(found, str)
    return found


def test_its_verification_takes_what_is_signed_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # our own page's
    now = time.time()
    signed = signature(b"key", b"[]", now)
    assert names["is_authentic"](b"key", signed, b"[]")
    assert not names["is_authentic"](b"another", signed, b"[]")
    assert not names["is_authentic"](b"key", signed, b"[ ]")
    assert not names["is_authentic"](b"key", signature(b"key", b"[]", now - 3600), b"[]")


def test_its_template_makes_json() -> None:
    text = block("jinja")
    spec = WebhookSpec(
        name="phone", url="file:/u", body=BodyForm.TEMPLATE, template="/etc/ntfy.json.j2", events_per_body=1
    )
    made = body(spec, [an_event("test-1", 1.0)], tailnet="default", at=2.0, source=lambda _: text)
    assert made.content_type == "application/json"
    assert json.loads(made.data)["topic"] == "our-tailnet"
    assert json.loads(made.data)["title"] == "test"
