"""Room for thousands of sockets in one process."""

from __future__ import annotations

import resource


def allow_files(count: int) -> None:
    """Raise the soft limit of open files, as far as the hard one lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
