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

import signal

from netmap_supervisor import cli

__all__ = ["main"]


def main() -> int:
    """Run the command line; the exit status."""
    # Inherited ignored, it would have the kernel reap our children and lose how they ended (waitpid(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
