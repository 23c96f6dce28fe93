"""What the banner of the page says of what it was told, in Chromium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


OPEN = {"phase": "open"}
FRESH = {"state": "fresh", "ageAtMs": 1000, "at": 0, "reason": ""}
STALE = {"state": "stale", "ageAtMs": 60000, "at": 0, "reason": "session_ended"}
NONE = {"state": "none", "ageAtMs": None, "at": 0, "reason": ""}


def told(**fields: object) -> dict[str, object]:
    return {
        "trust": FRESH,
        "stream": OPEN,
        "status": None,
        "answers": True,
        "now": 5000,
        "sleptMs": 0,
    } | fields


def connection(state: str, end: dict[str, str] | None = None, **fields: object) -> dict[str, object]:
    return {
        "connection": {"state": state, "last_end": end, "next_attempt_s": None, "auth_url": None} | fields
    }


@pytest.mark.parametrize(
    ("given", "key", "words", "age_ms"),
    [
        (told(), "fresh", "Fresh", 6000),
        (
            told(stream={"phase": "lost", "why": "silent"}),
            "gone",
            "no events The HTTP endpoint answers, but",
            6000,
        ),
        (
            told(stream={"phase": "lost", "why": "silent"}, answers=False),
            "gone",
            "endpoint gone Nothing came from the HTTP endpoint for 40 s",
            6000,
        ),
        (told(trust=STALE | {"reason": "held_back"}), "stale", "no event did: a proxy", 65000),
        (told(sleptMs=3600000), "fresh", "Fresh", 3606000),
        (told(trust=STALE), "stale", "The connection to the control server ended", 65000),
        (
            told(trust=STALE, status=connection("backing_off", {"reason": "silence"}, next_attempt_s=3.2)),
            "stale",
            "said nothing for longer than the limit",
            65000,
        ),
        (
            told(
                trust=STALE | {"reason": ""},
                status=connection("connecting", {"reason": "error", "detail": "ca\x1bd"}),
            ),
            "stale",
            "failed: ca\\x1bd. It connects",
            65000,
        ),
        (
            told(
                trust=STALE | {"reason": "silence"},
                status=connection("backing_off", {"reason": "error", "detail": "the server answered 503"}),
            ),
            "stale",
            "counts as dead. The last attempt failed: the server answered 503. The next attempt",
            65000,
        ),
        (told(trust=STALE | {"reason": "publisher_silent"}), "stale", "publisher says nothing", 65000),
        (told(trust=STALE | {"reason": "of a later version"}), "stale", "does not vouch", 65000),
        (told(trust=NONE), "none", "No netmap has come yet", None),
        (
            told(trust=NONE, status=connection("awaiting_approval")),
            "approval",
            "An administrator has to approve",
            None,
        ),
        (
            told(trust=STALE, status=connection("connecting", {"reason": "removed"})),
            "removed",
            "no longer knows",
            65000,
        ),
        (told(status=connection("map_session", {"reason": "removed"})), "fresh", "Fresh", 6000),
        (told(stream={"phase": "lost", "why": "closed"}), "gone", "Stale: endpoint gone", 6000),
        (told(stream={"phase": "lost", "why": "token revoked"}), "gone", "token revoked.", 6000),
        (
            told(stream={"phase": "lost", "why": "unreachable"}, trust=NONE),
            "gone",
            "No netmap: endpoint gone",
            None,
        ),
        (told(answers=False), "gone", "does not answer", 6000),
        (
            told(stream={"phase": "connecting", "why": "jumped"}),
            "jumped",
            "slept, or its clock was set",
            6000,
        ),
        (told(stream={"phase": "paused"}), "paused", "other tabs", 6000),
        (told(stream={"phase": "connecting", "why": ""}), "connecting", "Connecting", 6000),
        (told(stream={"phase": "login"}), "token", "asks for a token", 6000),
    ],
)
def test_the_verdict(
    call: Callable[..., Any], given: dict[str, object], key: str, words: str, age_ms: float | None
) -> None:
    found = call("trust", "judge", given)
    assert found["key"] == key
    assert words in f"{found['word']} {found['reason']} {found['advice']}"
    assert found["ageMs"] == age_ms


def test_who_may_only_read_hears_where_the_address_of_a_login_is_shown(call: Callable[..., Any]) -> None:
    status = connection("login_needed", auth_url="https://hs.example.com/register/x")
    found = call("trust", "judge", told(trust=NONE, status=status))
    assert found["key"] == "login"
    assert "netmap-supervisor status" in found["advice"]
    assert "hs.example.com" not in str(found)
