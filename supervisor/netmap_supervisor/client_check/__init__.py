"""Tries a control client against a server that misbehaves on purpose, and says what the client did.

The table of trials, the witness and the judge are pure; `course` starts the server and the client.
"""
