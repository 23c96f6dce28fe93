"""The faults this server commits on request: their names, when each strikes, whom, and how often.

Not here: how bytes are spoilt (`bad_bytes`) and whose turn it is to send them (`connection`, `map_stream`).
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any

from netmap_actors.dev_control.faults.parameters import BadParameter, Number, Text
from netmap_actors.errors import NetmapError
from netmap_actors.finite import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAULTS", "BadFault", "Fault", "FaultPlan", "Moment", "Scope", "make_fault"]


class BadFault(NetmapError):
    """There is no such fault, or it does not take such a parameter."""


class Moment(enum.Enum):
    """When in the life of a connection a fault strikes."""

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
    """Whom a fault strikes."""

    CURRENT = "current"
    """Connections that are open now: new ones are well, as behind a firewall that forgot its flows."""
    LATER = "later"
    """Only connections, or requests, that reach the fault's moment from now on."""
    ALL = "all"
    """Both."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One named fault."""

    about: str
    moment: Moment
    """Where it strikes unless told otherwise."""
    scope: Scope
    moments: frozenset[Moment]
    """Where it may strike."""
    parameters: Mapping[str, Number | Text]


_ANYWHERE = frozenset(Moment)
_ON_MAP = frozenset({Moment.MAP, Moment.FIRST, Moment.LIVE})
_IN_NOISE = frozenset({Moment.NOISE, Moment.REGISTER, *_ON_MAP})
_IN_BODY = frozenset({Moment.FIRST, Moment.LIVE})
_LIVE, _NOW = Moment.LIVE, Scope.CURRENT
_MAX_SECONDS = 1e10
"""Three centuries, which every date can still bear."""
_YEAR = 365 * 86400.0
_PERIOD = Number(1.0, 0.01, _MAX_SECONDS)
_U32 = 0xFFFFFFFF
_MAX_BOMB = 1 << 36
"""Bytes it holds: two MiB of them are sent."""
_FOREIGN = "http://192.0.2.1/machine/ping-response?id=foreign"
"""An address for documentation (RFC 5737): a client that does call disturbs nobody."""


def _only(moment: Moment) -> frozenset[Moment]:
    return frozenset({moment})


FAULTS: dict[str, Kind] = {
    # The connection stays and tells nothing.
    "silent": Kind("TCP stays open and acknowledges; nothing is sent", _LIVE, _NOW, _ANYWHERE, {}),
    "black_hole": Kind(
        "packets get lost in both directions, unacknowledged; TCP stays open", _LIVE, _NOW, _ANYWHERE, {}
    ),
    "ping_only": Kind("nothing but HTTP/2 PINGs", _LIVE, _NOW, _IN_NOISE, {"period": _PERIOD}),
    "settings_only": Kind("nothing but HTTP/2 SETTINGS", _LIVE, _NOW, _IN_NOISE, {"period": _PERIOD}),
    "window_updates_only": Kind("nothing but WINDOW_UPDATEs", _LIVE, _NOW, _IN_NOISE, {"period": _PERIOD}),
    "empty_records": Kind(
        "nothing but Noise records without content", _LIVE, _NOW, _IN_NOISE, {"period": _PERIOD}
    ),
    "half_frame": Kind("half of a map frame, then nothing", _LIVE, _NOW, _IN_BODY, {}),
    "drip": Kind(
        "one byte of a map frame at a time",
        _LIVE,
        _NOW,
        _IN_BODY,
        {"period": dataclasses.replace(_PERIOD, default=3.0)},
    ),
    "headers_never": Kind(
        "a map request is taken and never answered", Moment.MAP, Scope.LATER, _only(Moment.MAP), {}
    ),
    "register_never": Kind(
        "a register request is taken and never answered",
        Moment.REGISTER,
        Scope.LATER,
        _only(Moment.REGISTER),
        {},
    ),
    "flood": Kind(
        "HTTP/2 control frames without end: ping, settings, window_update or empty_data",
        _LIVE,
        _NOW,
        _IN_NOISE,
        {
            "frame": Text("ping", words=frozenset({"ping", "settings", "window_update", "empty_data"})),
            "count": Number(100_000, 1, 100_000_000, whole=True),
        },
    ),
    # The connection ends.
    "cut": Kind("TCP reset", _LIVE, _NOW, _ANYWHERE, {}),
    "eof": Kind("TCP is closed in good order", _LIVE, _NOW, _ANYWHERE, {}),
    "cut_mid_record": Kind("TCP is closed inside a Noise record", _LIVE, _NOW, _IN_NOISE, {}),
    "map_then_close": Kind(
        "the whole first map, then TCP is closed", _LIVE, Scope.ALL, _only(Moment.LIVE), {}
    ),
    "goaway": Kind(
        "HTTP/2 GOAWAY, TCP stays open",
        _LIVE,
        _NOW,
        _IN_NOISE,
        {"code": Number(0, 0, _U32, whole=True), "debug": Text()},
    ),
    "rst_stream": Kind(
        "the map stream is reset", _LIVE, _NOW, _ON_MAP, {"code": Number(2, 0, _U32, whole=True)}
    ),
    "end_stream": Kind("the map stream ends in good order", _LIVE, _NOW, _IN_BODY, {}),
    # What is sent is wrong.
    "oversized": Kind(
        "a map frame announces 4 GiB", _LIVE, _NOW, _IN_BODY, {"length": Number(_U32, 0, _U32, whole=True)}
    ),
    "zero_frame": Kind("a map frame of length zero", _LIVE, _NOW, _IN_BODY, {}),
    "bomb": Kind(
        "a small zstd frame that holds a gigabyte",
        _LIVE,
        _NOW,
        _IN_BODY,
        {"size": Number(1 << 30, 1, _MAX_BOMB, whole=True), "declared": Number(0, 0, 1, whole=True)},
    ),
    "two_frames": Kind("two zstd frames in one map frame", _LIVE, _NOW, _IN_BODY, {}),
    "bad_json": Kind(
        "a map frame whose JSON is broken",
        _LIVE,
        _NOW,
        _IN_BODY,
        {"json": Text('{"KeepAlive":tru', 1 << 20, shortest=1)},
    ),
    "corrupt_record": Kind("a bit of a Noise record is flipped", _LIVE, _NOW, _IN_NOISE, {}),
    "oversized_record": Kind("a Noise record of 4097 bytes", _LIVE, _NOW, _IN_NOISE, {}),
    "first_map_without_node": Kind(
        "the first map lacks Node", Moment.FIRST, Scope.LATER, _only(Moment.FIRST), {}
    ),
    "deltas_only": Kind(
        "deltas in place of keep-alives, and no first map", Moment.FIRST, Scope.ALL, _only(Moment.FIRST), {}
    ),
    "keepalives_only": Kind("keep-alives and never a map", Moment.FIRST, Scope.ALL, _IN_BODY, {}),
    "no_keepalives": Kind("deltas, but no keep-alives", _LIVE, Scope.ALL, _IN_BODY, {}),
    "clock_wrong": Kind(
        "ControlTime is off by so many seconds",
        Moment.FIRST,
        Scope.ALL,
        _IN_BODY,
        {"seconds": Number(_YEAR, -_MAX_SECONDS, _MAX_SECONDS)},
    ),
    "foreign_ping": Kind(
        "a PingRequest whose URL belongs to somebody else",
        _LIVE,
        _NOW,
        _only(Moment.LIVE),
        {"url": Text(_FOREIGN)},
    ),
    # What is answered is wrong.
    "register_null": Kind(
        "a register request is answered with null", Moment.REGISTER, Scope.LATER, _only(Moment.REGISTER), {}
    ),
    "register_error": Kind(
        "a register request is answered with Error",
        Moment.REGISTER,
        Scope.LATER,
        _only(Moment.REGISTER),
        {"text": Text("authkey expired")},
    ),
    "http_status": Kind(
        "another status than 200 on map, register, upgrade or key",
        Moment.MAP,
        Scope.LATER,
        frozenset({Moment.MAP, Moment.REGISTER, Moment.UPGRADE, Moment.KEY}),
        {
            "status": Number(500, 200, 599, whole=True),
            "retry_after": Text("", 100, printable=True),
            "body": Text("", 1 << 20),
        },
    ),
    "key_changed": Kind(
        "another Noise key, on /key too", Moment.UPGRADE, Scope.LATER, _only(Moment.UPGRADE), {}
    ),
    "deleted_but_fed": Kind("the node is deleted and its stream fed on", _LIVE, _NOW, _only(Moment.LIVE), {}),
}
"""Every fault by name."""

_TARGETING = ("client", "scope", "moment", "times")
_UNSAID = (None, "")


@dataclasses.dataclass(slots=True)
class Fault:
    """One fault to be committed. `name` is one of FAULTS."""

    name: str
    moment: Moment
    scope: Scope
    client: str
    """Name, key or id of a node, `connection:N`, or empty for everybody."""
    times: int | None
    """How often it may still strike; None: without limit."""
    parameters: dict[str, Any]

    @property
    def in_body(self) -> bool:
        """It needs a map stream whose HEADERS are sent."""
        return FAULTS[self.name].moments <= _IN_BODY and self.name != "map_then_close"

    def number(self, name: str) -> float:
        return float(self.parameters[name])

    def integer(self, name: str) -> int:
        return int(self.parameters[name])

    def text(self, name: str) -> str:
        return str(self.parameters[name])


def make_fault(name: str, **given: Any) -> Fault:
    """A fault by name. `client`, `scope`, `moment` and `times` say when it strikes; the rest are its parameters.

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
    """The faults that wait for somebody to come by."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    @property
    def waiting(self) -> tuple[Fault, ...]:
        return tuple(self._waiting)

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def heal(self, names: frozenset[str] | None = None, fault_name: str = "") -> int:
        """Nothing happens to anybody who comes from now on; with names: nothing that is meant for one of these.

        With `fault_name` other faults are kept. How many faults were given up.
        """
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
