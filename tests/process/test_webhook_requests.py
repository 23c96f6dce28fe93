"""One request of a webhook against receivers of every kind: what comes of it, in time, without a word of its URL."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.bus.loop import Loop
from netmap_actors.transport.tls import make_context
from netmap_actors.webhooks import sender
from netmap_actors.webhooks.delivery import Outcome
from netmap_actors.webhooks.events import test_event as an_event
from netmap_actors.webhooks.sender import OutOfReach, WebhookRequest
from netmap_actors.webhooks.spec import BodyForm, WebhookSpec
from netmap_supervisor.cli import main
from tests.support.host.free_ports import free_port
from tests.support.proxies.connect_proxy import ConnectProxy
from tests.support.proxies.tls_front import self_signed, tls_in_front_of
from tests.support.servers.webhook_receiver import WebhookReceiver
from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from netmap_actors.webhooks.events import WebhookEvent

KEY = "k3y-of-signatures"


@dataclasses.dataclass
class Place:
    """Files of one webhook, and the loop that sends."""

    directory: Path
    loop: Loop

    def spec(self, url: str, **fields: Any) -> WebhookSpec:
        (self.directory / "url").write_text(f"{url}\n")
        (self.directory / "key").write_text(f"{KEY}\n")
        return WebhookSpec(
            name="a",
            url=f"file:{self.directory}/url",
            secret=f"file:{self.directory}/key",
            **fields,
        )

    def started(
        self,
        spec: WebhookSpec,
        *,
        proxy: str = "off",
        ca_file: str = "",
        ports: tuple[int, ...] | None = None,
        events: Sequence[WebhookEvent] = (an_event("test-1", 1.0),),
    ) -> tuple[WebhookRequest, list[Outcome]]:
        """One under way, and what will have come of it."""
        outcomes: list[Outcome] = []
        request = WebhookRequest(
            self.loop,
            spec,
            events,
            outcomes.append,
            tailnet="default",
            wall=self.loop.clock.wall(),
            proxy=proxy,
            environment={},
            context=lambda: make_context(ca_file),
            ports=ports,
        )
        return request, outcomes

    def send(self, spec: WebhookSpec, **options: Any) -> Outcome:
        _, outcomes = self.started(spec, **options)
        self.loop.run(lambda: bool(outcomes))
        return outcomes[0]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    loop = Loop()
    yield Place(tmp_path, loop)
    loop.close()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(KEY) as made:
        yield made


@pytest.mark.parametrize("status", [200, 202, 204, 302, 308, 400, 404, 410, 429, 500, 503])
def test_the_status_is_the_outcome_and_no_redirect_is_followed(
    place: Place, receiver: WebhookReceiver, status: int
) -> None:
    with WebhookReceiver(KEY) as elsewhere:
        receiver.answer, receiver.location = status, elsewhere.url
        assert place.send(place.spec(receiver.url)) == Outcome(status=status)
        assert receiver.asked == 1
        assert (receiver.unsigned, elsewhere.asked) == (0, 0)


def test_a_request_says_where_to_and_what_and_is_signed(place: Place, receiver: WebhookReceiver) -> None:
    place.send(place.spec(receiver.url))
    path, headers, _ = receiver.requests[0]
    assert path == "/services/T0-s3cr3t-path?token=s3cr3t-query"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("netmap-supervisor/")
    assert receiver.events()[0]["type"] == "test"
    assert receiver.unsigned == 0
    (place.directory / "key").write_text("another")
    place.send(WebhookSpec(name="a", url=f"file:{place.directory}/url", secret=f"file:{place.directory}/key"))
    assert receiver.unsigned == 1, "it finds what is signed with another key"


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_receiver_that_hangs_or_drips_costs_the_limit(
    place: Place, receiver: WebhookReceiver, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "SEND_LIMIT", 0.7)
    receiver.answer = how
    watch = Stopwatch()
    assert place.send(place.spec(receiver.url)) == Outcome(failure="timeout")
    assert watch.seconds() < 5.0


def test_retry_after_comes_with_its_answer(place: Place, receiver: WebhookReceiver) -> None:
    receiver.answer, receiver.retry_after = 429, "17"
    assert place.send(place.spec(receiver.url)) == Outcome(status=429, retry_after=17.0)


def test_what_cannot_be_reached_is_told_in_classes(place: Place, receiver: WebhookReceiver) -> None:
    pem = self_signed(place.directory)
    port = free_port()
    secret = "/T0-s3cr3t-path"
    with tls_in_front_of(receiver.port, pem) as secured:
        failures = {
            url: place.send(place.spec(url + secret)).failure
            for url in (
                f"http://127.0.0.1:{port}",
                "http://no-such-host.invalid.localhost",
                f"https://127.0.0.1:{receiver.port}",
                f"https://localhost:{secured}",
            )
        }
        taken = place.send(place.spec(f"https://localhost:{secured}{secret}"), ca_file=str(pem))
        other = place.send(place.spec(f"https://127.0.0.1:{secured}{secret}"), ca_file=str(pem)).failure
    refused, unknown, plain, untrusted = failures.values()
    assert refused == "cannot connect: Connection refused"
    assert unknown.startswith(("its host cannot be resolved", "cannot connect"))
    assert plain == "cannot speak TLS"
    assert untrusted == "its certificate is self-signed"
    assert taken == Outcome(status=200)
    assert other == "its certificate is for another name"
    for failure in (*failures.values(), other):
        assert not any(word in failure for word in ("s3cr3t", "localhost", "127.0.0.1", "invalid"))


def test_an_answer_that_is_none_is_told(place: Place, receiver: WebhookReceiver) -> None:
    receiver.answer = "noise"
    assert place.send(place.spec(receiver.url)) == Outcome(failure="no answer of HTTP")


def test_a_proxy_that_is_named_is_used(place: Place, receiver: WebhookReceiver) -> None:
    with ConnectProxy(receiver.port) as proxy:
        found = place.send(place.spec(receiver.url), proxy=f"http://127.0.0.1:{proxy.port}")
    assert found == Outcome(status=200)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/s3cr3t", "it is http to another machine"),
        ("ftp://example.com/s3cr3t", "it does not begin with https:// or http://"),
        ("https://user:s3cr3t@example.com/", "it names a user or a password"),
        ("two s3cr3t words", "it has to be one word, alone"),
        ("", "it is empty"),
        ("x" * 5000, "it has over 4096 bytes"),
    ],
)
def test_a_url_that_cannot_be_used_is_not_repeated(place: Place, url: str, why: str) -> None:
    outcome = place.send(place.spec(url))
    assert not outcome.sent
    assert why in outcome.failure
    assert "s3cr3t" not in outcome.failure
    assert "example" not in outcome.failure


def test_files_that_are_not_there_and_templates_that_make_nothing_are_told(place: Place) -> None:
    spec = place.spec("http://127.0.0.1:1/")
    (place.directory / "key").unlink()
    assert "key: there is no such file" in place.send(spec).failure
    spec = place.spec("http://127.0.0.1:1/", body=BodyForm.TEMPLATE, template=f"{place.directory}/t.json.j2")
    assert not place.send(spec).sent
    (place.directory / "t.json.j2").write_text("{{ 1 / 0 }}")
    outcome = place.send(spec)
    assert (outcome.sent, outcome.of_the_body) == (False, True)
    spec = WebhookSpec(name="a", url="credential:hook")
    assert "there is no $CREDENTIALS_DIRECTORY" in place.send(spec).failure


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
COSTLY = {
    "time": (
        ENDLESS,
        "cannot render t.j2: it takes more than 1 s of processor time",
    ),
    "memory": ("{{ 'a' * 999999999 }}", "cannot render t.j2: it takes too much memory"),
    "waiting": (ENDLESS, "cannot render t.j2: it has not ended within 0.5 s"),
}


@pytest.mark.parametrize("what", COSTLY)
def test_a_template_that_costs_too_much_fails_alone_while_others_are_told(
    place: Place, receiver: WebhookReceiver, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 0.5 if what == "waiting" else 60.0
    bounds = sender.RENDER_BOUNDS._replace(processor_time=1, patience=patience)
    monkeypatch.setattr(sender, "RENDER_BOUNDS", bounds)
    text, why = COSTLY[what]
    (place.directory / "t.j2").write_text(text)
    spec = place.spec(receiver.url, body=BodyForm.TEMPLATE, template=f"{place.directory}/t.j2")
    _, bad = place.started(spec)
    assert place.send(place.spec(receiver.url)) == Outcome(status=200)
    assert what != "time" or not bad, "the other was told meanwhile"
    place.loop.run(lambda: bool(bad))
    assert bad == [Outcome(failure=why, sent=False, of_the_body=True)]
    assert receiver.asked == 1


def test_a_thousand_events_fit_into_the_bounds_of_a_template(place: Place, receiver: WebhookReceiver) -> None:
    (place.directory / "t.j2").write_text("{{ events | tojson }}" + "{# #}" * 1000)
    spec = place.spec(receiver.url, body=BodyForm.TEMPLATE, template=f"{place.directory}/t.j2")
    event = msgspec.structs.replace(an_event("e", 1.0), subject="s" * 100, detail={"from": "x" * 300})
    assert place.send(spec, events=[event] * 1000) == Outcome(status=200)


def test_one_that_is_given_up_while_it_is_rendered_sends_nothing(
    place: Place, receiver: WebhookReceiver
) -> None:
    (place.directory / "t.j2").write_text("x")
    spec = place.spec(receiver.url, body=BodyForm.TEMPLATE, template=f"{place.directory}/t.j2")
    request, outcomes = place.started(spec)
    request.cancel()
    assert place.send(spec) == Outcome(status=200)
    assert (receiver.asked, outcomes) == (1, [])


def test_a_port_that_was_not_named_at_the_start_is_out_of_reach(
    place: Place, receiver: WebhookReceiver
) -> None:
    with pytest.raises(OutOfReach):
        place.send(place.spec(receiver.url), ports=(53, 443))
    assert place.send(place.spec(receiver.url), ports=(53, receiver.port)).status == 200


def test_without_a_daemon_the_command_sends_the_test_itself(
    place: Place, receiver: WebhookReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    place.spec(receiver.url)
    file = place.directory / "config.toml"
    file.write_text('[[webhook]]\nname = "a"\nurl = "file:url"\nsecret = "file:key"\n')
    # Unix socket paths are short; pytest's own directories are not.
    where = [f"--config={file}", f"--runtime-dir=/tmp/nm-none-{os.getpid()}"]

    def told(*words: str) -> tuple[int, str, str]:
        code = main(["webhook", *words, *where])
        out, err = capsys.readouterr()
        return code, out, err

    code, out, err = told("test", "a", "--json")
    assert out, err
    shown = json.loads(out)
    assert (code, shown["webhook"], shown["taken"], shown["status"]) == (0, "a", True, 200)
    assert [one["type"] for one in receiver.events()] == ["test"]
    assert receiver.unsigned == 0
    receiver.answer = 403
    code, out, _ = told("test", "a")
    assert (code, out.partition(" after")[0]) == (1, "a does not take it: status 403")
    code, _, err = told("test", "b")
    assert (code, "webhooks are a" in err) == (1, True)
    (place.directory / "url").unlink()
    code, out, _ = told("test", "a")
    assert (code, "there is no such file" in out) == (1, True)
    assert told("list", "--json")[:2] == (0, '{"webhooks":[{"name":"a"}]}\n')
