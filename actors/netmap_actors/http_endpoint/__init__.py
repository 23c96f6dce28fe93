"""The HTTP endpoint process: the netmap for programs that speak HTTP, read-only.

`actor` follows the bus and listens, `connection` is one client, `guard` says who may ask, `pages` what there is,
`metrics` and `event_stream` write two of the pages.
"""
