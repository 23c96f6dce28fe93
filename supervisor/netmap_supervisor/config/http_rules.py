"""What of the settings of the HTTP endpoint goes together, above all where other machines reach it.

Not here: the settings one by one (`config.options`), and who is told (`config.layers`).
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.errors import escape
from netmap_supervisor.config.reach import is_for_others

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netmap_supervisor.config.layers import Problem, Setting

__all__ = ["contradictions", "doubts"]


def contradictions(settings: Mapping[str, Setting]) -> Iterator[Problem]:
    """What cannot be, at the setting that is to be changed."""
    listen, plaintext = settings["http_listen"], settings["http_plaintext"]
    cert, key = settings["http_tls_cert"], settings["http_tls_key"]
    for one, other in ((cert, key), (key, cert)):
        if one.value and not other.value:
            yield one.problem(f"{one.option.path} needs {other.option.path} beside it; give both, or none")
    if plaintext.value and cert.value:
        yield plaintext.problem(
            f"cannot serve in plain text with {cert.option.path}: that is for TLS; give one of the two"
        )
    if cert.value and listen.value.startswith("unix:"):
        yield cert.problem(f"cannot use TLS on {listen.value}: no network leads there; leave it out")
    if is_for_others(listen.value) and not (plaintext.value or cert.value or key.value):
        yield listen.problem(
            f"cannot listen on {listen.value}: other machines reach it, and the netmap and the tokens would be in "
            f"clear; give {cert.option.path} and {key.option.path}, or {plaintext.option.path} = true behind a proxy "
            "that has TLS, or listen on 127.0.0.1"
        )


def doubts(settings: Mapping[str, Setting]) -> Iterator[str]:
    """What works but is probably not intended, or dangerous."""
    listen, plaintext, key = (settings[name] for name in ("http_listen", "http_plaintext", "http_tls_key"))
    if plaintext.value and is_for_others(listen.value):
        yield (
            f"{plaintext.option.path} is on: whoever sees the packets to {listen.value} reads the netmap and the "
            "tokens; a proxy with TLS has to be in front"
        )
    cert = settings["http_tls_cert"].value
    if not listen.value or not cert:
        return
    # The netmap is for others, too: a certificate that is not there yet keeps nobody else waiting.
    if why := _why_unusable(cert, key.value):
        yield f"cannot use {cert} with the key {key.value}: {why}; the HTTP endpoint opens once it can"
    elif Path(key.value).stat().st_mode & stat.S_IROTH:
        yield f"the key {key.value} of the HTTP endpoint can be read by everybody; chmod 600 it"


def _why_unusable(certificate: str, key: str) -> str:
    """Why a server cannot use a certificate with a key; empty: it can."""
    # Loaded here: few have one, and it takes as long as everything else.
    import ssl  # noqa: PLC0415

    for path in (certificate, key):
        try:
            if not stat.S_ISREG(Path(path).stat().st_mode):
                return f"{path} is no regular file"
            Path(path).open("rb").close()
        except OSError as error:
            return f"{path}: {error.strerror}; name a readable PEM file"
    try:
        # Without a password callback OpenSSL would ask on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:
        reason = getattr(error, "reason", None) or ""
        if reason == "KEY_VALUES_MISMATCH":
            return "the key is not that of the certificate"
        # Such as EE_KEY_TOO_SMALL.
        return (
            escape(reason.replace("_", " ").lower(), 80) or "both have to be PEM, and the key not encrypted"
        )
    return ""
