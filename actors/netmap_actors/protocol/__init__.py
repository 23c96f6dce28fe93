"""The ts2021 protocol without input or output: bytes in, events out, for both roles.

Not here: sockets, clocks, randomness (ephemeral keys and times are arguments) and the meaning of any JSON.
"""
