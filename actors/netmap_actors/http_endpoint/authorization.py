"""Which bearer token a request needs, and what one without it is told (RFC 6750). Pure.

Not here: which tokens there are (`access_tokens`), the cookie that stands for one (`sessions`), and what a web page may
ask (`guard`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from netmap_actors.http_endpoint.guard import FORMS, RequestRefused, is_of_page, path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.access_tokens import AccessToken
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = ["MAX_TOKEN", "authorize", "challenged", "token_in_query"]

REALM: Final = "netmap-supervisor"
MAX_TOKEN: Final = 512
"""Characters; ours have 47."""
_OPEN: Final = frozenset({"/livez", "/readyz"})
"""Asked by what restarts and routes to a process, as kubelet does without a token."""
_METRICS: Final = frozenset({"/metrics", "/sd", "/healthz"})
"""What a token of the scope `metrics` is enough for; everything else needs `read`, which is enough for these, too."""


def authorize(
    request: HttpRequest,
    find: Callable[[str], AccessToken | None],
    of_session: Callable[[], AccessToken | None] = lambda: None,
) -> AccessToken | RequestRefused | None:
    """The token the request is answered for, None where it needs none, or why it is refused.

    `of_session`: the token its cookie stands for, which counts where there is no Authorization header. Both calls may
    raise OSError: then nobody can say.
    """
    path = path_of(request)
    if path in _OPEN or path in FORMS or is_of_page(path):
        return None
    given = [value for name, value in request.headers if name == "authorization"]
    if not given:
        held = of_session()
        if held is None:
            return challenged(401, "this needs a token, in the header `Authorization: Bearer TOKEN`")
        return _in_scope(path, held)
    if len(given) > 1:
        return challenged(400, "there are several Authorization headers", "invalid_request")
    scheme, _, text = given[0].strip().partition(" ")
    if scheme.lower() != "bearer":
        return challenged(401, "the Authorization header has to be `Bearer TOKEN`")
    text = text.strip()
    token = find(text) if 0 < len(text) <= MAX_TOKEN else None
    if token is None:
        return challenged(401, "the token is unknown or revoked", "invalid_token")
    return _in_scope(path, token)


def _in_scope(path: str, token: AccessToken) -> AccessToken | RequestRefused:
    if token.scope != "read" and path not in _METRICS:
        return challenged(
            403, "the token's scope is metrics, and this needs read", "insufficient_scope", "read"
        )
    return token


def token_in_query(request: HttpRequest) -> RequestRefused | None:
    """Refuses a token in the query, where proxies, histories and logs keep it (RFC 9700, 4.3.2)."""
    _, _, query = request.target.partition("?")
    # As long as a request may be: a query that is refused for its length is refused for this first.
    names = {name.replace("-", "_") for name, _ in parse_qsl(query, keep_blank_values=True)}
    if "access_token" not in names:
        return None
    return challenged(
        400,
        "a token does not belong into the query, where it is kept in logs: revoke it, and send the new one in the "
        "header `Authorization: Bearer TOKEN`",
        "invalid_request",
    )


def challenged(status: int, why: str, code: str = "", scope: str = "") -> RequestRefused:
    """A refusal with a challenge; RFC 6750, section 3: no code where no token was given."""
    words = [f'realm="{REALM}"']
    if code:
        # Of the characters a description may have (section 3) none is a quote.
        words += [f'error="{code}"', f'error_description="{why.replace("`", "")}"']
    if scope:
        words.append(f'scope="{scope}"')
    return RequestRefused(
        status, f"cannot answer: {why}", (("WWW-Authenticate", f"Bearer {', '.join(words)}"),)
    )
