"""What a scenario is, and the limits that its bounds follow. Durations in seconds."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from netmap_supervisor.devtools.client_check.outcome import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netmap_supervisor.devtools.client_check.scenarios.steps import Step

__all__ = ["CheckScenario", "Limits", "Shape"]

_KEEP_ALIVES_PER_LIMIT = 2.4
"""As between 120 s and the 50 s of headscale."""
_SLACK = 5.0


class Limits(msgspec.Struct, frozen=True):
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
    belief: float = 20.0
    """Until a client believes what it was told, and its list of peers has been read."""

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
    def prompt_latest(self) -> float:
        """A client that leaves an explicit end to its watchdog is back by then."""
        return max(self.prompt, self.latest)

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
    def too_many(self) -> int:
        """So many attempts meanwhile are no mere impatience."""
        return 10 * self.attempts

    @property
    def settle(self) -> float:
        """A client that has asked for nothing new for so long has joined for good."""
        return min(5.0, max(0.5, self.silence / 10))

    @property
    def look(self) -> float:
        """How long a client is watched for what it should not do."""
        return max(15.0, 0.6 * self.silence)

    def seconds(self, bound: float | str) -> float:
        """A bound that is given as seconds or by the name it has here."""
        found: float = getattr(self, bound) if isinstance(bound, str) else bound
        return found


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
    STEPS = "steps"
    """What is expected stands in each step."""


class CheckScenario(msgspec.Struct, frozen=True):
    """One scenario: a row of the table."""

    name: str
    """`group/what`; the server's fault, if it is one, has the same name."""
    does: str
    """What the server does, as in "the server sends nothing more"."""
    shape: Shape
    wanted: str
    """What a client does, as in "a client …"; `{earliest}` and other names of Limits stand for seconds."""
    why: str
    """One sentence or two: what goes wrong otherwise."""
    sources: tuple[str, ...]
    """Where it is from: a type of tailcfg with its capability version, a section of an RFC, an issue of the field."""
    level: Level = Level.MUST
    """SHOULD: not to do it is no failure. Within a MUST, some bounds are a SHOULD; `wanted` says which."""
    fault: str = ""
    given: Mapping[str, float | int | str] = {}
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
    steps: tuple[Step, ...] = ()
    """Of Shape.STEPS, one after the other; the first that is not as expected ends the scenario."""
    nodes: int | None = None
    """Simulated nodes; None: as many as `--nodes` says."""
    zstd: bool = False
    """It is nothing for a client that does not ask for zstd."""
    one_shot_key: bool = False
    """The auth key the client is given can be used once."""

    @property
    def group(self) -> str:
        """What stands before the slash."""
        return self.name.partition("/")[0]

    @property
    def needs_peers(self) -> bool:
        """It cannot be judged without `--peers-command`."""
        return any(step.needs_peers for step in self.steps)

    def expected(self, limits: Limits) -> str:
        """In words, with the bounds in it."""
        names = (
            "earliest latest truth_latest healthy prompt prompt_latest at_once refusal look join back belief"
        )
        bounds = {name: f"{getattr(limits, name):.4g} s" for name in names.split()}
        return self.wanted.format(**bounds, attempts=limits.attempts, too_many=limits.too_many)

    def bounds(self, limits: Limits) -> dict[str, float]:
        """`earliest` and `latest`, where there are such: seconds after the fault between which the client acts."""
        match self.shape:
            case Shape.WATCHDOG:
                earliest = {} if self.impatient else {"earliest": limits.earliest}
                return earliest | {"latest": limits.latest}
            case Shape.NONSENSE | Shape.PROMPT | Shape.TRUTH:
                return {"latest": self.longest(limits)}
            case _:
                return {}

    def joining(self, limits: Limits) -> float:
        """How long it may take until the client has joined."""
        return limits.join if self.shape is Shape.JOIN else limits.settle

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
                return limits.prompt_latest
            case Shape.TRUTH:
                return limits.truth_latest
            case Shape.REFUSED | Shape.KEY:
                return limits.refusal + limits.back
            case Shape.STEPS:
                return sum(max(limits.seconds(step.within), step.watch) for step in self.steps)

    def watched(self, limits: Limits) -> float:
        """How long the connection has to be kept."""
        return limits.healthy if self.name == "liveness/healthy" else limits.look
