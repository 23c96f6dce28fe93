"""Tests a control client against a server with faults, and reports what the client did.

`scenarios`, `course`, `verdicts`, `outcome` and `report` are pure; `runner` holds the course in threads, `attempt` runs
one scenario in a `place` with a server and the client.
"""
