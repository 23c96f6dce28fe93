"""The connection may read certificates where it uses TLS, and does not load 2 MiB of it where it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from netmap_actors.confinement import system_files
if sys.argv[1:]:
    import ssl
print(len(system_files.certificates({"SSL_CERT_DIR": "/own"})), "ssl" in sys.modules)
"""


@pytest.mark.parametrize(("given", "some"), [((), False), (("tls",), True)])
def test_certificates_are_for_a_process_that_has_loaded_tls(given: tuple[str, ...], some: bool) -> None:
    shown = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *given], capture_output=True, text=True, check=True, timeout=60
    )
    count, loaded = shown.stdout.split()
    assert (int(count) > 0, loaded) == (some, str(some))
