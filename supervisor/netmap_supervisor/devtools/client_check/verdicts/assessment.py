"""The verdict on one attempt: facts against what a client MUST or SHOULD do, in one exact sentence."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from netmap_supervisor.devtools.client_check.outcome import CheckVerdict, Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import Shape

if TYPE_CHECKING:
    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Limits
    from netmap_supervisor.devtools.client_check.verdicts.observations import Facts

__all__ = ["Assessment", "assess"]

_ROUNDING = 0.5
"""Seconds: a wait of 7 s that took 6.6 s was meant to be one."""


class Assessment(msgspec.Struct, frozen=True):
    """A verdict and the sentence for it."""

    verdict: CheckVerdict
    seen: str


class _Finding(msgspec.Struct, frozen=True):
    """What was seen, and which bound it broke; None: none."""

    seen: str
    broken: Level | None = None


def assess(scenario: CheckScenario, limits: Limits, facts: Facts, ended: str = "") -> Assessment:
    """The verdict. `ended`: how the client ended by itself, with the end of its log; empty if it did not."""
    if scenario.before and not facts.attempt_count:
        kind = {"register": "to be registered", "accept": "for a connection"}.get(
            scenario.counted, "for a map"
        )
        return Assessment(CheckVerdict.ERROR, ended or f"did not ask {kind} within {facts.watched:.1f} s")
    if facts.joined_after is None and not scenario.before:
        failed = CheckVerdict.FAIL if scenario.shape is Shape.JOIN else CheckVerdict.ERROR
        return Assessment(failed, ended or f"did not join within {facts.watched:.1f} s")
    if any(step.unknown for step in facts.steps):
        return Assessment(CheckVerdict.SKIP, facts.steps[-1].said)
    if ended:
        return Assessment(CheckVerdict.FAIL, ended)
    found = _SHAPES[scenario.shape](scenario, limits, facts)
    if found.broken is None:
        return Assessment(CheckVerdict.PASS, found.seen)
    # What is only recommended as a whole is no failure in part.
    binding = found.broken is Level.MUST and scenario.level is Level.MUST
    return Assessment(CheckVerdict.FAIL if binding else CheckVerdict.WARN, found.seen)


def _must(seen: str) -> _Finding:
    return _Finding(seen, Level.MUST)


def _should(seen: str) -> _Finding:
    return _Finding(seen, Level.SHOULD)


def _join(_scenario: CheckScenario, _limits: Limits, facts: Facts) -> _Finding:
    return _Finding(f"map session after {facts.joined_after:.1f} s")


def _steady(_scenario: CheckScenario, _limits: Limits, facts: Facts) -> _Finding:
    if facts.foreign_calls:
        return _must(f"called the other address, {_times(facts.foreign_calls)}")
    if facts.asked_on_old:
        return _must(f"began another map session on the same connection after {facts.asked_on_old[0]:.1f} s")
    if facts.session_after is not None:
        return _must(f"{_session(facts)}, although nothing was wrong")
    if facts.closed_after is not None:
        return _must(f"connection closed by the {facts.closed_by} after {facts.closed_after:.1f} s")
    if facts.reset_after is not None:
        return _must(f"map session given up after {facts.reset_after:.1f} s")
    if facts.fed_until is None or facts.fed_until < facts.watched:
        return _must(
            f"map session gone after {facts.fed_until or 0.0:.1f} s, and no other in {facts.watched:.1f} s"
        )
    return _Finding(f"same connection and map session for {facts.watched:.1f} s")


def _watchdog(scenario: CheckScenario, limits: Limits, facts: Facts) -> _Finding:
    after, latest = facts.session_after, limits.latest + facts.grace
    if after is None:
        return _must(_not_replaced(facts, heard=not scenario.impatient))
    if facts.session_on_old:
        # The map is fed again. Whether the connection was well, the client could not know.
        return _should(_not_replaced(facts)) if after <= latest else _must(_not_replaced(facts))
    if after > latest:
        return _must(f"{_session(facts)}, {after - latest:.1f} s too late")
    if after < limits.earliest and not scenario.impatient:
        if facts.pinged_after is not None and facts.pinged_after < after:
            return _Finding(
                f"{_session(facts)}; its HTTP/2 PING after {facts.pinged_after:.1f} s was not answered"
            )
        return _should(f"{_session(facts)}, {limits.earliest - after:.1f} s too soon")
    return _Finding(_session(facts))


def _not_replaced(facts: Facts, *, heard: bool = True) -> str:
    """Why there is no session on a new connection. `heard`: what is asked on the old one can be seen."""
    if facts.session_on_old:
        return f"asked again on the same connection after {facts.session_after:.1f} s, and was answered"
    if facts.asked_on_old:
        place = "the same dead connection"
        return (
            f"asked again on {place} after {facts.asked_on_old[0]:.1f} s, no new one in {facts.watched:.1f} s"
        )
    if facts.new_connections:
        return f"new TCP connection after {facts.new_connections[0]:.1f} s, but no map session in {facts.watched:.1f} s"
    if facts.reset_after is not None:
        return (
            f"gave the request up after {facts.reset_after:.1f} s, no new connection in {facts.watched:.1f} s"
        )
    if not heard:
        return f"no new connection in {facts.watched:.1f} s; what is asked on the dead one gets lost"
    return f"asked nothing and made no new connection in {facts.watched:.1f} s"


def _nonsense(_scenario: CheckScenario, limits: Limits, facts: Facts) -> _Finding:
    if facts.session_after is None:
        return _must(_not_replaced(facts))
    late = facts.session_after - limits.latest - facts.grace
    if late > 0.0:
        return _must(f"{_session(facts)}, {late:.1f} s too late")
    ends = [at for at in (facts.reset_after, facts.closed_after, facts.connected_after) if at is not None]
    ended = min([*ends, facts.session_after])
    if ended <= limits.at_once:
        how = "at once"
    else:
        how = f"after {ended:.1f} s" if ended < limits.earliest else "by its watchdog"
    return _Finding(f"ended the session {how}; {_session(facts)}")


def _prompt(_scenario: CheckScenario, limits: Limits, facts: Facts) -> _Finding:
    after = facts.session_after
    if after is None or after > limits.prompt_latest + facts.grace:
        return _must(_not_replaced(facts) if after is None else _session(facts))
    return _Finding(_session(facts)) if after <= limits.prompt else _should(_session(facts))


def _truth(_scenario: CheckScenario, limits: Limits, facts: Facts) -> _Finding:
    if facts.asked_after is None:
        return _must(f"asked nothing in {facts.watched:.1f} s")
    words = {"register": "registered anew", "map": "asked for a map", "read": "asked for its map"}
    seen = f"{words[facts.asked_by]} after {facts.asked_after:.1f} s"
    return _Finding(seen) if facts.asked_after <= limits.truth_latest + facts.grace else _must(seen)


def _refused(scenario: CheckScenario, limits: Limits, facts: Facts) -> _Finding:
    kind = {"register": "register request", "accept": "connection"}.get(scenario.counted, "map request")
    count = f"{facts.attempt_count} {kind}{'' if facts.attempt_count == 1 else 's'}"
    if not _is_back(limits, facts):
        what = f"{count} while it was refused" if facts.attempt_count else "did not ask while it was refused"
        return _must(f"{what}; {_back(facts)}")
    if not facts.attempt_count:
        return _should(f"did not ask while it was refused; {_back(facts)}")
    if facts.attempt_count > limits.attempts:
        seen = f"{count} while it was refused, {limits.attempts} are enough; {_back(facts)}"
        return _must(seen) if facts.attempt_count > limits.too_many else _should(seen)
    gaps = [later - earlier for earlier, later in itertools.pairwise(facts.attempts)]
    if scenario.gap and gaps:
        count += f", at least {min(gaps):.1f} s apart"
    if scenario.gap and gaps and min(gaps) < scenario.gap - _ROUNDING:
        return _should(f"{count}; {_back(facts)}")
    return _Finding(f"{count} while it was refused; {_back(facts)}")


def _key(_scenario: CheckScenario, limits: Limits, facts: Facts) -> _Finding:
    # Each attempt may take a connection for the key and one for the rest.
    most, too_many = 2 * limits.attempts, 2 * limits.too_many
    if facts.attempt_count > too_many:
        return _must(f"{facts.attempt_count} connections meanwhile, {most} are enough; {_back(facts)}")
    if not _is_back(limits, facts):
        tried = f"{facts.attempt_count} connections" if facts.attempt_count else "did not try to connect"
        return _must(f"{tried}; {_back(facts)}")
    # A handshake alone is no trust: it proves whose key it is.
    if facts.requests_on_new:
        trusted = f"asked for the key anew and trusted it, {_times(facts.requests_on_new)}"
        if facts.secure:
            return _Finding(f"{trusted}, over TLS; {_back(facts)}")
        return _should(f"{trusted}, over plain http, where nothing vouches for it; {_back(facts)}")
    if not facts.attempt_count:
        return _should(f"did not try to connect; {_back(facts)}")
    if facts.attempt_count > most:
        return _should(f"{facts.attempt_count} connections meanwhile, {most} are enough; {_back(facts)}")
    return _Finding(f"no request on {facts.attempt_count} connections; {_back(facts)}")


def _steps(_scenario: CheckScenario, _limits: Limits, facts: Facts) -> _Finding:
    wrong = [(number, step) for number, step in enumerate(facts.steps, 1) if step.said]
    if not wrong:
        times = ", ".join(f"{step.does}: {step.after:.1f} s" for step in facts.steps)
        return _Finding(f"as expected after each step ({times})")
    # The first of the gravest.
    number, step = min(wrong, key=lambda one: (one[1].level is not Level.MUST, one[0]))
    seen = f"{step.after:.1f} s after step {number} (the server {step.does}): {step.said}"
    return _Finding(seen, step.level)


def _is_back(limits: Limits, facts: Facts) -> bool:
    return facts.back_after is not None and facts.back_after <= limits.back


def _back(facts: Facts) -> str:
    if facts.back_after is None:
        return "not back"
    return f"back after {facts.back_after:.1f} s"


def _session(facts: Facts) -> str:
    """Where the new map session is, and since when."""
    assert facts.session_after is not None, "there is one"
    if facts.session_on_old:
        return f"new map session on the same connection after {facts.session_after:.1f} s"
    if facts.connected_after is None:
        return f"map session on another connection after {facts.session_after:.1f} s"
    return f"new TCP connection after {facts.connected_after:.1f} s, map session after {facts.session_after:.1f} s"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


_SHAPES = {
    Shape.JOIN: _join,
    Shape.STEADY: _steady,
    Shape.WATCHDOG: _watchdog,
    Shape.NONSENSE: _nonsense,
    Shape.PROMPT: _prompt,
    Shape.TRUTH: _truth,
    Shape.REFUSED: _refused,
    Shape.KEY: _key,
    Shape.STEPS: _steps,
}
