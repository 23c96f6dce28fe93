"""The endpoint as an OpenAPI document (3.1): what `pages` answers, /events, /metrics and the forms. Pure.

https://spec.openapis.org/oas/v3.1.1. Server-sent events have no place in that version: their data is described by the
schema that `x-itemSchema` refers to, which is `itemSchema` of 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netmap_actors import __version__
from netmap_actors.history.occurrences import Happening
from netmap_actors.http_endpoint import event_stream
from netmap_actors.http_endpoint.page_files import HTML
from netmap_actors.http_endpoint.pages import JSON, PATHS, READY_CHECKS, TEXT
from netmap_actors.http_endpoint.sessions import COOKIE
from netmap_actors.schemas.documents import DIALECT, components, identifier
from netmap_actors.schemas.shapes import (
    EVENTS,
    HealthAnswer,
    HistoryAnswer,
    NetmapAnswer,
    NodeAnswer,
    TargetGroup,
)
from netmap_actors.subscriber.events import EVENT_KINDS
from netmap_actors.wire.status import StatusReport

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["document"]

ABOUT: Final = """\
The netmap of a tailnet, for programs that speak HTTP and, at `/`, for people. Nothing is changed by any request.

GET and HEAD are answered, and POST by the two forms of a browser's session; every other method gets 405. A path that is
not listed gets 404, with the list. Errors are one line of text that says why. Answers are never to be cached, but for
the page, which is asked for again each time. Objects only ever gain names: ignore those you do not know. Off loopback a
token is needed, with the scope `read` (everything) or `metrics` (/metrics, /sd and /healthz); a browser trades one of
the scope `read` for a cookie. The files of the page, below `/page/`, are its own and may change with every version.
"""
METRICS: Final = ("text/plain", "application/openmetrics-text")
_SCHEMAS: Final = "#/components/schemas/{name}"
_NAME: Final = "A full name, the short name of a node of this tailnet, an address, a stable id or a node key"


class _Parameter(NamedTuple):
    about: str
    schema: dict[str, Any]
    many: bool = False
    """It may be repeated."""
    bare: bool = False
    """It may stand without a value."""


class _Operation(NamedTuple):
    answers: dict[int, dict[str, Any]]
    """Content by status."""
    errors: dict[int, str] = {}  # noqa: RUF012 - never changed
    """What else may come, as text."""
    parameters: dict[str, _Parameter] = {}  # noqa: RUF012
    scopes: tuple[str, ...] = ("read",)
    """A token with one of them is let in; none: no token is needed."""


def document() -> dict[str, Any]:
    """The whole document, made anew."""
    shapes = (EVENTS, NetmapAnswer, NodeAnswer, HistoryAnswer, StatusReport, TargetGroup, HealthAnswer)
    (event, *_), parts = components(shapes, _SCHEMAS)
    parts["Event"] = event
    return {
        "openapi": "3.1.1",
        "x-id": identifier("openapi"),
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "netmap-supervisor",
            "version": __version__,
            "summary": "The netmap of a tailnet, and how far it can be trusted",
            "description": ABOUT,
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": ".", "description": "Where this document was read"}],
        "paths": {path: _FORMS[path] if path in _FORMS else _path(path, _OPERATIONS[path]) for path in PATHS},
        "components": {
            "schemas": parts,
            "responses": _RESPONSES,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Not asked for on loopback and on a unix socket.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "What /login has set, over https with __Host- before its name. It opens what the "
                    "token opens, where no Authorization header is sent.",
                },
            },
        },
    }


def _ref(shape: type) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(name=shape.__name__)}


_TEXT: Final = {"type": "string"}
_MOMENT: Final = {
    "type": "string",
    "anyOf": [{"pattern": "^[0-9]{1,9}[smhd]$"}, {"format": "date-time"}],
}
_FLAG: Final = {"type": "boolean", "default": False}
_LINE: Final = {TEXT: {"schema": _TEXT}}
_CHECKS: Final = {
    TEXT: {
        "schema": _TEXT,
        "example": "[+]ping ok\n[+]netmap ok\n[-]fresh failed: it is stale\nreadyz check failed\n",
    }
}
_EVENTS: Final = {
    "schema": {
        "type": "string",
        "description": "Server-sent events without end: `id` is EPOCH:SEQ, `event` the type, `data` one line of "
        "JSON. A snapshot comes first, a comment every 15 seconds. A client that lost its connection gets a new "
        "snapshot.",
    },
    "x-itemSchema": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "event": {"enum": ["snapshot", *EVENT_KINDS, "error"]},
            "data": {
                "type": "string",
                "contentMediaType": JSON,
                "contentSchema": {"$ref": "#/components/schemas/Event"},
            },
        },
        "required": ["event", "data"],
    },
    "example": 'id: 1:7\nevent: domain_changed\ndata: {"type":"domain_changed","epoch":1,"seq":7,"state":"fresh",'
    '"domain":"example.com","changed":["domain"],"previous":{"domain":""}}\n\n',
}
_OPERATIONS: Final[Mapping[str, _Operation]] = {
    "/": _Operation({200: {HTML: {"schema": _TEXT}}}, scopes=()),
    "/netmap": _Operation(
        {200: {JSON: {"schema": {"anyOf": [_ref(NetmapAnswer), _ref(NodeAnswer)]}}}},
        {404: "No node goes by that name.", 409: "Several nodes go by that name."},
        {"peer": _Parameter(f"{_NAME}: only this node is shown.", _TEXT)},
    ),
    "/events": _Operation(
        {200: {event_stream.CONTENT_TYPE: _EVENTS}},
        {
            409: "Several nodes go by that name.",
            503: "Too many clients follow already; Retry-After says when to come back.",
        },
        {
            "kind": _Parameter("Only events of these kinds.", {"enum": sorted(EVENT_KINDS)}, many=True),
            "peer": _Parameter(f"{_NAME}: only events of these nodes.", _TEXT | {"minLength": 1}, many=True),
        },
    ),
    "/history": _Operation(
        {200: {JSON: {"schema": _ref(HistoryAnswer)}}},
        {404: "No history is kept, or no node was called that.", 503: "It did not answer in time."},
        {
            "since": _Parameter(
                "So long ago, or an RFC 3339 time.",
                _MOMENT | {"default": "24h", "examples": ["24h", "2026-01-02T03:04:05Z"]},
            ),
            "until": _Parameter("As `since`, and later.", _MOMENT | {"default": "0s", "examples": ["90m"]}),
            "peer": _Parameter("Names, now or then, or stable ids.", _TEXT, many=True),
            "kind": _Parameter("What happened.", {"enum": sorted(map(str, Happening))}, many=True),
            "lanes": _Parameter(
                "false: what happened alone; `gaps`, `netmap`, `connection` and `nodes` are empty.",
                {"type": "boolean", "default": True},
            ),
        },
    ),
    "/status": _Operation(
        {200: {JSON: {"schema": _ref(StatusReport)}}}, {503: "The daemon did not answer in time."}
    ),
    "/sd": _Operation(
        {200: {JSON: {"schema": {"type": "array", "items": _ref(TargetGroup)}}}},
        {503: "No netmap has come yet; Prometheus keeps the targets it has."},
        {
            "port": _Parameter(
                "Of each target; without it they are bare addresses.",
                {"type": "integer", "minimum": 1, "maximum": 65535},
            ),
            "tag": _Parameter('Only nodes with one of them: "tag:web" or "web".', _TEXT, many=True),
            "online": _Parameter("Only those the control server says to be online.", _FLAG),
            "include_self": _Parameter("Our own node, too.", _FLAG),
        },
        scopes=("metrics", "read"),
    ),
    "/metrics": _Operation(
        {200: {kind: {"schema": _TEXT} for kind in METRICS}},
        {},
        {
            "peers": _Parameter("Some series for each peer, too.", _FLAG),
            "tag": _Parameter("Only peers with one of them; peers=true has to be there.", _TEXT, many=True),
        },
        scopes=("metrics", "read"),
    ),
    "/healthz": _Operation(
        {code: {JSON: {"schema": _ref(HealthAnswer)}} for code in (200, 503)}, scopes=("metrics", "read")
    ),
    "/livez": _Operation(
        {200: _CHECKS}, {}, {"verbose": _Parameter("List the checks.", _TEXT, bare=True)}, scopes=()
    ),
    "/readyz": _Operation(
        {200: _CHECKS, 503: _CHECKS},
        {},
        {
            "verbose": _Parameter("List the checks.", _TEXT, bare=True),
            "exclude": _Parameter("Checks that do not count.", {"enum": [*READY_CHECKS]}, many=True),
        },
        scopes=(),
    ),
    "/openapi.json": _Operation({200: {JSON: {"schema": {"type": "object"}}}}),
}
_OF_A_TOKEN: Final = {"WWW-Authenticate": {"description": "Where a token is the reason.", "schema": _TEXT}}
_RESPONSES: Final = {
    "BadRequest": {
        "description": "The query cannot be used, a token stands in it, or there are several Authorization headers; "
        "the text says why.",
        "headers": _OF_A_TOKEN,
        "content": _LINE,
    },
    "NoToken": {
        "description": "A token is needed, and there is none or an unknown one.",
        "headers": {"WWW-Authenticate": {"required": True, "schema": _TEXT}},
        "content": _LINE,
    },
    "Refused": {
        "description": "A web page of somebody else made the request, the Host is not ours, or the token lacks the "
        "scope.",
        "headers": _OF_A_TOKEN,
        "content": _LINE,
    },
    "BadMethod": {
        "description": "The method is not answered here; Allow has those that are.",
        "headers": {"Allow": {"required": True, "schema": _TEXT}},
        "content": _LINE,
    },
    "NotNow": {"description": "The daemon cannot read its tokens; its status says why.", "content": _LINE},
}
_STATUS: Final = {400: "BadRequest", 401: "NoToken", 403: "Refused", 405: "BadMethod", 503: "NotNow"}
_OF_TOKENS: Final = {401, 503}
"""Not where none is needed."""
_FORM: Final = "application/x-www-form-urlencoded"
_SET: Final = {
    "Location": {"required": True, "schema": _TEXT},
    "Set-Cookie": {"description": "Where tokens are asked for.", "schema": _TEXT},
}
_TO_THE_PAGE: Final = {
    "description": "To the page.",
    "headers": {"Location": {"required": True, "schema": _TEXT}},
}
_REFUSED_FORM: Final = {
    TEXT: {"schema": _TEXT},
    HTML: {"schema": _TEXT | {"description": "The page, where text/html is accepted; it shows the reason."}},
}
_BY_POST: Final[dict[str, Any]] = {
    "security": [],
    "parameters": [
        {
            "name": "Origin",
            "in": "header",
            "required": True,
            "description": "Of the page; a browser sends it. Any other is refused.",
            "schema": _TEXT,
        }
    ],
}
_FORMS: Final[Mapping[str, dict[str, Any]]] = {
    "/login": {
        "summary": PATHS["/login"],
        "get": {"operationId": "get_login", "security": [], "responses": {"303": _TO_THE_PAGE}},
        "head": {"operationId": "head_login", "security": [], "responses": {"303": _TO_THE_PAGE}},
        "post": {
            "operationId": "post_login",
            **_BY_POST,
            "requestBody": {
                "required": True,
                "content": {
                    _FORM: {
                        "schema": {"type": "object", "required": ["token"], "properties": {"token": _TEXT}}
                    }
                },
            },
            "responses": {
                "303": {"description": "Logged in, or no token is asked for here.", "headers": _SET},
                **{
                    str(status): {"description": why, "content": _REFUSED_FORM}
                    for status, why in {
                        400: "The form has not one token.",
                        401: "The token is unknown or revoked.",
                        403: "Another page posted it, or the token's scope is `metrics`.",
                        413: "The form is too long.",
                        415: "It is no such form.",
                        503: "The daemon cannot read its tokens.",
                    }.items()
                },
            },
        },
    },
    "/logout": {
        "summary": PATHS["/logout"],
        "post": {
            "operationId": "post_logout",
            **_BY_POST,
            "responses": {
                "303": {"description": "Logged out.", "headers": _SET},
                "403": {"$ref": "#/components/responses/Refused"},
            },
        },
    },
}
_SAYS: Final = {200: "It is this.", 503: "It is not; the body says why."}


def _path(path: str, operation: _Operation) -> dict[str, Any]:
    name = path.strip("/").partition(".")[0] or "page"
    return {
        "summary": PATHS[path],
        "parameters": [_parameter(*item) for item in operation.parameters.items()],
        "get": _method(f"get_{name}", operation, body=True),
        "head": _method(f"head_{name}", operation, body=False),
    }


def _method(name: str, operation: _Operation, *, body: bool) -> dict[str, Any]:
    responses: dict[int, dict[str, Any]] = {
        status: {"description": _SAYS[status], "content": content}
        for status, content in operation.answers.items()
    }
    for status, why in operation.errors.items():
        responses[status] = {"description": why, "content": _LINE}
    for status, named in _STATUS.items():
        if status not in _OF_TOKENS or operation.scopes:
            responses.setdefault(status, {"$ref": f"#/components/responses/{named}"})
    if not body:
        responses = {
            status: {key: value for key, value in response.items() if key != "content"}
            for status, response in responses.items()
        }
    return {
        "operationId": name,
        "security": [*({"token": [scope]} for scope in operation.scopes), {"session": []}, {}]
        if operation.scopes
        else [],
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }


def _parameter(name: str, parameter: _Parameter) -> dict[str, Any]:
    schema = {"type": "array", "items": parameter.schema} if parameter.many else parameter.schema
    return {
        "name": name,
        "in": "query",
        "description": parameter.about,
        **({"allowEmptyValue": True} if parameter.bare else {}),
        "schema": schema,
    }
