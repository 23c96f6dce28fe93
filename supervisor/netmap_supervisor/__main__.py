"""The command `netmap-supervisor`, and `python -m netmap_supervisor`."""

from __future__ import annotations

import sys

from netmap_supervisor import cli

__all__ = ["main"]


def main() -> int:
    """Run the command line; the exit status."""
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
