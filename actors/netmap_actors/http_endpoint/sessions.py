"""A person's session in a browser: the form that begins it, and the cookie that stands for the token. Pure.

The cookie holds when the session ends, which token began it, and a proof of both that only this run can make: nothing
is kept of a session, a process that crashes ends none, and a token that is revoked ends its own. Not here: what a token
is enough for (`authorization`), and which pages may post the form (`guard`).
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl

from netmap_actors.http_endpoint.authorization import MAX_TOKEN
from netmap_actors.http_endpoint.guard import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.access_tokens import AccessToken
    from netmap_actors.protocol.http1_server import HttpRequest
    from netmap_actors.wire.secret import Secret

__all__ = ["COOKIE", "LIFETIME", "BrowserSession", "Sessions", "token_of_form"]

LIFETIME: Final = 7 * 86400
"""Seconds from a login to the next, however often the page is looked at."""
MAX_FORM: Final = 4096
"""Bytes."""
COOKIE: Final = "netmap-session"
_SECURE_NAME: Final = f"__Host-{COOKIE}"
"""A browser takes it over https alone, and from this very host (RFC 6265bis, 4.1.3.2)."""
_MAX_GIVEN: Final = 8
"""Cookies of our name that are looked at: a neighbour on another port can set some besides ours."""
_VALUE: Final = re.compile(r"([1-9][0-9]{0,11})\.([0-9a-f]{16})\.([0-9a-f]{32})")
_FORM: Final = "application/x-www-form-urlencoded"


class BrowserSession(NamedTuple):
    """What a cookie stands for."""

    token: AccessToken
    until: float
    """When it is over, on CLOCK_BOOTTIME: nobody can set that."""


class Sessions:
    """`secret`: the run's. `tls`: the endpoint itself has TLS, and so has every browser that asks it."""

    def __init__(self, secret: Secret, *, tls: bool) -> None:
        self._secret = secret
        self._tls = tls

    def begin(self, token: AccessToken, now: float, *, secure: bool) -> str:
        """Set-Cookie for this token. `now`: CLOCK_BOOTTIME; `secure`: the page was loaded over https."""
        ends = str(int(now) + LIFETIME)
        value = f"{ends}.{token.sha256[:16]}.{self._secret.proof(_proved(ends, token)).hex()}"
        return self._field(value, LIFETIME, secure=secure)

    def end(self, *, secure: bool) -> tuple[str, ...]:
        """Set-Cookie, which takes the cookie away from the browser."""
        fields = [self._field("", 0, secure=secure)]
        if secure and not self._tls:
            fields.append(self._field("", 0, secure=False))
        return tuple(fields)

    def find(self, request: HttpRequest, tokens: Iterable[AccessToken], now: float) -> BrowserSession | None:
        """The session of a request; None: it has none, or one that is over, revoked or not of this run.

        Of several cookies with our name any that is good counts: which one comes first is up to who set them.
        """
        known = {one.sha256[:16]: one for one in tokens}
        for text in itertools.islice(self._given(request), _MAX_GIVEN):
            found = _VALUE.fullmatch(text)
            token = known.get(found[2]) if found is not None else None
            if found is None or token is None or int(found[1]) <= now:
                continue
            if self._secret.proves(bytes.fromhex(found[3]), _proved(found[1], token)):
                return BrowserSession(token, float(found[1]))
        return None

    def _given(self, request: HttpRequest) -> Iterable[str]:
        names = {_SECURE_NAME} if self._tls else {_SECURE_NAME, COOKIE}
        for field, text in request.headers:
            if field != "cookie":
                continue
            for pair in text.split(";"):
                name, _, value = pair.strip(" \t").partition("=")
                if name in names:
                    yield value

    def _field(self, value: str, age: int, *, secure: bool) -> str:
        rest = f"={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict"
        return f"{_SECURE_NAME}{rest}; Secure" if secure or self._tls else f"{COOKIE}{rest}"


def token_of_form(request: HttpRequest) -> str | RequestRefused:
    """The token in a login form, or why there is none."""
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != _FORM:
        return RequestRefused(415, f"cannot log in: the form has to be {_FORM}")
    if len(request.body) > MAX_FORM:
        return RequestRefused(413, f"cannot log in: the form is longer than {MAX_FORM} bytes")
    try:
        # Percent signs and what they stand for in UTF-8; all of it is ASCII before.
        fields = parse_qsl(
            request.body.decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="strict"
        )
    except ValueError:
        return RequestRefused(400, "cannot log in: the form cannot be read")
    given = [value.strip() for name, value in fields if name == "token"]
    if len(given) != 1 or not given[0]:
        return RequestRefused(400, "cannot log in: the form has to have one field `token`, with a token")
    if len(given[0]) > MAX_TOKEN:
        return RequestRefused(400, f"cannot log in: a token has at most {MAX_TOKEN} characters")
    return given[0]


def _proved(ends: str, token: AccessToken) -> bytes:
    """What the proof is of. The whole hash: another token with the same beginning is another one."""
    return f"session {ends} {token.sha256}".encode()
