"""The pages that show the netmap of this moment, or tell of the endpoint. Pure: the snapshot is an argument.

Not here: /metrics, which waits for the Supervisor, and /events, which does not end (`actor`).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from netmap_actors import shown_json
from netmap_actors.errors import escape
from netmap_actors.exports import prometheus_sd
from netmap_actors.exports.nodes import NodeChoice, shown_tags
from netmap_actors.http_endpoint.json_parts import array_parts, json_parts
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netmap_actors.http_endpoint.peer_metrics import Chosen
    from netmap_actors.subscriber import Snapshot

__all__ = [
    "JSON",
    "PATHS",
    "TEXT",
    "BadQuery",
    "Page",
    "Query",
    "chosen_peers",
    "healthz",
    "livez",
    "netmap",
    "other",
    "readyz",
    "sd",
]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
MAX_QUERY = 4096
PATHS = {
    "/": "a page that shows all of this in a browser",
    "/netmap": "the netmap as `netmap-supervisor netmap --json` prints it; ?peer=NAME for one peer",
    "/events": "every change as server-sent events, a snapshot first; ?kind= and ?peer= choose, may be repeated",
    "/history": "what happened, as `netmap-supervisor history --json`; ?since=24h, ?until=, ?peer= and ?kind= choose; "
    "?lanes=false leaves out the lanes",
    "/status": "the daemon's status as `netmap-supervisor status --json` prints it",
    "/sd": "targets for Prometheus's http_sd_configs; ?port=9100, ?tag=web (may be repeated), ?online=true, "
    "?include_self=true",
    "/metrics": "the daemon's metrics for Prometheus; ?peers=true for some series a peer, with ?tag=web (may be "
    "repeated) for a peer that has it",
    "/healthz": "200 when the netmap is fresh, 503 when it is not; says in JSON how old it is",
    "/livez": "200 while the endpoint answers at all, whatever the netmap is; ?verbose",
    "/readyz": "200 when a netmap has come and is fresh, 503 when not; ?verbose lists the checks, ?exclude=fresh "
    "leaves one out",
    "/login": "POST: a form whose field `token` is a token begins a session of a browser, as the page does",
    "/logout": "POST: ends it",
    "/openapi.json": "all of this for programs: OpenAPI 3.1",
}
READY_CHECKS = ("ping", "netmap", "fresh")
_BARE = {"verbose"}
"""Parameters that need no value."""


class BadQuery(ValueError):
    """The query cannot be used; the text says why."""


class Page(NamedTuple):
    """One answer. `parts` instead of `body` for what may be large."""

    status: int
    content_type: str
    body: bytes = b""
    parts: Iterator[bytes] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Besides those of every answer, or in their place."""


class Query:
    """The query of a request."""

    def __init__(self, text: str) -> None:
        """Raises BadQuery."""
        if len(text) > MAX_QUERY:
            raise BadQuery(f"cannot use the query: longer than {MAX_QUERY} bytes")
        try:
            # Not strict: `?verbose`, as Kubernetes writes it, is a name without a value.
            values = parse_qs(text, keep_blank_values=True, max_num_fields=100)
        except ValueError as error:
            raise BadQuery(f"cannot use the query: {error}") from None
        self._values: dict[str, list[str]] = {}
        for name, found in values.items():
            # include-self, as the command's flag is written, is the same word.
            self._values.setdefault(name.replace("-", "_"), []).extend(found)

    def only(self, *names: str) -> Query:
        """Raises BadQuery for any other parameter, and for one without a value: a variable that is not set would choose
        nothing, or everything."""
        for name in self._values:
            if name not in names:
                known = ", ".join(names) or "none"
                raise BadQuery(f"cannot use {escape(name, 50)!r} in the query: known here is {known}")
            if "" in self._values[name] and name not in _BARE:
                raise BadQuery(f"cannot use {name} without a value: give it one, or leave it out")
        return self

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return self._values.get(name, [])

    def one(self, name: str) -> str | None:
        """The value of a parameter that may stand once. Raises BadQuery."""
        values = self.all(name)
        if len(values) > 1:
            raise BadQuery(f"cannot use {name} twice")
        return values[0] if values else None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """true or false. Raises BadQuery."""
        value = self.one(name)
        if value not in {None, "true", "false"}:
            raise BadQuery(f"cannot use {name}={escape(str(value), 50)}: true or false is expected")
        return default if value is None else value == "true"

    def port(self, name: str) -> int | None:
        """A port. Raises BadQuery."""
        value = self.one(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 65535):
            raise BadQuery(f"cannot use {name}={escape(value, 50)}: a number from 1 to 65535 is expected")
        return int(value)


def other(path: str, snapshot: Snapshot, query: Query) -> Page:
    """The page of a path that only needs these, or what to ask for instead. Raises BadQuery."""
    match path:
        case "/livez":
            return livez(query)
        case "/readyz":
            return readyz(snapshot, query)
        case "/openapi.json":
            query.only()
            return Page(200, JSON, _api_document())
        case _:
            return not_found()


def livez(query: Query) -> Page:
    """That the loop runs: it has answered. A control server that is away is no reason to start the process anew."""
    return _checked("livez", {"ping": ""}, query.only("verbose"))


def readyz(snapshot: Snapshot, query: Query) -> Page:
    """Whether to be sent traffic: the netmap is fresh, and so the publisher is heard. Raises BadQuery."""
    checks = {
        "ping": "",
        "netmap": "none has come" if snapshot.state == Trust.NONE else "",
        "fresh": "" if snapshot.state == Trust.FRESH else f"it is {snapshot.state}",
    }
    return _checked("readyz", checks, query.only("verbose", "exclude"))


def _checked(name: str, checks: Mapping[str, str], query: Query) -> Page:
    """`checks`: why one failed, empty when it did not. In the words of Kubernetes' API server (healthz.go)."""
    excluded = query.all("exclude")
    for one in excluded:
        if one not in checks:
            raise BadQuery(f"cannot use exclude={escape(one, 50)}: the checks are {', '.join(checks)}")
    lines, failed = [], False
    for check, why in checks.items():
        if check in excluded:
            lines.append(f"[+]{check} excluded: ok")
        else:
            lines.append(f"[-]{check} failed: {why}" if why else f"[+]{check} ok")
            failed = failed or bool(why)
    lines.append(f"{name} check {'failed' if failed else 'passed'}")
    text = "\n".join(lines) if failed or query.all("verbose") else "ok"
    return Page(503 if failed else 200, TEXT, f"{text}\n".encode())


@functools.cache
def _api_document() -> bytes:
    # Loaded by the first who asks for it: no other answer needs the schemas.
    from netmap_actors.http_endpoint import openapi  # noqa: PLC0415

    return shown_json.encode(openapi.document()) + b"\n"


def not_found() -> Page:
    """What to ask for instead."""
    lines = [f"{path:<13} {text}" for path, text in PATHS.items()]
    return Page(404, TEXT, ("There is nothing here. There is:\n" + "\n".join(lines) + "\n").encode())


def healthz(snapshot: Snapshot) -> Page:
    """Whether the netmap can be trusted now."""
    status = 200 if snapshot.state == Trust.FRESH else 503
    return Page(status, JSON, shown_json.encode(snapshot.head_json() | {"peers": len(snapshot.netmap.peers)}))


def chosen_peers(query: Query) -> Chosen:
    """Of which peers /metrics tells. Raises BadQuery."""
    wanted, tags = query.only("peers", "tag").flag("peers"), query.all("tag")
    if tags and not wanted:
        raise BadQuery("cannot use tag without peers=true: the other metrics are of all peers")
    return shown_tags(tags) if wanted else None


def sd(snapshot: Snapshot, query: Query) -> Page:
    """Prometheus keeps the targets it has when this fails, so no netmap is no empty list."""
    query.only("port", "tag", "online", "include_self")
    port = query.port("port")
    choice = NodeChoice(
        tags=query.all("tag"), online_only=query.flag("online"), include_self=query.flag("include_self")
    )
    if snapshot.state == Trust.NONE:
        return Page(503, TEXT, b"cannot list targets: no netmap has come yet\n")
    groups = prometheus_sd.target_groups(snapshot.netmap, state=snapshot.state, port=port, **choice)
    return Page(200, JSON, parts=array_parts(groups))


def netmap(snapshot: Snapshot, query: Query) -> Page:
    """The whole netmap, or one node of it. Raises NoSuchNode or AmbiguousName."""
    word = query.only("peer").one("peer")
    if word is not None:
        found = snapshot.netmap.resolve(word)
        return Page(
            200,
            JSON,
            shown_json.encode(snapshot.head_json() | {"peer": found.to_json() | {"node": found.json}}),
        )
    return Page(200, JSON, parts=json_parts(snapshot.netmap, snapshot.head_json()))
