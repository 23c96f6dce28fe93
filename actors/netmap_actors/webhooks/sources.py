"""The files of a webhook: its URL, the key of its signatures, its template. Read when they are used.

No error repeats what was read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netmap_actors.errors import ConfigurationError
from netmap_actors.transport.proxy import is_loopback
from netmap_actors.web_url import BadUrl, WebUrl

if TYPE_CHECKING:
    from netmap_actors.webhooks.spec import WebhookSpec

__all__ = ["Denied", "read_key", "read_template", "read_url"]

MAX_SECRET: Final = 4096
"""Bytes of a URL or a key."""
MAX_TEMPLATE: Final = 256 << 10
"""Bytes of a template."""


class Denied(ConfigurationError):
    """The file may not be read."""


def read_url(spec: WebhookSpec) -> WebUrl:
    """Where it sends to. Raises ConfigurationError."""
    text = _secret(spec.url, "the URL")
    try:
        url = WebUrl.parse(text)
    except BadUrl as error:
        raise ConfigurationError(f"cannot use the URL of webhook {spec.name}: {error}") from None
    if not (url.is_https or spec.plaintext or is_loopback(url.host)):
        raise ConfigurationError(
            f"cannot use the URL of webhook {spec.name}: it is http to another machine; use https, or allow it with "
            "plaintext = true"
        )
    return url


def read_key(spec: WebhookSpec) -> bytes | None:
    """What signs its requests; None where nothing does. Raises ConfigurationError."""
    return _secret(spec.secret, "the key").encode() if spec.secret else None


def read_template(spec: WebhookSpec, name: str) -> str | None:
    """The text of a template beside its own; None where there is none. Raises ConfigurationError."""
    if "/" in name or name in {"", ".", ".."}:
        return None
    path = Path(spec.template).parent / name
    try:
        return _read(str(path), MAX_TEMPLATE, "the template")
    except FileNotFoundError:
        return None


def _secret(source: str, what: str) -> str:
    how, _, place = source.partition(":")
    if how != "file":
        raise ConfigurationError(f"cannot read {what} from {source}: there is no $CREDENTIALS_DIRECTORY")
    try:
        text = _read(place, MAX_SECRET, what).strip()
    except FileNotFoundError:
        raise ConfigurationError(f"cannot read {what} from {place}: there is no such file") from None
    if not text:
        raise ConfigurationError(f"cannot use {what} in {place}: it is empty")
    if not text.isprintable() or " " in text:
        raise ConfigurationError(f"cannot use {what} in {place}: it has to be one word, alone")
    return text


def _read(path: str, limit: int, what: str) -> str:
    """Raises FileNotFoundError, ConfigurationError."""
    try:
        # A pipe must not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            data = file.read(limit + 1) if is_file else b""
    except FileNotFoundError:
        raise
    except PermissionError:
        raise Denied(f"cannot read {what} from {path}: {os.strerror(13)}") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {what} from {path}: {error.strerror}") from None
    if not is_file:
        raise ConfigurationError(f"cannot use {what} in {path}: it is not a file")
    if len(data) > limit:
        raise ConfigurationError(f"cannot use {what} in {path}: it has over {limit} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"cannot use {what} in {path}: it is not text in UTF-8") from None
