"""The HTTP endpoint process: the netmap for programs that speak HTTP, read-only.

`actor` follows the bus and listens, `connection` is one client, `guard` admits requests, `pages` answers most of them,
`metrics` and `event_stream` the others.
"""
