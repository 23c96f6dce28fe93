"""The command `netmap-supervisor`, and `python -m netmap_supervisor`."""

from __future__ import annotations

import signal
import sys

from netmap_supervisor import cli

__all__ = ["main"]


def main() -> int:
    """Run the command line; the exit status."""
    # Inherited ignored, it would have the kernel reap our children and lose how they ended (waitpid(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
