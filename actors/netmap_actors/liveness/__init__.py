"""The liveness process: decides from the time since the last MapResponse whether the connection is dead.

`detector` is the machine, `actor` its shell.
"""
