"""The plain HTTP answers of this server: `/key`, `/health`, the login page, ping answers, a root page.

Not here: `/ts2021` (`connection`). Pages carry no script and escape foreign texts.
"""

from __future__ import annotations

import http
import re
import urllib.parse
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.registration.requests import hostname_of
from netmap_actors.errors import escape
from netmap_actors.protocol.key_endpoint import KEY_PATH, ControlKeys, answer_key_request
from netmap_actors.protocol.keys import MachineKey

if TYPE_CHECKING:
    from netmap_actors.dev_control.http.state import Control
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = ["MAX_KEPT_PINGS", "Reply", "answer", "ping_answered"]

MAX_KEPT_PINGS = 1000
"""Answers to pings that are kept."""

_USER = re.compile(r"[\w.+@-]{0,64}", re.ASCII)
"""Empty: the default user of the server."""
_MAX_FIELDS = 10
_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_PAGE = """<!doctype html><meta charset="utf-8"><title>netmap dev control</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 1em}}
button{{font:inherit;padding:.4em 1.2em;margin-right:.6em}}code{{background:#eee;padding:.1em .3em}}</style>
{body}
"""


class Reply(msgspec.Struct, frozen=True):
    """Status, content type and body of one answer."""

    status: int
    content_type: str
    body: bytes
    seen: str = ""
    """Kind of the event to remember."""

    @property
    def reason(self) -> str:
        """Why it is no answer, in a few words."""
        return (
            self.body.decode().strip() if self.content_type == _TEXT else http.HTTPStatus(self.status).phrase
        )


def answer(control: Control, request: HttpRequest) -> Reply:
    """The answer to any request but the upgrade."""
    path, _, query = request.target.partition("?")
    if path == KEY_PATH:
        return _key(control, request, query)
    if path == "/health":
        return Reply(200, "application/json", b'{"status":"pass"}')
    if path.startswith("/auth/"):
        return _login(control, request, path.removeprefix("/auth/"))
    if path == "/machine/ping-response":
        return _ping(control, request, query)
    if path == "/":
        return _page(
            200, "<h1>netmap dev control</h1><p>A control server for development. It speaks ts2021.</p>"
        )
    return Reply(404, _TEXT, b"not found\n")


def ping_answered(control: Control, ping_id: str, body: str) -> bool:
    """Remember the answer to a ping. False: it was never sent, or is forgotten."""
    if ping_id not in control.pings:
        return False
    control.pings[ping_id] = body
    return True


def _key(control: Control, request: HttpRequest, query: str) -> Reply:
    if request.method not in ("GET", "HEAD"):
        return Reply(405, _TEXT, b"method not allowed\n")
    keys = ControlKeys(control.shown_key(), MachineKey.zero())
    if not query:
        # The form of the time before Noise, which a client must refuse by itself (tailscale: testcontrol).
        return Reply(200, _TEXT, keys.legacy_public_key.raw.hex().encode(), seen="key")
    made = answer_key_request(request, keys)
    return Reply(made.status, made.content_type, made.body, seen="key")


def _ping(control: Control, request: HttpRequest, query: str) -> Reply:
    ping_id = query.removeprefix("id=")
    if request.method != "HEAD":
        return Reply(405, _TEXT, b"method not allowed\n")
    if not ping_id:
        return Reply(400, _TEXT, b"ping id missing\n")
    if not ping_answered(control, ping_id, "head"):
        return Reply(404, _TEXT, b"unknown ping\n")
    return Reply(200, _TEXT, b"", seen="ping_response")


def _login(control: Control, request: HttpRequest, login_id: str) -> Reply:
    import html  # noqa: PLC0415

    registrar, wall = control.registrar, control.wall()
    login = registrar.logins.get(login_id)
    if login is None or login.expires_at <= wall:
        return _page(
            404, "<h1>Unknown login</h1><p>It is over, or it never was. Start again at the node.</p>"
        )
    if request.method == "POST":
        try:
            fields = dict(
                urllib.parse.parse_qsl(request.body.decode("latin-1"), True, max_num_fields=_MAX_FIELDS)
            )
        except ValueError:
            return _page(400, "<h1>This is not the form of this page</h1>")
        allowed = fields.get("answer") != "deny" and "deny" not in fields
        user = fields.get("user", "").removesuffix("@")
        if not _USER.fullmatch(user):
            return _page(400, "<h1>This is no name of a user</h1>")
        done = registrar.approve(login_id, wall, user) if allowed else registrar.refuse(login_id, wall)
        if not done:
            return _page(409, "<h1>This login is done already</h1>")
        control.persist()
        control.on_login(login_id)
        word = "The node is in" if allowed and not login.why else "The node was refused"
        why = html.escape(escape(login.why, 200))
        return _page(200, f"<h1>{word}</h1><p>{why}</p><p>You may close this page.</p>")
    if request.method not in ("GET", "HEAD"):
        return Reply(405, _TEXT, b"method not allowed\n")
    name = html.escape(escape(hostname_of(login.request.hostinfo) or "(no name)", 80))
    key = html.escape(login.machine)
    return _page(
        200,
        f"<h1>Let {name} in?</h1><p>Machine <code>{key[:24]}…</code> asks to join the tailnet "
        f"<code>{html.escape(control.tailnet.domain)}</code>.</p>"
        f'<form method="post"><p>As <input name="user" value="{html.escape(registrar.user)}"></p>'
        '<button name="answer" value="allow">Allow</button>'
        '<button name="answer" value="deny">Refuse</button></form>',
    )


def _page(status: int, body: str) -> Reply:
    return Reply(status, _HTML, _PAGE.format(body=body).encode())
