"""No row asks what nobody can fail: planted histories of clients that stop, hammer, forget and mix up."""

from __future__ import annotations

import pytest

from netmap_actors.dev_control.http.state import Seen
from netmap_supervisor.devtools.client_check.outcome import CheckVerdict
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, CheckScenario, Limits, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    Believes,
    BelievesServer,
    Step,
)
from netmap_supervisor.devtools.client_check.verdicts.assessment import assess
from netmap_supervisor.devtools.client_check.verdicts.beliefs import BelievedPeer, short_name
from netmap_supervisor.devtools.client_check.verdicts.expectations import StepStanding, StepView, judge
from netmap_supervisor.devtools.client_check.verdicts.observations import Facts, Session

LIMITS = Limits()
BEGAN = 500.0
KEY = "nodekey:aa"
OLD = Session(BEGAN - 10.0, 1, BEGAN + 9.0)
NEW = Session(BEGAN + 2.0, 2, BEGAN + 9.0)
STEP_ROWS = {name: row for name, row in SCENARIOS.items() if row.steps}
OTHER_ROWS = {name: row for name, row in SCENARIOS.items() if not row.steps}


def seen(kind: str, detail: str = KEY, after: float = 1.0) -> Seen:
    return Seen(BEGAN + after, 2, "", kind, detail)


def view(
    *events: Seen, sessions: tuple[Session, ...] = (OLD,), peers: tuple[BelievedPeer, ...] = ()
) -> StepView:
    nodes = (BelievedPeer("ash", frozenset({"100.64.0.7"}), online=True),)
    return StepView(BEGAN, events, sessions, KEY, nodes=nodes, peers=peers)


def everybody(step: Step) -> StepView:
    """A client that lists whomever it has ever heard of, with an address of its own making."""
    names = [one.name for one in step.expects if isinstance(one, Believes)]
    return view(
        peers=tuple(BelievedPeer(short_name(name), frozenset({"192.0.2.9"}), online=None) for name in names)
    )


def wrong_views(step: Step) -> list[StepView]:
    """What clients do that are wrong in one way each."""
    return [
        view(),  # stops, and lists nobody
        view(sessions=(OLD, NEW)),  # gives its session up
        view(seen("map", "nodekey:bb"), sessions=(OLD, NEW)),  # forgets its key
        view(seen("map", f"{KEY} host:a", -1.0), seen("lite", f"{KEY} host:")),  # forgets its name
        view(seen("register", f"{KEY} auth"), sessions=(OLD, NEW)),  # replays its auth key
        view(*[seen(kind) for kind in ("map", "register") for _ in range(201)]),  # hammers
        everybody(step),
    ]


@pytest.mark.parametrize("row", STEP_ROWS.values(), ids=list(STEP_ROWS))
def test_each_expectation_of_a_step_can_be_missed(row: CheckScenario) -> None:
    for step in row.steps:
        assert step.expects, step.does
        for expectation in step.expects:
            found = {judge(expectation, one).standing for one in wrong_views(step)}
            assert found - {StepStanding.MET, StepStanding.UNKNOWN}, (step.does, expectation)


@pytest.mark.parametrize("row", STEP_ROWS.values(), ids=list(STEP_ROWS))
def test_a_client_that_comes_back_with_its_key_misses_nothing_but_what_it_believes(
    row: CheckScenario,
) -> None:
    for step in row.steps:
        back = any(isinstance(one, BackInSession) for one in step.expects)
        sound = view(seen("map"), sessions=(OLD, NEW) if back else (OLD,))
        for expectation in step.expects:
            if not isinstance(expectation, Believes | BelievesServer):
                assert judge(expectation, sound).standing is StepStanding.MET, (step.does, expectation)


STOPS = Facts(joined_after=0.5, watched=900.0, fed_until=1.0)
HAMMERS = Facts(
    joined_after=0.5,
    watched=900.0,
    fed_until=1.0,
    session_after=0.1,
    session_on_old=True,
    asked_on_old=(0.1,),
    attempts=(0.1, 0.2),
    attempt_count=9000,
    requests_on_new=9000,
    back_after=1.0,
    foreign_calls=1,
)


@pytest.mark.parametrize("row", OTHER_ROWS.values(), ids=list(OTHER_ROWS))
def test_who_stops_or_hammers_does_not_pass(row: CheckScenario) -> None:
    stopped = Facts(watched=30.0) if row.shape is Shape.JOIN else STOPS
    assert assess(row, LIMITS, stopped).verdict is not CheckVerdict.PASS
    if row.shape in (Shape.REFUSED, Shape.KEY):
        assert assess(row, LIMITS, HAMMERS).verdict is not CheckVerdict.PASS
