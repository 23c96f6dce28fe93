"""How long a client may follow events: as long as its token is there, and its session lasts."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from netmap_actors.http_endpoint.access import Asker
from netmap_actors.http_endpoint.actor import HttpEndpoint, _Follower
from netmap_actors.subscriber import EventFilter

NOW = 100.0


class _Client:
    """A connection that is not `behind` has taken all there is for it."""

    def __init__(self, *, behind: bool) -> None:
        self.behind = behind
        self.heard: list[bytes] = []
        self.closed = False

    def end_events(self, last: bytes) -> None:
        self.heard.append(last)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("asker", "known", "said"),
    [
        (Asker("t", math.inf), frozenset({"t"}), None),
        (Asker("t", NOW + 1.0), frozenset({"t"}), None),
        (Asker("t", NOW + 1.0), None, None),
        (Asker("t", NOW), frozenset({"t"}), b"the session is over: log in again"),
        (Asker("t", NOW), None, b"the session is over: log in again"),
        (Asker("t", math.inf), frozenset(), b"the token was revoked"),
        (Asker("t", NOW), frozenset(), b"the token was revoked"),
        (Asker(), None, None),
    ],
)
@pytest.mark.parametrize("behind", [False, True])
def test_a_stream_ends_with_what_let_it_in(
    asker: Asker, known: frozenset[str] | None, said: bytes | None, behind: bool
) -> None:
    endpoint: Any = HttpEndpoint.__new__(HttpEndpoint)
    client = _Client(behind=behind)
    endpoint.__dict__.update(
        _access=SimpleNamespace(look=lambda _: known, out_of_reach=False),
        _followers={client: _Follower(EventFilter((), ()), asker)},
        _places=SimpleNamespace(left=lambda _: None),
        clock=SimpleNamespace(wall=lambda: 0.0),
        loop=SimpleNamespace(now=lambda: NOW),
    )
    endpoint._look()
    if said is None:
        assert (client.heard, client.closed) == ([], False)
    elif behind:
        assert client.closed, "what waits for it is not for it any more"
    else:
        assert said in client.heard[0]
        assert endpoint._followers == {}
