"""What the orders about others' things may be carried out on, and a view in the place of one that ended."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_supervisor.admin.socket import AdminClient
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.matrix.scene import Scene


def spare_socket(path: Path, owner: int) -> None:
    """A socket for which nobody would be sorry; to be asked for by one thread at a time."""
    if not path.exists():
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
        os.chown(path, owner, owner)


def another_view(scene: Scene, ended: int, limit: float = 30.0) -> None:
    """A view that ended is started again with the next event, after a pause: here is one."""

    def there() -> bool:
        if scene.members["view"].pid != ended:
            return True
        AdminClient(scene.daemon.runtime_dir, limit=2.0).request("reload")
        return False

    wait_for(there, limit, "another view", every=0.2)
