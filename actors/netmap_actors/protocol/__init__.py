"""The ts2021 protocol, sans I/O: bytes in, events out, for both roles.

Not here: sockets, clocks, randomness (ephemeral keys and times are arguments) and the meaning of JSON.
"""
