"""The command `netmap-supervisor`, and `python -m netmap_supervisor`."""

from __future__ import annotations

import sys

# `python -m` looks into the working directory first, which is anybody's: nothing is imported from there, unless we are.
if (
    __name__ == "__main__"
    and not sys.flags.safe_path
    and sys.path[0] != __file__.rpartition("/")[0].rpartition("/")[0]
):
    del sys.path[0]

import os
import signal

__all__ = ["main"]


def main() -> int:
    """Run the command line; the exit status."""
    # Inherited ignored, it would have the kernel reap our children and lose how they ended (waitpid(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    first_nursery = None
    if sys.argv[1:2] == ["run"]:
        from netmap_supervisor.system.signals import hold_signals_of_first_process  # noqa: PLC0415

        hold_signals_of_first_process()
        # Before all else: while it loads the children's rooms, this process loads the command line and its own.
        from netmap_supervisor.system.nursery_process import fork_first  # noqa: PLC0415

        first_nursery = fork_first(sys.argv[1:], os.environ)
    elif os.getpid() == 1:
        # The first process of a container is given no signal for which it has no handler (pid_namespaces(7)).
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        from netmap_supervisor import cli  # noqa: PLC0415

        return cli.main(first_nursery=first_nursery)
    finally:
        if first_nursery is not None:
            first_nursery.close()


if __name__ == "__main__":
    sys.exit(main())
