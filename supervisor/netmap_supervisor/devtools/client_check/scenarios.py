"""The scenarios of a check: what the server does, and what a careful client does then.

Not here: what a client did (`observations`) and whether that was right (`verdicts`). Durations in seconds.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCENARIOS", "CheckScenario", "Limits", "Shape"]

_KEEP_ALIVES_PER_LIMIT = 2.4
"""As between 120 s and the 50 s of headscale."""
_SLACK = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What the client is expected to keep to."""

    silence: float = 120.0
    """Its watchdog: after so long without a message a connection is dead."""
    truth: float = 600.0
    """How soon it finds that its node was deleted."""
    join: float = 30.0
    prompt: float = 60.0
    """Until a client is back after an explicit end of its session."""
    at_once: float = 10.0
    """Until a client has ended a session that is nonsense, if it does not leave that to its watchdog."""
    back: float = 120.0
    """Until a client that backs off tries again."""

    @property
    def keep_alive(self) -> float:
        return self.silence / _KEEP_ALIVES_PER_LIMIT

    @property
    def earliest(self) -> float:
        """A connection given up before has not been waited for."""
        return 0.9 * self.silence

    @property
    def latest(self) -> float:
        return 1.1 * self.silence + _SLACK

    @property
    def truth_latest(self) -> float:
        return 1.1 * self.truth + _SLACK

    @property
    def healthy(self) -> float:
        return 1.3 * self.silence

    @property
    def refusal(self) -> float:
        """How long everything is refused."""
        return min(self.prompt, max(15.0, self.silence))

    @property
    def attempts(self) -> int:
        """How often a client may try meanwhile: 20 times in 60 s."""
        return max(10, round(self.refusal / 3))

    @property
    def settle(self) -> float:
        """A client that has asked for nothing new for so long has joined for good."""
        return min(5.0, max(0.5, self.silence / 10))

    @property
    def look(self) -> float:
        """How long a client is watched for what it should not do."""
        return max(15.0, 0.6 * self.silence)


class Shape(enum.Enum):
    """What kind of behaviour a scenario expects."""

    JOIN = "join"
    """It has a map."""
    STEADY = "steady"
    """The connection is kept."""
    WATCHDOG = "watchdog"
    """It is replaced by a new TCP connection when the limit is over."""
    NONSENSE = "nonsense"
    """The session is ended, and there is a new one."""
    PROMPT = "prompt"
    """There is a new session soon."""
    TRUTH = "truth"
    """The server is asked anew."""
    REFUSED = "refused"
    """It tries with patience, and is back when it may."""
    KEY = "key"
    """The same, and it believes no other key."""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckScenario:
    """One scenario."""

    name: str
    does: str
    """What the server does."""
    shape: Shape
    wanted: str
    """What a careful client does; `{earliest}` and other names of Limits stand for seconds."""
    fault: str = ""
    given: Mapping[str, float | int | str] = dataclasses.field(default_factory=dict)
    counted: str = "map"
    """The kind of request that is an attempt."""
    cut: bool = False
    """The fault waits for the next request, so that the connection is cut to have it made."""
    before: bool = False
    """It is there before the client is."""
    gap: float = 0.0
    """At least so long between two attempts."""
    impatient: bool = False
    """Sooner than the limit is right, too."""

    def expected(self, limits: Limits) -> str:
        """In words, with the bounds in it."""
        names = "earliest latest truth_latest healthy prompt at_once refusal look join back"
        bounds = {name: f"{getattr(limits, name):.4g} s" for name in names.split()}
        return self.wanted.format(**bounds, attempts=limits.attempts)

    def longest(self, limits: Limits) -> float:
        """About how long it takes at most, without joining."""
        match self.shape:
            case Shape.JOIN:
                return 0.0
            case Shape.STEADY:
                return self.watched(limits)
            case Shape.WATCHDOG | Shape.NONSENSE:
                return limits.latest
            case Shape.PROMPT:
                return limits.prompt
            case Shape.TRUTH:
                return limits.truth_latest
            case Shape.REFUSED | Shape.KEY:
                return limits.refusal + limits.back

    def watched(self, limits: Limits) -> float:
        """How long the connection has to be kept."""
        return limits.healthy if self.name == "liveness/healthy" else limits.look


_NEW = "a new TCP connection with a map session, {earliest} to {latest} after the last message"
_ENDS = "ends the session within {at_once}, or with its watchdog by {latest}; a new map session"
_SOON = "a new map session within {prompt}"
_PATIENT = "at most {attempts} attempts in {refusal}; back within {back} of the end"


def _watchdog(
    name: str, does: str, fault: str = "", *, impatient: bool = False, cut: bool = False
) -> CheckScenario:
    wanted = _NEW.replace("{earliest} to", "by") if impatient else _NEW
    return CheckScenario(name, does, Shape.WATCHDOG, wanted, fault or name, impatient=impatient, cut=cut)


def _nonsense(name: str, does: str) -> CheckScenario:
    return CheckScenario(name, does, Shape.NONSENSE, _ENDS, name)


def _soon(name: str, does: str) -> CheckScenario:
    return CheckScenario(name, does, Shape.PROMPT, _SOON, name)


def _status(status: int, *, retry_after: str = "", gap: float = 0.0) -> CheckScenario:
    does = f"answers each map request with {status}"
    wanted = _PATIENT
    if retry_after:
        does += f" and Retry-After: {retry_after}"
        wanted = f"waits {gap:g} s between attempts; back within {{back}} of the end"
    return CheckScenario(
        f"refusal/status-{status}",
        does,
        Shape.REFUSED,
        wanted,
        "refusal/status",
        {"status": status, "retry_after": retry_after},
        cut=True,
        gap=gap,
    )


_ALL = (
    CheckScenario("join/first-map", "what it should", Shape.JOIN, "registers and has a map within {join}"),
    CheckScenario(
        "liveness/healthy", "sends keep-alives only", Shape.STEADY, "keeps the connection for {healthy}"
    ),
    _watchdog("liveness/silence", "sends nothing more; TCP stays open and acknowledges"),
    _watchdog("liveness/black-hole", "is gone without a word: packets get lost both ways", impatient=True),
    _watchdog("liveness/pings-only", "sends HTTP/2 PINGs and nothing else"),
    _watchdog("liveness/empty-records", "sends Noise records without content and nothing else"),
    _watchdog("liveness/headers-never", "takes a map request and never answers it", cut=True),
    _watchdog("liveness/slow-drip", "sends a map frame byte by byte"),
    _watchdog("liveness/half-frame", "sends half of a map frame, then nothing"),
    _nonsense("input/oversized-frame", "announces a map frame of 4 GiB"),
    _nonsense("input/zero-frame", "sends a map frame of length zero"),
    _nonsense("input/zstd-bomb", "sends a small zstd frame that holds a gigabyte"),
    _nonsense("input/bad-json", "sends a map frame whose JSON is broken"),
    _nonsense("input/corrupt-record", "sends a Noise record that cannot be authenticated"),
    _soon("session/goaway", "sends GOAWAY and leaves TCP open"),
    _soon("session/rst-stream", "resets the map stream"),
    _soon("session/cut", "resets TCP"),
    _soon("session/cut-mid-record", "closes TCP inside a Noise record"),
    _soon("session/end-stream", "ends the map stream in good order"),
    CheckScenario(
        "session/map-then-close",
        "sends the whole first map and closes TCP, each time",
        Shape.REFUSED,
        _PATIENT,
        "session/map-then-close",
    ),
    CheckScenario(
        "identity/deleted-but-fed",
        "deletes the node and feeds its stream on",
        Shape.TRUTH,
        "asks anew, by registering or for a map, within {truth_latest}",
        "identity/deleted-but-fed",
    ),
    _status(401),
    _status(404),
    _status(429, retry_after="7", gap=7.0),
    _status(500),
    CheckScenario(
        "register/null",
        "answers each register request with null",
        Shape.REFUSED,
        _PATIENT,
        "register/null",
        counted="register",
        before=True,
    ),
    CheckScenario(
        "identity/server-key-changed",
        "has another Noise key, as an impostor has",
        Shape.KEY,
        "sends no request to it; back within {back} of the end",
        "identity/server-key-changed",
        counted="accept",
        cut=True,
    ),
    CheckScenario(
        "liveness/clock-wrong",
        "has a clock that is a year ahead",
        Shape.STEADY,
        "keeps the connection for {look}",
        "liveness/clock-wrong",
    ),
    CheckScenario(
        "map/foreign-ping",
        "asks for a call to an address of somebody else",
        Shape.STEADY,
        "never calls there; keeps the connection for {look}",
        "map/foreign-ping",
    ),
)

SCENARIOS: dict[str, CheckScenario] = {scenario.name: scenario for scenario in _ALL}
"""Every scenario by name, in the order they are shown."""
