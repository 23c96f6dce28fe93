"""One step of a scenario against planted histories, and what a client believes against what it should."""

from __future__ import annotations

import re

import pytest

from netmap_actors.dev_control.http.state import Seen
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    Believes,
    BelievesServer,
    Expectation,
    KeepsHostname,
    KeepsNodeKey,
    KeepsSession,
    Traffic,
)
from netmap_supervisor.devtools.client_check.verdicts.beliefs import (
    BelievedPeer,
    UnreadablePeers,
    difference,
    parse_peers,
)
from netmap_supervisor.devtools.client_check.verdicts.expectations import (
    Judged,
    StepStanding,
    StepView,
    judge,
    standing_of,
)
from netmap_supervisor.devtools.client_check.verdicts.observations import Session

BEGAN = 500.0
KEY = "nodekey:aa"


def peer(name: str, *addresses: str, online: bool | None = None) -> BelievedPeer:
    return BelievedPeer(name, frozenset(addresses or ("100.64.0.7",)), online)


def seen(after: float, kind: str, detail: str = "", connection: int = 1) -> Seen:
    return Seen(BEGAN + after, connection, "", kind, detail)


def view(
    *events: Seen, sessions: tuple[Session, ...] = (), peers: tuple[BelievedPeer, ...] | None = None
) -> StepView:
    nodes = (peer("ash", online=True), peer("birch", "100.64.0.8", "fd7a::8", online=False))
    return StepView(BEGAN, events, sessions, KEY, me="check-me.example.net", nodes=nodes, peers=peers)


OLD = Session(BEGAN - 10.0, 1, BEGAN + 5.0)
NEW = Session(BEGAN + 2.0, 2, BEGAN + 5.0)
ASH, BIRCH = peer("ash"), peer("birch", "100.64.0.8")


@pytest.mark.parametrize(
    ("expectation", "given", "standing", "said"),
    [
        (Believes("ash"), view(), "pending", "its list of peers was not read"),
        (Believes("ash"), view(peers=()), "pending", "ash is not listed"),
        (Believes("Ash.example.net"), view(peers=(ASH,)), "met", ""),
        (Believes("ash", present=False), view(peers=(ASH,)), "pending", "ash is still listed"),
        (Believes("ash", present=False), view(peers=()), "met", ""),
        (Believes("ash"), view(peers=(ASH, peer("ash"))), "pending", "ash is listed 2 times"),
        (Believes("ash", online=True), view(peers=(ASH,)), "unknown", "does not say who is online"),
        (
            Believes("ash", online=True),
            view(peers=(peer("ash", online=False),)),
            "pending",
            "ash is shown offline",
        ),
        (Believes("ash", online=False), view(peers=(peer("ash", online=False),)), "met", ""),
        (
            Believes("ash", addresses=("100.64.0.9",)),
            view(peers=(ASH,)),
            "pending",
            "ash has 100.64.0.7, not 100.64",
        ),
        (BelievesServer(), view(peers=(ASH, BIRCH)), "met", ""),
        (BelievesServer(), view(peers=(ASH, BIRCH, peer("check-me"))), "met", ""),
        (BelievesServer(), view(peers=(ASH,)), "pending", "birch is not listed"),
        (
            BelievesServer(),
            view(peers=(ASH, BIRCH, peer("elm"))),
            "pending",
            "elm is listed, which is no node",
        ),
        (BelievesServer(), view(peers=(ASH, BIRCH, ASH)), "pending", "ash is listed 2 times"),
        (
            BelievesServer(),
            view(peers=(ASH, peer("birch"))),
            "pending",
            "birch has 100.64.0.7, not 100.64.0.8 fd7a::8",
        ),
        (BelievesServer(online=True), view(peers=(ASH, BIRCH)), "unknown", "does not say"),
        (
            BelievesServer(online=True),
            view(peers=(peer("ash", online=False), BIRCH)),
            "pending",
            "ash is shown offline",
        ),
        (KeepsSession(), view(sessions=(OLD,)), "met", ""),
        (KeepsSession(), view(sessions=(OLD, NEW)), "broken", "another map session begun after 2.0 s"),
        (KeepsSession(), view(seen(1.0, "reset"), sessions=(OLD,)), "broken", "given up after 1.0 s"),
        (KeepsSession(), view(seen(1.0, "end", connection=9), sessions=(OLD,)), "met", ""),
        (KeepsSession(), view(), "broken", "no map session"),
        (BackInSession(), view(sessions=(OLD,)), "pending", "no new map session"),
        (BackInSession(), view(sessions=(OLD, NEW)), "met", ""),
        (KeepsNodeKey(), view(seen(1.0, "map", KEY), seen(2.0, "register", f"{KEY} auth")), "met", ""),
        (KeepsNodeKey(), view(seen(-1.0, "register", "nodekey:bb")), "met", ""),
        (
            KeepsNodeKey(),
            view(seen(1.0, "register", "nodekey:bb auth")),
            "broken",
            "register request with another",
        ),
        (KeepsHostname(), view(seen(-1.0, "map", f"{KEY} host:a"), seen(1.0, "lite", KEY)), "met", ""),
        (KeepsHostname(), view(seen(-2.0, "map", f"{KEY} host:a"), seen(-1.0, "lite", "host:b")), "met", ""),
        (
            KeepsHostname(),
            view(seen(-1.0, "map", f"{KEY} host:a"), seen(1.0, "lite", f"{KEY} host:")),
            "broken",
            "lite request with host:, not host:a",
        ),
        (
            Traffic("register", "auth", most=0),
            view(seen(1.5, "register", f"{KEY} auth")),
            "broken",
            "1 register request, none expected (after 1.5 s)",
        ),
        (Traffic("register", "auth", most=0), view(seen(1.5, "register", KEY)), "met", ""),
        (
            Traffic("map", least=2),
            view(seen(1.0, "map", KEY)),
            "pending",
            "1 map request, at least 2 expected",
        ),
    ],
)
def test_an_expectation(expectation: Expectation, given: StepView, standing: str, said: str) -> None:
    found = judge(expectation, given)
    assert (found.standing.value, said in found.said) == (standing, True), found
    assert bool(found.said) == (found.standing is not StepStanding.MET)


@pytest.mark.parametrize(
    ("standings", "elapsed", "told", "standing"),
    [
        (["met"], 1.0, 1.0, "pending"),
        (["met"], 3.0, 1.0, "met"),
        ([], 3.0, 3.0, "met"),
        (["met", "pending"], 9.9, 9.9, "pending"),
        (["met", "pending"], 10.0, 10.0, "broken"),
        # The peers command takes long: the next list, which is being read, decides.
        (["met", "pending"], 17.0, 9.9, "pending"),
        (["met", "met"], 17.0, 9.9, "met"),
        (["pending", "broken"], 0.0, 0.0, "broken"),
        (["unknown", "pending"], 0.0, 0.0, "unknown"),
    ],
)
def test_a_step_ends_when_all_is_met_and_watched_or_something_is_broken(
    standings: list[str], elapsed: float, told: float, standing: str
) -> None:
    judged = [Judged(StepStanding(word), word) for word in standings]
    found = standing_of(judged, elapsed=elapsed, told=told, within=10.0, watch=3.0)
    assert found.standing.value == standing


def test_peers_as_an_array_or_line_by_line() -> None:
    right = (
        BelievedPeer("ash", frozenset({"100.64.0.7", "fd7a::7"}), True),
        BelievedPeer("elm", frozenset()),
    )
    one = '{"name": "Ash.example.net.", "addresses": ["100.64.0.7/32", "fd7a:0::7"], "online": true, "os": 1}'
    two = '{"name": "elm", "addresses": null, "online": null}'
    assert parse_peers(f"[{one}, {two}]\n") == parse_peers(f"{one}\n\n{two}\n") == right
    assert parse_peers(f'{{"state": "fresh", "peers": [{one},\n {two}]}}') == right
    assert parse_peers(one) == right[:1]
    assert parse_peers("") == parse_peers("[]") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("warning: x", "no JSON: .*warning: x"),
        ("[1]", "1 is no object"),
        ("7", "7, which is no list"),
        ('{"peers": {}}', "which is no list"),
        ('{"addresses": []}', "has no name"),
        ('{"name": "."}', "has no name"),
        ('{"name": "a", "online": "yes"}', "a: online is neither"),
        ('{"name": "a", "addresses": "x"}', "a: addresses is no list"),
        ('{"name": "a", "addresses": ["x\x1b"]}', "no JSON"),
        ('{"name": "a", "addresses": ["x"]}', "a: 'x' does not appear"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_list_of_peers_is_told(text: str, said: str) -> None:
    with pytest.raises(UnreadablePeers, match=said) as caught:
        parse_peers(text)
    assert re.fullmatch(r"[ -~…]*", str(caught.value))


def test_no_difference_is_no_words() -> None:
    assert difference([ASH, BIRCH], [BIRCH, ASH]) == ""
    assert difference([peer("ash", online=None)], [peer("ash", online=True)], online=True) == ""
