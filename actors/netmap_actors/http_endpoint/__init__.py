"""The HTTP endpoint process: the netmap for programs that speak HTTP, and for people in a browser, read-only.

`actor` follows the bus and listens, `connection` is one client, `guard` admits requests and `access` their tokens and
`sessions`, `pages` answers most of them, `metrics` and `event_stream` the others, and `page_files` gives the page.
"""
