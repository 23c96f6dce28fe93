"""The actors of netmap-supervisor and the rooms they are built from.

Nothing is imported here: a subscriber loads only the rooms it needs.
"""
