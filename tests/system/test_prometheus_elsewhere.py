"""A Prometheus on another machine: over TLS, with a token, and with what it finds there as its targets."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.availability import unavailable
from tests.support.peers.prometheus import Prometheus, running_prometheus
from tests.support.processes.daemon import Daemon
from tests.support.programs import found, reads
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.host.netns import Pair

pytestmark = [pytest.mark.netns, pytest.mark.xdist_group("netns")]

PORT = 9641
LIMIT = 40.0
"""Seconds until a change shows at a Prometheus that asks every second."""
CONFIG = """
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: netmap
    scheme: https
    tls_config: {{ ca_file: ca.pem }}
    authorization: {{ credentials_file: token }}
    static_configs: [{{ targets: ["{where}"] }}]
  - job_name: peers
    http_sd_configs:
      - url: https://{where}/sd?port=9100
        refresh_interval: 1s
        tls_config: {{ ca_file: ca.pem }}
        # Without its type some versions send the bare token here (prometheus/prometheus issue 12762).
        authorization: {{ type: Bearer, credentials_file: token }}
  - job_name: without
    scheme: https
    tls_config: {{ ca_file: ca.pem }}
    static_configs: [{{ targets: ["{where}"] }}]
  - job_name: untrusting
    scheme: https
    authorization: {{ credentials_file: token }}
    static_configs: [{{ targets: ["{where}"] }}]
"""


def self_signed(directory: Path, address: str) -> None:
    """As the documentation has it."""
    reads(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365",
        "-subj", "/CN=netmap", "-addext", f"subjectAltName=IP:{address}",
        "-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem",
    )  # fmt: skip


def health(prometheus: Prometheus) -> dict[str, tuple[str, str]]:
    """(health, last error) of each job with one target."""
    return {
        one["labels"]["job"]: (one["health"], one["lastError"])
        for one in prometheus.targets()
        if one["labels"]["job"] != "peers"
    }


def test_it_scrapes_over_tls_with_a_token_and_finds_its_targets(namespaces: Pair, tmp_path: Path) -> None:
    found("openssl")
    if shutil.which("curl") is None:
        unavailable("asking a Prometheus of another network needs curl")
    where = f"{namespaces.server.address}:{PORT}"
    tls, there = tmp_path / "tls", tmp_path / "there"
    tls.mkdir(), there.mkdir()
    self_signed(tls, namespaces.server.address)
    shutil.copy(tls / "cert.pem", there / "ca.pem")
    with Daemon(
        f"--http-listen={where}",
        f"--http-tls-cert={tls}/cert.pem",
        f"--http-tls-key={tls}/key.pem",
        "--dev-nodes=3",
        "--dev-churn=0",
        prefix=namespaces.server.prefix,
    ) as daemon:
        daemon.wait_fresh()
        daemon.wait_event("http_endpoint_open", LIMIT)
        token = daemon.command("tokens", "create", "prometheus", "--scope", "metrics", check=True).stdout
        (there / "token").write_text(token)
        with running_prometheus(there, CONFIG.format(where=where), namespaces.client.prefix) as prometheus:
            wait_for(
                lambda: prometheus.query('up{job="netmap"} == 1'), LIMIT, "a scrape over TLS with a token"
            )
            (fresh,) = prometheus.query('netmap_state{job="netmap",netmap_state="fresh"}')
            assert fresh["value"][1] == "1"
            assert prometheus.query("netmap_http_certificate_expiry_timestamp_seconds - time() > 300 * 86400")

            def peers() -> set[str]:
                return {
                    one["labels"]["instance"]
                    for one in prometheus.targets()
                    if one["labels"]["job"] == "peers"
                }

            wait_for(lambda: len(peers()) == 3, LIMIT, "three targets from /sd")
            assert all(one.startswith("100.64.") and one.endswith(":9100") for one in peers())
            refused = wait_for(
                lambda: (
                    (found := health(prometheus)) and found["without"][1] and found["untrusting"][1] and found
                ),
                LIMIT,
                "what is refused",
            )
            assert "401 Unauthorized" in refused["without"][1]
            assert "certificate" in refused["untrusting"][1]
            daemon.command("tokens", "revoke", "prometheus", check=True)
            wait_for(lambda: "401" in health(prometheus)["netmap"][1], LIMIT, "a revoked token")
            again = daemon.command("tokens", "create", "prometheus", "--scope", "metrics", check=True).stdout
            (there / "token").write_text(again)
            wait_for(
                lambda: health(prometheus)["netmap"][0] == "up", LIMIT, "the next token, without a restart"
            )
        status = daemon.status()
        assert status is not None
        assert status["http"] == {"listen": where, "tls": True, "token_required": True}
        assert status["degraded"] == []
        assert not any(one["refused_calls"] for one in status["actors"])
        log = daemon.log_path.read_text()
        assert "nms_" not in log
        assert daemon.events("http_token_refused", actor="http_endpoint")
