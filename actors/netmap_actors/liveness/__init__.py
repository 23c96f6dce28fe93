"""The liveness process: decides whether the connection is dead from the time since the last MapResponse.

`detector` is the machine, `actor` its shell.
"""
