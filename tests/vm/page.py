"""What docs/howto/systemd.md tells an administrator to type, taken from the page word by word."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tests.vm.image import ROOT

__all__ = ["control_host", "install_commands", "start_condition"]

PAGE = ROOT / "docs" / "howto" / "systemd.md"
SECTION = "# As a systemd service"


def _section() -> str:
    return PAGE.read_text().partition(f"{SECTION}\n")[2].partition("\n## ")[0]


def install_commands() -> list[str]:
    """The lines of the block that installs the service, in order."""
    blocks = re.findall(r"^```\n(.*?)^```", _section(), flags=re.DOTALL | re.MULTILINE)
    found = [block for block in blocks if "pip install" in block and "systemctl" in block]
    assert len(found) == 1, f"{SECTION} has {len(found)} blocks that install the service"
    return [line for line in found[0].splitlines() if line.strip() and not line.startswith("#")]


def control_host() -> str:
    """The host name of the control server that these lines set; its URL is https."""
    urls = re.findall(r"https://[^\s\"'\\]+", "\n".join(install_commands()))
    assert len(urls) == 1, f"the install lines name {len(urls)} control servers"
    host = urlsplit(urls[0]).hostname
    assert host, urls[0]
    return host


def start_condition() -> str:
    """The command that another unit waits with until the netmap is there."""
    told = re.findall(r"`ExecStartPre=([^`]+)`", _section())
    assert len(told) == 1, f"{SECTION} names {len(told)} commands to wait with"
    return " ".join(told[0].split())
