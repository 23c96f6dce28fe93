"""What requests say: sentences, and the forms of receivers."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.history.occurrences import Happening, Occurrence
from netmap_actors.webhooks import events
from netmap_actors.webhooks.bodies import CannotRender, body, most_events
from netmap_actors.webhooks.events import TEST, WebhookEvent, event, sentence, with_login
from netmap_actors.webhooks.spec import DEFAULT_EVENTS, EVENTS, BodyForm, WebhookSpec

AT = 1_767_323_045.0  # 2026-01-02T03:04:05Z
TRIAL = events.test_event("t", AT)
HOSTILE = "<!channel> @all @everyone <@123> *x* _y_ `z` [a](http://e.example) &amp; \u202e\n\x1b[2J\\"


def told(
    kind: str, name: str = "web-1.example.ts.net.", *, tags: tuple[str, ...] = (), **given: Any
) -> WebhookEvent:
    after = given.pop("after", None)
    subject = given.pop("subject", "n1")
    return event(
        "f",
        7,
        Occurrence(at=AT, kind=Happening(kind), subject=subject, name=name, detail=given, after=after),
        tags,
    )


def spec(form: str, **more: Any) -> WebhookSpec:
    return WebhookSpec(name="w", url="file:/u", body=BodyForm(form), **more)


def said(form: str, events: list[WebhookEvent], **more: Any) -> Any:
    made = body(spec(form), events, tailnet="example.ts.net", at=AT, **more)
    assert made.content_type == "application/json"
    return json.loads(made.data)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (told("node_offline", tags=("tag:web",)), "web-1.example.ts.net (tag:web) is offline since 03:04:05Z"),
        (told("node_online", was="offline"), "web-1.example.ts.net is online since 03:04:05Z"),
        (told("node_joined", tags=("tag:a", "tag:b", "tag:c", "tag:d"), state="online"),
         "web-1.example.ts.net (tag:a, tag:b, tag:c, …) joined the tailnet at 03:04:05Z"),
        (told("node_left", after=0.0), "web-1.example.ts.net left the tailnet at 03:04:05Z, or at any time before"),
        (told("node_left", after=AT - 60), "web-1.example.ts.net left the tailnet at 03:04:05Z, not before 03:03:05Z"),
        (told("node_left", after=AT - 86400),
         "web-1.example.ts.net left the tailnet at 03:04:05Z, not before 2026-01-01 03:04:05Z"),
        (WebhookEvent(id="i", number=1, type="node_tagged", at=AT, name="a",
                      detail={"tags": {"from": [], "to": ["tag:web"]}}),
         "a has other tags since 03:04:05Z, none before, tag:web now"),
        (told("node_key_expiring", expires="2026-01-03T03:04:05Z", within_s=86400.0),
         "the key of web-1.example.ts.net expires soon, as of 03:04:05Z, at 2026-01-03T03:04:05Z"),
        (told("netmap_stale", "", subject="", reason="silence"), "the netmap is stale since 03:04:05Z, silence"),
        (told("login_needed", "", subject="", url="https://l.example/a"),
         "somebody has to log in this machine's node, since 03:04:05Z, https://l.example/a"),
        (told("login_needed", "", subject=""),
         "somebody has to log in this machine's node, since 03:04:05Z, "  # noqa: ISC004
         "netmap-supervisor status shows the address there"),
        (told("degraded", "", subject="clock_skew", text="the clock is wrong"),
         "clock_skew is degraded since 03:04:05Z, the clock is wrong"),
        (told("node_moved", home_derp={"from": 1, "to": 2}),
         "web-1.example.ts.net moved at 03:04:05Z, relay 1 before, 2 now"),
        (TRIAL, "this is a test event, sent at 03:04:05Z"),
    ],
)  # fmt: skip
def test_sentences(one: WebhookEvent, text: str) -> None:
    assert sentence(one, AT) == text


def test_what_happened_on_another_day_has_its_date() -> None:
    assert sentence(told("node_offline"), AT + 86_400.0).endswith("since 2026-01-02 03:04:05Z")


@pytest.mark.parametrize("kind", [*EVENTS, TEST])
def test_every_event_has_a_sentence_of_its_own_on_one_visible_line(kind: str) -> None:
    one = WebhookEvent(id="i", number=1, type=kind, at=AT, subject="s" + HOSTILE, name=HOSTILE * 9, tags=(HOSTILE,) * 9,
                detail={"text": HOSTILE, "tags": {"from": [HOSTILE], "to": None}})  # fmt: skip
    text = sentence(one, AT)
    assert text.isprintable()
    assert len(text) < 1500
    assert not text.startswith(f"{kind.replace('_', ' ')} at "), "the sentence for what has none"


def test_tailscales_form_has_exactly_its_fields() -> None:
    """As strict receivers have it: no field more or less, and `data` holds strings (Go: map[string]string)."""
    events = [told(kind, tags=("tag:a", "tag:b"), after=1.0, expires="2026", within_s=1.0) for kind in EVENTS]
    for one in said("tailscale", [*events, TRIAL]):
        assert set(one) == {"timestamp", "version", "type", "tailnet", "message", "data"}
        assert (one["version"], one["tailnet"]) == (1, "example.ts.net")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", one["timestamp"])
        assert all(isinstance(value, str) for value in one["data"].values())


def test_tailscales_form_of_a_node() -> None:
    (one,) = said("tailscale", [told("node_joined", tags=("tag:a", "tag:b"), state="online")])
    assert one == {
        "timestamp": "2026-01-02T03:04:05.000000Z",
        "version": 1,
        "type": "nodeCreated",
        "tailnet": "example.ts.net",
        "message": "web-1.example.ts.net (tag:a, tag:b) joined the tailnet at 03:04:05Z",
        "data": {
            "eventID": f"f-7-{round(AT * 1000):x}",
            "nodeID": "n1",
            "deviceName": "web-1.example.ts.net",
            "tags": "tag:a,tag:b",
            "detail": '{"state":"online"}',
        },
    }


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (told("node_joined"), "nodeCreated"),
        (told("node_left"), "nodeDeleted"),
        (told("node_key_expired"), "nodeKeyExpired"),
        (told("node_key_expiring", within_s=86_400.0), "nodeKeyExpiringInOneDay"),
        (told("node_key_expiring", within_s=7 * 86_400.0), "node_key_expiring"),
        (told("node_offline"), "node_offline"),
        (TRIAL, "test"),
    ],
)
def test_what_tailscale_has_a_name_for_has_that_name(one: WebhookEvent, kind: str) -> None:
    assert said("tailscale", [one])[0]["type"] == kind


def test_when_a_key_expires_is_told_as_tailscale_does() -> None:
    (one,) = said("tailscale", [told("node_key_expiring", expires="2026-01-03T03:04:05Z", within_s=86_400.0)])
    assert one["data"]["expiration"] == "2026-01-03T03:04:05Z"


def test_a_detail_that_is_too_long_is_left_out() -> None:
    (one,) = said("tailscale", [told("node_tagged", long="x" * 9000)])
    assert "detail" not in one["data"]


def test_slack_gets_a_text_and_nothing_else() -> None:
    assert said("slack", [told("node_offline"), told("node_online", "a&b<!here>")]) == {
        "text": "web-1.example.ts.net is offline since 03:04:05Z\na&amp;b&lt;!here&gt; is online since 03:04:05Z"
    }


def test_mattermost_calls_nobody() -> None:
    text = said("mattermost", [told("node_online", HOSTILE)])["text"]
    assert not set("@<>") & set(text)
    assert r"\*x\*" in text
    assert r"\[a\]\(http" in text


def test_discord_calls_nobody_and_shows_no_markup() -> None:
    value = said("discord", [told("node_online", "web_1 " + HOSTILE)])
    assert value["allowed_mentions"] == {"parse": []}
    assert set(value) == {"content", "allowed_mentions"}
    unescaped = re.sub(r"\\.", "", value["content"])
    assert not set("*`~|[]()<>#\\") & set(unescaped)
    assert unescaped.count("_") == 1, "inside a word it is no markup"


@pytest.mark.parametrize(
    ("wanted", "url", "has"),
    [
        (("login_needed",), "https://l.example/a", True),
        (("node_left", "login_needed"), "https://l.example/a", True),
        (("login_needed",), "", False),
        (DEFAULT_EVENTS, "https://l.example/a", False),
    ],
)
def test_the_address_of_a_login_goes_to_whose_owner_named_the_event(
    wanted: tuple[str, ...], url: str, has: bool
) -> None:
    login, other = told("login_needed", "", subject=""), told("node_left")
    given = with_login(wanted, [login, other], url)
    assert [one.detail.get("url") for one in given] == [url if has else None, None]
    assert [one.id for one in given] == [login.id, other.id]


def test_a_link_is_not_broken() -> None:
    one = told("login_needed", "", subject="", url="https://login.example/a/b_c")
    assert said("discord", [one])["content"].endswith("https://login.example/a/b_c")


@pytest.mark.parametrize(("form", "most"), [("slack", 40_000), ("mattermost", 16_383), ("discord", 2000)])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_texts_keep_the_length_their_receiver_takes(form: str, most: int, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["a", "&" * 200, "_" * 200, "\U0001f600" * 200, HOSTILE * 5]))
    count = data.draw(st.integers(1, most_events(spec(form, events_per_body=1000))))
    events = [told("node_tagged", name, tags=(name,) * 3, text=name) for _ in range(count)]
    value = said(form, events)
    text = value["content" if form == "discord" else "text"]
    assert len(text.encode("utf-16-le")) // 2 <= most
    assert text.count("\n") == count - 1
    # No escape is cut in two.
    if form != "slack":
        assert "\\" not in re.sub(r"\\.", "", text)
    if form != "discord":
        assert "&" not in re.sub(r"&(amp|lt|gt);", "", text)


def test_forms_hold_so_many_events() -> None:
    forms = {form: most_events(spec(form, events_per_body=1000)) for form in BodyForm if form != "template"}
    assert forms == {"tailscale": 1000, "slack": 50, "mattermost": 50, "discord": 10}
    assert most_events(spec("slack", events_per_body=3)) == 3


class TestTemplate:
    def made(self, text: str, name: str = "/etc/hook.j2", events: list[WebhookEvent] | None = None) -> Any:
        sources = {name.rpartition("/")[2]: text, "part.j2": "{{ events | length }}"}
        return body(
            spec("template", template=name),
            events or [told("node_offline", HOSTILE, tags=("tag:a",), reason="x")],
            tailnet="example.ts.net",
            at=AT,
            source=sources.get,
        )

    def test_plain_text(self) -> None:
        made = self.made(
            "{% include 'part.j2' %} {% for one in events %}{{ one.type }} {{ one.tags[0] }}{% endfor %}"
        )
        assert made == ("text/plain; charset=utf-8", b"1 node_offline tag:a")

    def test_json(self) -> None:
        made = self.made(
            '{"title": {{ events[0].message | tojson }}, "t": {{ events[0].at | tojson }}}', "hook.json.j2"
        )
        assert made.content_type == "application/json"
        assert json.loads(made.data)["t"] == "2026-01-02T03:04:05.000000Z"

    def test_a_value_without_tojson_in_a_json_template_is_no_body(self) -> None:
        with pytest.raises(CannotRender, match=r"cannot render hook.json.j2: its text is not JSON"):
            self.made('{"title": "{{ events[0].name }}"}', "/x/hook.json.j2", [told("node_online", 'a"b')])

    def test_no_value_ends_a_line(self) -> None:
        made = self.made("{{ events[0].name }}|{{ events[0].detail.reason }}|{{ tailnet }}|{{ at }}")
        assert made.data.count(b"\n") == 0
        assert b"\x1b" not in made.data
        assert "\u202e".encode() not in made.data

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{{ nothing.x }}", "line 1: 'nothing' is undefined"),
            ("{{ ().__class__.__mro__ }}", "line 1"),
            ("{% for", "line 1"),
            ("{{ 'x' * 2000000 }}", "longer than 1 MiB"),
            ("{% include 'none' %}", "there is no none"),
            ("{{ 'x' * 10**18 }}", "it takes too much memory"),
        ],
    )
    def test_a_template_that_cannot_be_rendered_says_why(self, text: str, said: str) -> None:
        with pytest.raises(CannotRender, match=f"cannot render .*{re.escape(said)}"):
            self.made(text)

    def test_without_its_file(self) -> None:
        with pytest.raises(CannotRender, match=r"cannot render hook\.j2: there is no hook\.j2"):
            body(spec("template", template="/x/hook.j2"), [told("gap")], tailnet="t", at=AT)

    def test_without_jinja(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "netmap_actors.exports.template_sandbox", None)
        with pytest.raises(CannotRender, match=r"pip install 'netmap-supervisor\[template\]'"):
            self.made("x")
