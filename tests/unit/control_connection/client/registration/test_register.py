"""Registering and logging in: every answer of the server, and what a respawn goes on with."""

from __future__ import annotations

import msgspec
import pytest

from netmap_actors.control_connection.client.events import (
    LoginNeeded,
    ProbeEnded,
    Registered,
    SaveNodeKey,
    SessionFailed,
)
from netmap_actors.control_connection.client.registration.record import PendingLogin
from netmap_actors.exit_reason import ExitReason
from netmap_actors.web_url import UrlPolicy
from netmap_actors.wire.vocabulary import Stage
from tests.support.servers.scripted_control import (
    AUTH,
    FIRST_MAP,
    FRESH,
    KNOWN,
    LOGGED_IN,
    LOGIN,
    MAY_RETURN,
    NEW_NODE_KEY,
    NODE_KEY,
    OTHER_AUTH,
    POLICY,
    REGISTERED,
    REMOVED,
    saved,
    stages,
    started,
)

SECOND_LOGIN = "http://control.example:8080/register/two"


def test_a_new_node_registers_with_its_auth_key_and_then_asks_for_the_map() -> None:
    control = started(auth_key=AUTH)
    assert control.last.path == "/machine/register"
    body = control.last.json
    assert body["NodeKey"] == str(NODE_KEY.public())
    assert body["Auth"] == {"AuthKey": "tskey-auth-SECRET"}
    assert body["Version"] == 130
    assert "Followup" not in body
    assert control.last.headers["ts-lb"] == str(NODE_KEY.public())
    control.answer(LOGGED_IN)
    assert stages(control) == [Stage.HANDSHAKE, Stage.REGISTER, Stage.MAP]
    assert control.last.path == "/machine/map"
    assert control.take(Registered) == [Registered(True, "user@example.net")]
    assert control.take(LoginNeeded) == [LoginNeeded("")]
    registration = saved(control)[-1].registration
    assert registration.registered_node_key == NODE_KEY.public()
    assert registration.auth_key_digest == AUTH.digest
    control.send_map(FIRST_MAP)
    assert control.session.had_map


def test_a_machine_that_awaits_approval_asks_for_the_map_all_the_same() -> None:
    control = started(auth_key=AUTH)
    control.answer({**LOGGED_IN, "MachineAuthorized": False})
    assert control.take(Registered) == [Registered(False, "user@example.net")]
    assert control.last.path == "/machine/map"


@pytest.mark.parametrize(
    ("registration", "options", "register"),
    [
        (REGISTERED, {}, False),
        (KNOWN, {"auth_key": AUTH}, False),
        (KNOWN, {}, False),
        (FRESH, {}, True),
        (KNOWN, {"auth_key": OTHER_AUTH}, True),
        (KNOWN, {"policy": msgspec.structs.replace(POLICY, register_first=True)}, True),
        (REMOVED, {"auth_key": AUTH}, True),
        (msgspec.structs.replace(KNOWN, registered_node_key=NEW_NODE_KEY.public()), {}, True),
        (msgspec.structs.replace(KNOWN, pending=PendingLogin(NODE_KEY, LOGIN, None)), {}, True),
    ],
    ids=[
        "known",
        "same key",
        "no key",
        "new",
        "other key",
        "told to",
        "removed",
        "other node key",
        "pending",
    ],
)
def test_register_comes_first_only_when_it_must(registration, options, register: bool) -> None:
    control = started(registration, **options)
    assert control.last.path == ("/machine/register" if register else "/machine/map")


@pytest.mark.parametrize(
    ("auth_key", "policy", "sent"),
    [
        (AUTH, POLICY, None),
        (AUTH, MAY_RETURN, AUTH.secret),
        (AUTH, msgspec.structs.replace(POLICY, ephemeral=True), AUTH.secret),
        (OTHER_AUTH, POLICY, OTHER_AUTH.secret),
    ],
    ids=["stop", "register", "ephemeral", "a person gave another key"],
)
def test_a_removed_node_comes_back_by_its_auth_key_only_where_it_may(
    auth_key, policy, sent: str | None
) -> None:
    control = started(REMOVED, auth_key=auth_key, policy=policy)
    assert control.last.json.get("Auth") == (None if sent is None else {"AuthKey": sent})
    control.answer(LOGGED_IN)
    registration = saved(control)[-1].registration
    assert not registration.removed
    assert registration.auth_key_digest == auth_key.digest


def test_any_other_error_is_a_failed_attempt() -> None:
    control = started(auth_key=AUTH)
    control.answer({"Error": "requested tags [tag:x] are invalid or not permitted", "User": {"ID": 1}})
    assert control.failure().reason is ExitReason.ERROR


@pytest.mark.parametrize("body", [b"null", b"{}", b"", b"<html></html>", b"[]"])
def test_an_answer_without_content_is_no_success(body: bytes) -> None:
    control = started()
    control.answer(body)
    failed = control.failure()
    assert (failed.reason, failed.stage) == (ExitReason.ERROR, Stage.REGISTER)
    assert [request.path for request in control.requests] == ["/machine/register"]


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "7", 7),
        (429, None, 7.5),
        (503, None, 0),
        (401, None, 0),
        (403, None, 0),
        (404, None, 0),
        (500, None, 0),
    ],
)
def test_another_status_than_200_is_a_failed_attempt(status: int, header: str | None, seconds: float) -> None:
    control = started(auth_key=AUTH)
    control.answer(b"no\x1b", status, (("retry-after", header),) if header else ())
    failed = control.failure()
    assert (failed.reason, failed.stage, failed.retry_after) == (ExitReason.ERROR, Stage.REGISTER, seconds)
    assert str(status) in failed.detail
    assert "\x1b" not in failed.detail


def test_tailnet_lock_is_refused_in_words() -> None:
    control = started()
    control.answer({"NodeKeySignature": "AAAA"})
    assert "tailnet-lock" in control.failure().detail


# A person logs in


def test_a_login_is_shown_saved_and_waited_for() -> None:
    control = started()
    control.answer({"AuthURL": LOGIN})
    assert control.take(LoginNeeded) == [LoginNeeded(LOGIN)]
    (save,) = saved(control)
    assert save.required
    assert save.registration.pending == PendingLogin(NODE_KEY, LOGIN, None)
    assert control.last.json["Followup"] == LOGIN
    assert stages(control) == [Stage.HANDSHAKE, Stage.REGISTER, Stage.LOGIN]
    assert control.session.stage is Stage.LOGIN
    control.now += 3600
    control.answer(LOGGED_IN)
    assert control.take(LoginNeeded) == [LoginNeeded("")]
    assert saved(control)[-1].registration.pending is None
    assert control.last.path == "/machine/map"


def test_the_login_is_saved_before_the_request_that_names_it() -> None:
    """The session says SaveRegistration while its followup is still unsent."""
    control = started()
    control.http2.respond(control.last.stream_id, 200, (), b'{"AuthURL":"%s"}' % LOGIN.encode())
    control.flush()
    assert len(saved(control)) == 1
    assert len(control.requests) == 1
    control.settle()
    assert len(control.requests) == 2


def test_a_respawn_goes_on_with_the_same_login() -> None:
    pending = PendingLogin(NEW_NODE_KEY, LOGIN, NODE_KEY.public())
    control = started(msgspec.structs.replace(FRESH, pending=pending))
    assert stages(control) == [Stage.HANDSHAKE, Stage.LOGIN]
    assert control.take(LoginNeeded) == [LoginNeeded(LOGIN)]
    body = control.last.json
    assert body["Followup"] == LOGIN
    assert body["NodeKey"] == str(NEW_NODE_KEY.public())
    assert body["OldNodeKey"] == str(NODE_KEY.public())
    control.answer(LOGGED_IN)
    assert control.take(SaveNodeKey) == [SaveNodeKey(NEW_NODE_KEY)]
    assert control.last.json["NodeKey"] == str(NEW_NODE_KEY.public())


def test_another_login_url_is_shown_and_followed_but_not_in_a_hurry() -> None:
    control = started()
    control.answer({"AuthURL": LOGIN})
    control.now += 1
    control.answer({"AuthURL": SECOND_LOGIN})
    assert control.take(LoginNeeded) == [LoginNeeded(LOGIN), LoginNeeded(SECOND_LOGIN)]
    assert len(control.requests) == 2
    control.wait(4)
    assert len(control.requests) == 3
    assert control.last.json["Followup"] == SECOND_LOGIN
    assert saved(control)[-1].registration.pending == PendingLogin(NODE_KEY, SECOND_LOGIN, None)


def test_the_server_hears_its_own_url_and_a_person_the_clear_one() -> None:
    given = "http://Control.Example:80/register/One"
    for control in (
        started(),
        started(msgspec.structs.replace(FRESH, pending=PendingLogin(NODE_KEY, given, None))),
    ):
        if control.session.stage is not Stage.LOGIN:
            control.answer({"AuthURL": given})
        assert control.take(LoginNeeded) == [LoginNeeded("http://control.example/register/One")]
        assert control.last.json["Followup"] == given


def test_a_stored_login_url_that_must_not_be_shown_is_given_up() -> None:
    hostile = PendingLogin(NODE_KEY, "https://evil.example\\@login.tailscale.com/", None)
    control = started(msgspec.structs.replace(FRESH, pending=hostile))
    assert control.take(LoginNeeded) == []
    assert control.session.stage is Stage.REGISTER
    assert "Followup" not in control.last.json


def test_a_login_url_that_does_not_change_is_a_failed_attempt() -> None:
    control = started()
    control.answer({"AuthURL": LOGIN})
    control.answer({"AuthURL": LOGIN})
    assert control.failure().reason is ExitReason.ERROR


def test_a_login_the_server_has_forgotten_is_begun_anew_once() -> None:
    control = started(msgspec.structs.replace(FRESH, pending=PendingLogin(NODE_KEY, LOGIN, None)))
    control.answer({"Error": "invalid registration ID"})
    assert "Followup" not in control.last.json
    assert control.session.stage is Stage.REGISTER
    control.answer({"AuthURL": SECOND_LOGIN})
    assert control.last.json["Followup"] == SECOND_LOGIN
    control.answer({"Error": "invalid registration ID"})
    assert control.failure().reason is ExitReason.ERROR


def test_an_auth_key_ends_the_wait_for_a_person() -> None:
    control = started(
        msgspec.structs.replace(FRESH, pending=PendingLogin(NODE_KEY, LOGIN, None)), auth_key=AUTH
    )
    assert "Followup" not in control.last.json
    assert control.last.json["Auth"] == {"AuthKey": AUTH.secret}


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://x.example/\u202egpj",
        "http://x.example/\x1b[2J",
        "http://x.example/a b",
        "ftp://x.example/",
        "http://",
        "http://x.example/" + "a" * 3000,
    ],
)
def test_a_login_url_that_must_not_be_shown_is_not_shown(url: str) -> None:
    control = started()
    control.answer({"AuthURL": url})
    assert control.take(LoginNeeded) == []
    failed = control.failure()
    assert failed.reason is ExitReason.ERROR
    assert failed.detail.isprintable()
    assert url not in failed.detail, "it may be good all the same, and what is told goes to all who may read"


def test_a_plain_http_login_url_needs_a_plain_http_control_url() -> None:
    control = started(policy=msgspec.structs.replace(POLICY, urls=UrlPolicy()))
    control.answer({"AuthURL": LOGIN})
    assert control.failure().reason is ExitReason.ERROR


@pytest.mark.parametrize(
    ("host", "shown"), [("login.tailscale.com", True), ("tailscale.com.evil.example", False)]
)
def test_the_official_server_sends_people_to_the_official_domain_only(host: str, shown: bool) -> None:
    policy = msgspec.structs.replace(POLICY, urls=UrlPolicy(official=True))
    control = started(policy=policy)
    control.answer({"AuthURL": f"https://{host}/a/1"})
    assert bool(control.take(LoginNeeded)) is shown


def test_while_a_person_is_asked_the_connection_answers_for_itself() -> None:
    control = started()
    control.answer({"AuthURL": LOGIN})
    control.session.probe(3, 5.0, control.now)
    control.settle()
    assert control.take(ProbeEnded) == [ProbeEnded(3, True, 0.0)]
    control.pings_heard = False
    control.session.probe(4, 5.0, control.now)
    control.settle()
    control.wait(6)
    assert control.take(ProbeEnded) == [ProbeEnded(4, False, 5.0)]
    assert not control.session.over, "what follows the Supervisor decides, who knows of the route"


def test_nothing_is_asked_any_more_once_the_person_has_come() -> None:
    control = started()
    control.answer({"AuthURL": LOGIN})
    control.answer(LOGGED_IN)
    assert control.session.deadline() is None


# Expiry


def test_an_expired_key_is_replaced_once_and_the_old_one_named() -> None:
    control = started(auth_key=AUTH)
    control.answer({"NodeKeyExpired": True})
    (save,) = saved(control)
    assert save.required
    assert save.registration.pending == PendingLogin(NEW_NODE_KEY, "", NODE_KEY.public())
    body = control.last.json
    assert body["NodeKey"] == str(NEW_NODE_KEY.public())
    assert body["OldNodeKey"] == str(NODE_KEY.public())
    control.answer(LOGGED_IN)
    assert control.take(SaveNodeKey) == [SaveNodeKey(NEW_NODE_KEY)]
    registration = saved(control)[-1].registration
    assert registration.registered_node_key == NEW_NODE_KEY.public()
    assert registration.pending is None
    assert control.last.json["NodeKey"] == str(NEW_NODE_KEY.public())


def test_a_new_key_that_is_expired_too_is_the_end() -> None:
    control = started()
    control.answer({"NodeKeyExpired": True})
    control.answer({"NodeKeyExpired": True})
    assert control.failure().reason is ExitReason.EXPIRED


def test_an_expired_key_may_lead_to_a_login() -> None:
    control = started(KNOWN, policy=msgspec.structs.replace(POLICY, register_first=True))
    control.answer({"NodeKeyExpired": True})
    control.answer({"AuthURL": LOGIN})
    assert saved(control)[-1].registration.pending == PendingLogin(NEW_NODE_KEY, LOGIN, NODE_KEY.public())
    assert control.last.json["OldNodeKey"] == str(NODE_KEY.public())


def test_no_secret_is_in_the_words_for_any_event() -> None:
    control = started(auth_key=AUTH)
    control.answer({"NodeKeyExpired": True})
    control.answer(LOGGED_IN)
    words = repr(control.events) + repr(control.flow.request()) + repr(AUTH)
    for secret in (AUTH.secret, *(k.to_text()[8:] for k in (NODE_KEY, NEW_NODE_KEY, FRESH.disco_key))):
        assert secret not in words


@pytest.mark.parametrize("tags", [("tag:a",), ("tag:a", "tag:b")])
def test_tags_that_are_refused_beside_an_auth_key_are_told_from_a_refused_key(tags: tuple[str, ...]) -> None:
    """headscale: hscontrol/state/state.go, HandleNodeFromPreAuthKey: whatever the policy says."""
    asked = msgspec.structs.replace(FRESH.hostinfo, request_tags=tags)
    control = started(msgspec.structs.replace(FRESH, hostinfo=asked), auth_key=AUTH)
    control.answer({"Error": f"requested tags [{' '.join(tags)}] are invalid or not permitted"})
    [failed] = control.take(SessionFailed)
    assert failed.reason is ExitReason.ERROR
    assert "requested tags [tag:a" in failed.detail
    assert "take --request-tags away" in failed.detail
    assert f"headscale preauthkeys create --tags {','.join(tags)}" in failed.detail
    assert "make a new one" not in failed.detail


def test_tags_that_are_refused_without_an_auth_key_have_to_be_allowed_by_the_policy() -> None:
    asked = msgspec.structs.replace(FRESH.hostinfo, request_tags=("tag:a",))
    control = started(msgspec.structs.replace(FRESH, hostinfo=asked))
    control.answer({"Error": "requested tags [tag:a] are invalid or not permitted"})
    [failed] = control.take(SessionFailed)
    assert "tagOwners" in failed.detail
    assert "preauthkeys" not in failed.detail
