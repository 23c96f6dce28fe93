"""Pace and history of control connections: when the next is made, what the last ones had in common. Pure."""
