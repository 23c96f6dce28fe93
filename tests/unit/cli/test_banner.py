"""The banner of `run`: how the HTTP endpoint is reached, and loudly that it is in plain text."""

from __future__ import annotations

import pytest

from netmap_supervisor.cli.run import facts
from netmap_supervisor.config.layers import load

NOWHERE = {"HOME": "/home/nobody", "XDG_RUNTIME_DIR": "/run/user/1"}
TLS = {"http_tls_cert": "/c.pem", "http_tls_key": "/k.pem"}
PATHS = "(the page; /netmap /events /sd /metrics /healthz)"
TOKENS = "for tokens of `netmap-supervisor tokens`"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"http_listen": "127.0.0.1:1"}, f"http://127.0.0.1:1/ {PATHS}"),
        ({"http_listen": "127.0.0.1:1", **TLS}, f"https://127.0.0.1:1/ {PATHS}"),
        ({"http_listen": "unix:/x"}, "curl --unix-socket /x http://localhost/healthz"),
        ({"http_listen": "0.0.0.0:1", **TLS}, f"https://0.0.0.0:1/ {PATHS}, {TOKENS}"),
        (
            {"http_listen": "[::]:1", "http_plaintext": True},
            f"http://[::]:1/ {PATHS}, {TOKENS}; IN PLAIN TEXT",
        ),
    ],
)
def test_it_says_how_to_ask_over_http(given: dict[str, object], said: str) -> None:
    configuration = load(given, NOWHERE)
    shown = list(facts(configuration.run_settings(log_format="json"), configuration))
    assert f"  http      {said}" in shown
