"""Tests a control client against a server with faults, and reports what the client did.

`scenarios`, `observations` and `verdicts` are pure; `runner` starts the server and the client.
"""
