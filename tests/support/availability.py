"""What a test does when the machine lacks something: it is skipped with the reason, and fails where CI=true."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """End the test: a skip with this reason, or a failure on a machine that has promised to have everything."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must not skip: {reason}", pytrace=False)
    pytest.skip(reason)
