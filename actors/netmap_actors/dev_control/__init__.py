"""The embedded control server: a ts2021 server with a small simulated tailnet, for first steps and for tests.

`assembly` puts one together, `actor` and `standalone` run it. No production code imports this package.
"""
