"""Entry of every child process: `python -P -m netmap_actors NAME --boot-fd N`. Started by the Supervisor only."""

from __future__ import annotations

import sys

from netmap_actors.nursery.orders import ROLE
from netmap_actors.process.bootstrap import ACTOR_CLASSES, main

if __name__ == "__main__":
    # Not argparse, which loads locales and three compressors into every child to describe one flag.
    match sys.argv[1:]:
        case [actor, "--boot-fd", number] if actor in ACTOR_CLASSES and number.isdecimal():
            main(actor, int(number))
        case [role, "--boot-fd", number] if role == ROLE and number.isdecimal():
            # Not for the others: what is wrong with it must not keep them from starting without it.
            from netmap_actors.nursery import forking

            forking.main(int(number))
        case _:
            roles = "|".join([*sorted(ACTOR_CLASSES), ROLE])
            sys.exit(
                f"cannot start an actor: python -P -m netmap_actors {roles} --boot-fd N is expected, as "
                "netmap-supervisor run calls it"
            )
