"""A control client without a watchdog: it joins and reads on for ever. Not a test."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

from tests.control_client import joined


def main() -> None:
    server: Any = SimpleNamespace(
        url=os.environ["NETMAP_CHECK_URL"], auth_key=os.environ["NETMAP_CHECK_AUTH_KEY"]
    )
    client, _stream = joined(server, os.environ["NETMAP_CHECK_HOSTNAME"])
    while True:
        try:
            client.wait(lambda: False, 3600.0)
        except TimeoutError:
            time.sleep(0)


if __name__ == "__main__":
    main()
