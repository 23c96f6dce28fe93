"""The actors of netmap-supervisor and the rooms they are built from.

Nothing is imported here: a subscriber that loads one room must not pay for the others.
"""
