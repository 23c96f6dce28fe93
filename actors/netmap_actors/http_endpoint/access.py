"""Who may ask the HTTP endpoint, and over which TLS: the certificate, the tokens and the guard together.

Not here: what is answered (`actor`), and the words of RFC 6750 (`authorization`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netmap_actors.access_tokens import TokenList
from netmap_actors.errors import escape
from netmap_actors.http_endpoint.authorization import authorize, challenged, token_in_query
from netmap_actors.http_endpoint.guard import RequestRefused, path_of, refusal
from netmap_actors.http_endpoint.pages import TEXT, Page
from netmap_actors.http_endpoint.sessions import BrowserSession, Sessions, token_of_form
from netmap_actors.wire.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.access_tokens import AccessToken
    from netmap_actors.boot import HttpSettings
    from netmap_actors.bus.admission import Origin
    from netmap_actors.http_endpoint.server_certificate import ServerCertificate
    from netmap_actors.process.child_log import ChildLog
    from netmap_actors.protocol.http1_server import HttpRequest
    from netmap_actors.transport.tls_server import TlsLayer

__all__ = ["CERTIFICATE", "TOKENS", "Access", "Asker"]

CERTIFICATE: Final = "http_certificate"
"""The condition: the certificate or its key cannot be used, or is out of its time."""
TOKENS: Final = "http_tokens"
"""The condition: a token that is there cannot be used."""
LOG_INTERVAL: Final = 1.0
"""Seconds between two log lines about refusals."""
_MAX_TEXT: Final = 500
_UNREADABLE: Final = "the tokens cannot be read; `netmap-supervisor status`"
_TO_THE_PAGE: Final = ("Location", "./")


class Asker(NamedTuple):
    """Who a request is answered for."""

    token: str = ""
    """Hash of the token it was let in with; empty: it needed none."""
    until: float = math.inf
    """When the session it belongs to is over, on CLOCK_BOOTTIME."""


class Access:
    """`show(condition, text)` is called when a condition has another text; empty: it is over."""

    def __init__(
        self, settings: HttpSettings, log: ChildLog, show: Callable[[str, str], object], sessions: str = ""
    ) -> None:
        """`sessions`: the secret of `Secrets.sessions`, needed where tokens are."""
        self._log = log
        self._show = show
        self._shown: dict[str, str] = {}
        self._certificate: ServerCertificate | None = None
        if settings.tls_cert:
            # OpenSSL's part of the process is paid for by who needs it.
            from netmap_actors.http_endpoint.server_certificate import ServerCertificate  # noqa: PLC0415

            self._certificate = ServerCertificate(settings.tls_cert, settings.tls_key)
        self._tokens = TokenList(Path(settings.tokens), settings.tailnet) if settings.token_required else None
        # A proxy in front of plain text may have TLS.
        plain = ("http", "https") if self._tokens is not None else ("http",)
        self._sessions: Sessions | None = None
        if self._tokens is not None and sessions:
            self._sessions = Sessions(Secret.from_text(sessions), tls=self._certificate is not None)
        self._schemes = ("https",) if self._certificate is not None else plain
        self._were_read = False
        self.out_of_reach = False
        """The tokens' directory was closed to this process since it read them; the next one may be let in."""
        self.unauthorized = 0
        """Requests without a token that is enough."""
        self.tls_failed = 0
        """Connections that ended in the handshake."""
        self._unlogged = 0
        self._next_log = 0.0

    @property
    def usable(self) -> bool:
        """Whether there is a certificate, where one is needed."""
        return self._certificate is None or self._certificate.context is not None

    @property
    def changes(self) -> bool:
        """Whether `look` is to be called every now and then."""
        return self._certificate is not None or self._tokens is not None

    @property
    def expires(self) -> int | None:
        """Unix time of the certificate's end."""
        found = None if self._certificate is None else self._certificate.validity
        return None if found is None else int(found.ends)

    def layer(self) -> TlsLayer | None:
        """TLS for one connection, with the certificate of this moment; None: it is without."""
        if self._certificate is None or self._certificate.context is None:
            return None
        from netmap_actors.transport.tls_server import TlsLayer  # noqa: PLC0415

        return TlsLayer(self._certificate.context)

    def look(self, wall: float) -> frozenset[str] | None:
        """Look at the files again; the hashes of the tokens there are, None: not known or not needed. `wall`: now."""
        if self._certificate is not None:
            self._look_at_certificate(self._certificate, wall)
        if self._tokens is None:
            return None
        try:
            tokens, problems = self._tokens.tokens(), self._tokens.problems()
        except OSError as error:
            # No new request is answered; a stream was begun by a list that could be read.
            self._condition(TOKENS, f"cannot read the tokens of HTTP clients: {error.strerror or error}")
            # Once in the life of a process: what stays closed to all of them is served as it is.
            self.out_of_reach = self._were_read and isinstance(error, PermissionError)
            return None
        self._were_read = True
        self._condition(
            TOKENS, f"a token that opens nothing: {'; '.join(problems)[:_MAX_TEXT]}" if problems else ""
        )
        return frozenset(one.sha256 for one in tokens)

    def judge(
        self, request: HttpRequest, listen_host: str, origin: Origin, now: float
    ) -> Asker | RequestRefused:
        """Who this request is answered for, or why it is refused. `now`: CLOCK_BOOTTIME."""
        refused = refusal(request, listen_host if self._tokens is None else None, self._schemes)
        if refused is not None:
            return refused
        verdict: AccessToken | RequestRefused | None = token_in_query(request)
        session: BrowserSession | None = None

        def of_session() -> AccessToken | None:
            nonlocal session
            session = self._session(request, now)
            return None if session is None else session.token

        if verdict is None and self._tokens is not None:
            try:
                verdict = authorize(request, self._tokens.find, of_session)
            except OSError:
                verdict = RequestRefused(503, f"cannot answer: {_UNREADABLE}")
        if isinstance(verdict, RequestRefused):
            self._unauthorized(origin, verdict.why, now)
            return verdict
        if verdict is None:
            return Asker()
        return Asker(verdict.sha256, math.inf if session is None else session.until)

    def form(self, request: HttpRequest, origin: Origin, now: float) -> Page:
        """The answer to /login and /logout. `judge` has let the request in: a POST is of our own page."""
        if request.method != "POST" or self._tokens is None or self._sessions is None:
            return Page(303, TEXT, headers=(_TO_THE_PAGE,))
        # Nobody but a browser knows whether a proxy in front has TLS, and it has no reason to lie.
        secure = (request.header("origin") or "").lower().startswith("https:")
        if path_of(request) == "/logout":
            ended = self._sessions.end(secure=secure)
            return Page(303, TEXT, headers=(_TO_THE_PAGE, *(("Set-Cookie", one) for one in ended)))
        found = self._log_in(request, self._tokens)
        if isinstance(found, RequestRefused):
            self._unauthorized(origin, found.why, now)
            return _login_refused(request, found)
        self._log.info("http_login", address=str(origin), client=found.name)
        return Page(
            303, TEXT, headers=(_TO_THE_PAGE, ("Set-Cookie", self._sessions.begin(found, now, secure=secure)))
        )

    def _log_in(self, request: HttpRequest, tokens: TokenList) -> AccessToken | RequestRefused:
        given = token_of_form(request)
        if isinstance(given, RequestRefused):
            return given
        try:
            found = tokens.find(given)
        except OSError:
            return RequestRefused(503, f"cannot log in: {_UNREADABLE}")
        if found is None:
            why = "the token is unknown or revoked"
            return challenged(401, why, "invalid_token")._replace(why=f"cannot log in: {why}")
        if found.scope != "read":
            return RequestRefused(403, "cannot log in: the token's scope is metrics, and the page needs read")
        return found

    def _session(self, request: HttpRequest, now: float) -> BrowserSession | None:
        if self._sessions is None or self._tokens is None:
            return None
        return self._sessions.find(request, self._tokens.tokens(), now)

    def _unauthorized(self, origin: Origin, why: str, now: float) -> None:
        self.unauthorized += 1
        if self._may_log(now):
            self._log.warning("http_token_refused", **self._words(origin, why))

    def handshake_failed(self, why: str, origin: Origin, now: float) -> None:
        """A connection ended in the handshake."""
        self.tls_failed += 1
        if self._may_log(now):
            self._log.warning("http_tls_refused", **self._words(origin, why))

    def _look_at_certificate(self, certificate: ServerCertificate, wall: float) -> None:
        from netmap_actors.http_endpoint.server_certificate import concern  # noqa: PLC0415

        first = certificate.validity is None
        if certificate.look() and not first:
            self._log.info("http_certificate_renewed", expires=self.expires)
        words = []
        if certificate.problem:
            then = "it is tried again" if certificate.context is None else "the pair before stays in use"
            words.append(f"{certificate.problem}; {then}")
        if certificate.validity is not None:
            words.append(concern(certificate.validity, wall))
        self._condition(CERTIFICATE, "; ".join(filter(None, words)))

    def _condition(self, code: str, text: str) -> None:
        if text != self._shown.get(code, ""):
            self._shown[code] = text
            self._show(code, text)

    def _may_log(self, now: float) -> bool:
        if now < self._next_log:
            self._unlogged += 1
            return False
        self._next_log = now + LOG_INTERVAL
        return True

    def _words(self, origin: Origin, why: str) -> dict[str, Any]:
        unlogged, self._unlogged = self._unlogged, 0
        return {"address": str(origin), "detail": escape(why, 200), "more_since_the_last_line": unlogged}


def _login_refused(request: HttpRequest, refused: RequestRefused) -> Page:
    """A browser that shows the answer is shown the page; a script is told in a line of text."""
    if "text/html" not in (request.header("accept") or "").lower():
        return Page(refused.status, TEXT, f"{refused.why}\n".encode(), headers=refused.headers)
    from netmap_actors.http_endpoint.page_files import refused_login  # noqa: PLC0415

    return refused_login(*refused)
