"""`fault`: the command, what it prints of a recovery, and `run --demo-faults`."""
