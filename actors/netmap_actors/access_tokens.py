"""The bearer tokens of HTTP clients on disk: for each its name, its scope and a hash, never the token itself.

    <state>/http_tokens/<tailnet>/<name>.json   0600

Each has 32 random bytes, so an unsalted SHA-256 is enough: there is nothing to guess. Not here: which request needs
which scope (`http_endpoint.authorization`).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from netmap_actors.errors import ConfigurationError, escape
from netmap_actors.named_files import NAME_RULE, NamedFiles, read_regular

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SCOPES", "AccessToken", "TokenList", "generate_token", "hash_token"]

PREFIX: Final = "nms_"
"""By which scanners for secrets find one in a repository or a log."""
SCOPES: Final = ("metrics", "read")
_RANDOM: Final = 32


class AccessToken(msgspec.Struct, frozen=True):
    """What is known of one token."""

    name: str
    scope: str
    """`metrics` or `read`."""
    created: str
    """RFC 3339."""
    sha256: str
    """Of the whole token, in hex."""


class _Kept(msgspec.Struct, frozen=True):
    """What a file holds."""

    tailnet: str
    scope: Literal["metrics", "read"]
    created: str
    sha256: str


def generate_token() -> str:
    """A new one: `nms_` and 43 characters of base64url (RFC 6750 allows all of them)."""
    import secrets  # noqa: PLC0415

    return PREFIX + secrets.token_urlsafe(_RANDOM)


def hash_token(token: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class TokenList:
    """The tokens in one directory; read again when it or one of its files changes.

    A file that is no token is one of `problems`, and the others remain valid.
    """

    def __init__(self, directory: Path, tailnet: str) -> None:
        self._files = NamedFiles(directory, ".json")
        self._tailnet = tailnet
        self._tokens: tuple[AccessToken, ...] = ()
        self._problems: tuple[str, ...] = ()

    def tokens(self) -> tuple[AccessToken, ...]:
        """All of them, by name. Raises OSError when the directory cannot be read."""
        self._refresh()
        return self._tokens

    def problems(self) -> tuple[str, ...]:
        """Files that are no tokens, and why. Raises OSError as `tokens`."""
        self._refresh()
        return self._problems

    def find(self, token: str) -> AccessToken | None:
        """What is known of this one; None: it is none of ours. Takes as long whichever it is. Raises OSError."""
        self._refresh()
        digest, found = hash_token(token), None
        for one in self._tokens:
            if hmac.compare_digest(one.sha256, digest):
                found = one
        return found

    def create(self, name: str, scope: str, sha256: str, created: str) -> AccessToken:
        """Keep a new one. Raises ConfigurationError for a bad word or a name that is taken, OSError."""
        path = self._files.path(name)
        if path is None:
            raise ConfigurationError(f"cannot name a token {escape(name, 80)!r}: {NAME_RULE}")
        if scope not in SCOPES:
            raise ConfigurationError(
                f"cannot give a token the scope {escape(scope, 40)!r}: {' and '.join(SCOPES)} are known"
            )
        if not _is_hash(sha256):
            raise ConfigurationError("cannot keep this token: a SHA-256 in hex is expected")
        if path.exists():
            raise ConfigurationError(f"cannot create {name}: the name is taken; revoke it first")
        kept = _Kept(self._tailnet, "metrics" if scope == "metrics" else "read", created, sha256)
        self._files.add(path, msgspec.json.encode(kept).decode() + "\n")
        return AccessToken(name, scope, created, sha256)

    def revoke(self, name: str) -> None:
        """Forget this one. Raises ConfigurationError when there is none of that name, OSError."""
        path = self._files.path(name)
        if path is None or not (path.is_symlink() or path.exists()):
            known = ", ".join(one.name for one in self.tokens()) or "there is none"
            raise ConfigurationError(f"cannot revoke {escape(name, 80)!r}: not among the tokens ({known})")
        path.unlink()

    def _refresh(self) -> None:
        paths = self._files.changed()
        if paths is None:
            return
        tokens: list[AccessToken] = []
        problems: list[str] = []
        for path in paths:
            try:
                kept = msgspec.json.decode(read_regular(path, "the token"), type=_Kept)
            except (msgspec.MsgspecError, ConfigurationError) as error:
                problems.append(f"{path}: {error}")
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
            except RecursionError:  # the decoder's, of brackets in brackets
                problems.append(f"{path}: JSON is nested too deeply")
            else:
                if kept.tailnet != self._tailnet:
                    problems.append(f"{path}: it is for the tailnet {escape(kept.tailnet, 60)!r}")
                elif not _is_hash(kept.sha256):
                    problems.append(f"{path}: it holds no SHA-256 in hex")
                else:
                    tokens.append(AccessToken(path.stem, kept.scope, kept.created, kept.sha256))
        self._tokens, self._problems = tuple(tokens), tuple(problems)


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text)
