"""Auth keys that are refused: of a node that needs one, and of one that is registered and goes on without."""

from __future__ import annotations

import msgspec
import pytest

from netmap_actors.control_connection.client.events import (
    AuthKeyUnused,
    LoginNeeded,
)
from netmap_actors.exit_reason import ExitReason
from tests.support.servers.scripted_control import (
    AUTH,
    FIRST_MAP,
    FRESH,
    KNOWN,
    MAY_RETURN,
    NEW_NODE_KEY,
    OTHER_AUTH,
    POLICY,
    REMOVED,
    saved,
    started,
)


@pytest.mark.parametrize(
    "error",
    [
        "invalid pre auth key",
        "authkey expired",
        "authkey already used",
        "invalid authkey",
        "AuthKey revoked",
        "invalid auth key\x1b[2J",
    ],
)
def test_a_refused_auth_key_is_named_without_being_shown(error: str) -> None:
    control = started(auth_key=AUTH)
    control.answer({"Error": error})
    failed = control.failure()
    assert failed.reason is ExitReason.LOGIN_REFUSED
    assert "SECRET" not in repr(failed)
    assert "\x1b" not in failed.detail


def test_a_refused_auth_key_that_is_not_needed_ends_nothing() -> None:
    """The node is registered, and somebody put another key in place: the server knows the node without it."""
    for error in (
        "invalid pre auth key",
        "authkey expired",
        "requested tags [tag:x] are invalid or not permitted",
    ):
        control = started(KNOWN, auth_key=OTHER_AUTH)
        assert control.last.json["Auth"] == {"AuthKey": OTHER_AUTH.secret}
        control.answer({"Error": error})
        assert control.last.path == "/machine/map"
        control.send_map(FIRST_MAP)
        assert control.session.had_map
        (unused,) = control.take(AuthKeyUnused)
        assert error in unused.detail
        assert "SECRET" not in unused.detail
        # It is tried again by the next process: what is stored is still the key that was taken.
        assert all(save.registration.auth_key_digest == AUTH.digest for save in saved(control))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"MachineAuthorized":false}', 401, "answered 401"),
        (b"", 500, "answered 500; this"),
        (b"\x1b[2J", 403, "answered 403: \\x1b[2J"),
        ({"AuthURL": "https://control.example/a/1"}, 200, "wants a person"),
        ({"NodeKeySignature": "eA=="}, 200, "wants a person"),
        (b"null", 200, "answers nothing"),
    ],
)
def test_however_an_auth_key_that_is_not_needed_is_refused_the_node_goes_on(
    body: object, status: int, words: str
) -> None:
    """Older headscales say it with a 401 (headscale: hscontrol/auth.go, handleAuthKey), others ask for a person."""
    control = started(KNOWN, auth_key=OTHER_AUTH)
    control.answer(body, status)
    assert control.last.path == "/machine/map"
    control.send_map(FIRST_MAP)
    assert control.session.had_map
    (unused,) = control.take(AuthKeyUnused)
    assert words in unused.detail
    assert not control.take(LoginNeeded)
    needed = started(FRESH, auth_key=OTHER_AUTH)
    needed.answer(body, status)
    assert needed.last.path != "/machine/map"


def test_a_server_that_asks_for_a_pause_gets_it_from_a_registered_node_too() -> None:
    for status in (429, 503):
        control = started(KNOWN, auth_key=OTHER_AUTH)
        control.answer(b"", status, (("Retry-After", "30"),))
        assert control.failure().retry_after == 30.0


def test_an_expired_node_key_needs_the_auth_key() -> None:
    control = started(KNOWN, auth_key=OTHER_AUTH)
    control.answer({"NodeKeyExpired": True, "AuthURL": "https://control.example/a/1"})
    assert control.last.json["OldNodeKey"]
    assert not control.take(AuthKeyUnused)


@pytest.mark.parametrize(
    ("registration", "policy"),
    [
        (FRESH, POLICY),
        (msgspec.structs.replace(REMOVED, auth_key_digest="x"), POLICY),
        (REMOVED, MAY_RETURN),
        (msgspec.structs.replace(KNOWN, registered_node_key=None), POLICY),
        (msgspec.structs.replace(KNOWN, registered_node_key=NEW_NODE_KEY.public()), POLICY),
        (KNOWN, msgspec.structs.replace(POLICY, register_first=True)),
    ],
    ids=["new", "removed", "removed, may return", "expired", "another node key", "told to register"],
)
def test_a_refused_auth_key_that_is_needed_ends_the_attempt(registration, policy) -> None:
    control = started(registration, auth_key=OTHER_AUTH, policy=policy)
    control.answer({"Error": "authkey expired"})
    assert control.failure().reason is ExitReason.LOGIN_REFUSED


def test_a_node_the_server_lost_says_so_after_its_refused_auth_key() -> None:
    """The next process registers first, and then the key is needed."""
    control = started(KNOWN, auth_key=OTHER_AUTH)
    control.answer({"Error": "authkey expired"})
    control.answer(b"node not found", 404)
    assert control.failure().reason is ExitReason.REMOVED
    again = started(saved(control)[-1].registration, auth_key=OTHER_AUTH)
    again.answer({"Error": "authkey expired"})
    assert again.failure().reason is ExitReason.LOGIN_REFUSED
