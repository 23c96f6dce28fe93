"""Tries a control client against a server that misbehaves on purpose, and reports what the client did.

`scenarios`, `observations` and `verdicts` are pure; `runner` starts the server and the client.
"""
