"""Recorded map sessions: `format` (lines of a recording), `files` (suffixes, modes), `state` (their sum).

Not here: how the MapResponses are come by (`bus.tap`), what hides names in them (`pseudonyms`), and playing them
(`dev_control.replay`).
"""
