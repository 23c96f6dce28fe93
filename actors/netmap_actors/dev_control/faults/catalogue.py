"""The faults of this server: their names, when each is injected, into which connections, and how often.

Not here: the bytes (`bad_bytes`) and how they are sent (`http.injector`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.dev_control.faults.parameters import BadParameter, NumberParameter, TextParameter
from netmap_actors.errors import NetmapError
from netmap_actors.finite import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAULTS", "BadFault", "Fault", "FaultPlan", "Moment", "Scope", "make_fault"]


class BadFault(NetmapError):
    """There is no such fault, or it does not take such a parameter."""


class Moment(enum.Enum):
    """When in the life of a connection a fault is injected."""

    ACCEPT = "accept"
    """The TCP connection is there."""
    KEY = "key"
    """`GET /key` has been read, nothing is answered."""
    UPGRADE = "upgrade"
    """`POST /ts2021` has been read, nothing of the 101 is sent."""
    NOISE = "noise"
    """The handshake is done, no byte of HTTP/2 is sent."""
    REGISTER = "register"
    """A register request has been read."""
    MAP = "map"
    """A streaming map request has been read, no HEADERS are sent."""
    FIRST = "first"
    """HEADERS of the map stream are sent, the first map is not."""
    LIVE = "live"
    """The first map is sent."""


class Scope(enum.Enum):
    """Which connections are the targets of a fault."""

    CURRENT = "current"
    """Connections that are open now: new ones are not, as behind a firewall that lost its state."""
    LATER = "later"
    """Only connections, or requests, that reach the fault's moment from now on."""
    ALL = "all"
    """Both."""


class FaultKind(msgspec.Struct, frozen=True):
    """One named fault."""

    about: str
    moment: Moment
    """When it is injected by default."""
    scope: Scope
    moments: frozenset[Moment]
    """When it may be injected."""
    parameters: Mapping[str, NumberParameter | TextParameter]


_ANYWHERE = frozenset(Moment)
_ON_MAP = frozenset({Moment.MAP, Moment.FIRST, Moment.LIVE})
_IN_NOISE = frozenset({Moment.NOISE, Moment.REGISTER, *_ON_MAP})
_IN_BODY = frozenset({Moment.FIRST, Moment.LIVE})
_MAX_SECONDS = 1e10
"""Three centuries, within the range of dates."""
_YEAR = 365 * 86400.0
_PERIOD = NumberParameter(1.0, 0.01, _MAX_SECONDS)
_U32 = 0xFFFFFFFF
_MAX_BOMB = 1 << 36
"""Bytes it holds: two MiB of them are sent."""
_FOREIGN = "http://192.0.2.1/machine/ping-response?id=foreign"
"""An address for documentation (RFC 5737): nothing answers there."""


def _live(about: str, moments: frozenset[Moment], **parameters: NumberParameter | TextParameter) -> FaultKind:
    return FaultKind(about, Moment.LIVE, Scope.CURRENT, moments, parameters)


def _at(
    moment: Moment, about: str, scope: Scope = Scope.LATER, **parameters: NumberParameter | TextParameter
) -> FaultKind:
    return FaultKind(about, moment, scope, frozenset({moment}), parameters)


def _whole(default: int, least: int, most: int) -> NumberParameter:
    return NumberParameter(default, least, most, whole=True)


FAULTS: dict[str, FaultKind] = {
    # The connection stays open and carries nothing.
    "liveness/silence": _live("TCP stays open and acknowledges; nothing is sent", _ANYWHERE),
    "liveness/black-hole": _live(
        "packets get lost in both directions, unacknowledged; TCP stays open", _ANYWHERE
    ),
    "liveness/pings-only": _live("nothing but HTTP/2 PINGs", _IN_NOISE, period=_PERIOD),
    "liveness/settings-only": _live("nothing but HTTP/2 SETTINGS", _IN_NOISE, period=_PERIOD),
    "liveness/window-updates-only": _live("nothing but WINDOW_UPDATEs", _IN_NOISE, period=_PERIOD),
    "liveness/empty-records": _live("nothing but Noise records without content", _IN_NOISE, period=_PERIOD),
    "liveness/half-frame": _live("half of a map frame, then nothing", _IN_BODY),
    "liveness/slow-drip": _live(
        "one byte of a map frame at a time", _IN_BODY, period=msgspec.structs.replace(_PERIOD, default=3.0)
    ),
    "liveness/headers-never": _at(Moment.MAP, "a map request is taken and never answered"),
    "register/never": _at(Moment.REGISTER, "a register request is taken and never answered"),
    "input/flood": _live(
        "HTTP/2 control frames without end: ping, settings, window_update or empty_data",
        _IN_NOISE,
        frame=TextParameter("ping", words=frozenset({"ping", "settings", "window_update", "empty_data"})),
        count=_whole(100_000, 1, 100_000_000),
    ),
    # The connection ends.
    "session/cut": _live("TCP reset", _ANYWHERE),
    "session/eof": _live("TCP is closed in good order", _ANYWHERE),
    "session/cut-mid-record": _live("TCP is closed inside a Noise record", _IN_NOISE),
    "session/map-then-close": _at(Moment.LIVE, "the whole first map, then TCP is closed", Scope.ALL),
    "session/goaway": _live(
        "HTTP/2 GOAWAY, TCP stays open", _IN_NOISE, code=_whole(0, 0, _U32), debug=TextParameter()
    ),
    "session/rst-stream": _live("the map stream is reset", _ON_MAP, code=_whole(2, 0, _U32)),
    "session/end-stream": _live("the map stream ends in good order", _IN_BODY),
    # What is sent is wrong.
    "input/oversized-frame": _live("a map frame announces 4 GiB", _IN_BODY, length=_whole(_U32, 0, _U32)),
    "input/zero-frame": _live("a map frame of length zero", _IN_BODY),
    "input/zstd-bomb": _live(
        "a small zstd frame that holds a gigabyte",
        _IN_BODY,
        size=_whole(1 << 30, 1, _MAX_BOMB),
        declared=_whole(0, 0, 1),
    ),
    "input/two-zstd-frames": _live("two zstd frames in one map frame", _IN_BODY),
    "input/bad-json": _live(
        "a map frame whose JSON is broken",
        _IN_BODY,
        json=TextParameter('{"KeepAlive":tru', 1 << 20, shortest=1),
    ),
    "input/corrupt-record": _live("a bit of a Noise record is flipped", _IN_NOISE),
    "input/oversized-record": _live("a Noise record of 4097 bytes", _IN_NOISE),
    "map/first-without-node": _at(Moment.FIRST, "the first map lacks Node"),
    "map/deltas-only": _at(Moment.FIRST, "deltas in place of keep-alives, and no first map", Scope.ALL),
    "map/keep-alives-only": FaultKind("keep-alives and never a map", Moment.FIRST, Scope.ALL, _IN_BODY, {}),
    "liveness/no-keep-alives": FaultKind("deltas, but no keep-alives", Moment.LIVE, Scope.ALL, _IN_BODY, {}),
    "liveness/clock-wrong": FaultKind(
        "ControlTime is off by so many seconds",
        Moment.FIRST,
        Scope.ALL,
        _IN_BODY,
        {"seconds": NumberParameter(_YEAR, -_MAX_SECONDS, _MAX_SECONDS)},
    ),
    "map/foreign-ping": _at(
        Moment.LIVE,
        "a PingRequest whose URL belongs to somebody else",
        Scope.CURRENT,
        url=TextParameter(_FOREIGN),
    ),
    # What is answered is wrong.
    "register/null": _at(Moment.REGISTER, "a register request is answered with null"),
    "register/error": _at(
        Moment.REGISTER, "a register request is answered with Error", text=TextParameter("authkey expired")
    ),
    "refusal/status": FaultKind(
        "another status than 200 on map, register, upgrade or key",
        Moment.MAP,
        Scope.LATER,
        frozenset({Moment.MAP, Moment.REGISTER, Moment.UPGRADE, Moment.KEY}),
        {
            "status": _whole(500, 200, 599),
            "retry_after": TextParameter("", 100, printable=True),
            "body": TextParameter("", 1 << 20),
        },
    ),
    "identity/server-key-changed": _at(Moment.UPGRADE, "another Noise key, on /key too"),
    "identity/deleted-but-fed": _at(Moment.LIVE, "the node is deleted and its stream fed on", Scope.CURRENT),
}
"""Every fault by name."""

_TARGETING = ("client", "scope", "moment", "times")
_UNSAID = (None, "")


class Fault(msgspec.Struct):
    """One fault to be injected. `name` is one of FAULTS."""

    name: str
    moment: Moment
    scope: Scope
    client: str
    """Name, key or id of a node, `connection:N`, or empty for all."""
    times: int | None
    """How often it may still be injected; None: without limit."""
    parameters: dict[str, Any]

    @property
    def in_body(self) -> bool:
        """It needs a map stream whose HEADERS are sent."""
        return FAULTS[self.name].moments <= _IN_BODY and self.name != "session/map-then-close"

    def number(self, name: str) -> float:
        return float(self.parameters[name])

    def integer(self, name: str) -> int:
        return int(self.parameters[name])

    def text(self, name: str) -> str:
        return str(self.parameters[name])


def make_fault(name: str, **given: Any) -> Fault:
    """A fault by name. `client`, `scope`, `moment` and `times` say when and where; the rest are its parameters.

    Raises BadFault, which names what there is.
    """
    kind = FAULTS.get(name)
    if kind is None:
        raise BadFault(f"cannot commit {name!r}: the faults are {', '.join(sorted(FAULTS))}")
    unknown = set(given) - set(_TARGETING) - set(kind.parameters)
    if unknown:
        allowed = ", ".join((*kind.parameters, *_TARGETING))
        raise BadFault(f"cannot commit {name} with {', '.join(sorted(unknown))}: it takes {allowed}")
    parameters = {}
    for key, parameter in kind.parameters.items():
        try:
            parameters[key] = parameter.check(given.get(key, parameter.default))
        except BadParameter as error:
            raise BadFault(f"cannot commit {name}: {key} {error}") from None
    try:
        moment = kind.moment if given.get("moment") in _UNSAID else Moment(given["moment"])
        scope = kind.scope if given.get("scope") in _UNSAID else Scope(given["scope"])
    except ValueError as error:
        raise BadFault(f"cannot commit {name}: {error}") from None
    if moment not in kind.moments:
        places = ", ".join(sorted(moment.value for moment in kind.moments))
        raise BadFault(f"cannot commit {name} at {moment.value}: it strikes at {places}")
    times = given.get("times")
    if times is not None and not (is_number(times) and isinstance(times, int) and times >= 1):
        raise BadFault(f"cannot commit {name}: times is not a positive number")
    client = given.get("client")
    return Fault(name, moment, scope, "" if client is None else str(client), times, parameters)


class FaultPlan:
    """The faults to be injected into connections that reach their moment."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    @property
    def waiting(self) -> tuple[Fault, ...]:
        return tuple(self._waiting)

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def heal(self, names: frozenset[str] | None = None, fault_name: str = "") -> int:
        """Drop the planned faults, if given only those for one of `names` and called `fault_name`; how many."""
        kept = [
            fault
            for fault in self._waiting
            if (names is not None and fault.client not in names) or fault_name not in ("", fault.name)
        ]
        given_up = len(self._waiting) - len(kept)
        self._waiting = kept
        return given_up

    def has(self, name: str) -> bool:
        """Whether such a fault waits, without using it up."""
        return any(fault.name == name for fault in self._waiting)

    def take(self, moment: Moment, names: frozenset[str]) -> list[Fault]:
        """The faults for a client (known by these names) that has reached this moment, in order."""
        taken = []
        for fault in [*self._waiting]:
            if fault.moment is moment and (not fault.client or fault.client in names):
                taken.append(fault)
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._waiting.remove(fault)
        return taken
