"""The embedded control server: a ts2021 server with a small living tailnet, for a first look and for tests.

Not here: anything production relies on; nothing outside development imports this room.
"""
