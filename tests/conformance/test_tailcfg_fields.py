"""The fields that pseudonyms are tried on are those that tailscale's own source declares."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.peers.go_tools import HERE
from tests.support.schemas.tailcfg import declared_fields, known_fields


def module() -> Path | None:
    """Of the version that go.mod pins, where it is in the cache; nothing is fetched."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        return None
    pinned = [
        line.split()[1] for line in (HERE / "go.mod").read_text().splitlines() if "\ttailscale.com " in line
    ]
    done = subprocess.run([go, "env", "-json", "GOMODCACHE"], capture_output=True, text=True, check=True)
    path = Path(json.loads(done.stdout)["GOMODCACHE"]) / f"tailscale.com@{pinned[0]}"
    return path if path.is_dir() else None


def test_the_fields_are_those_of_the_pinned_source() -> None:
    source = module()
    if source is None:
        pytest.skip("tailscale's source is not in the cache of Go modules here")
    assert known_fields() == declared_fields(source)
