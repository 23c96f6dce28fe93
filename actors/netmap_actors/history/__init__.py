"""What the daemon lived through: occurrences and spans of time, kept in SQLite.

`occurrences` and `recorder` decide what is written, `spans` what may be said of a time, all pure; `store` keeps it.
"""
