"""Entry of every child process: `python -P -m netmap_actors NAME --boot-fd N`. Started by the Supervisor only."""

from __future__ import annotations

import argparse

from netmap_actors.nursery.orders import ROLE
from netmap_actors.process.bootstrap import ACTOR_CLASSES, main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -P -m netmap_actors", description=__doc__)
    parser.add_argument("actor", choices=[*sorted(ACTOR_CLASSES), ROLE])
    parser.add_argument("--boot-fd", type=int, required=True, help="descriptor the boot record is read from")
    options = parser.parse_args()
    if options.actor == ROLE:
        # Not for the others: what is wrong with it must not keep them from starting without it.
        from netmap_actors.nursery import forking

        forking.main(options.boot_fd)
    main(options.actor, options.boot_fd)
