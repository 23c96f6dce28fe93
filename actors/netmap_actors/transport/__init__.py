"""Byte streams to the control server: names to addresses, addresses to a connection, TLS over it; TLS of a server.

Not here: what the bytes mean.
"""
