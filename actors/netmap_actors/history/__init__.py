"""What the daemon lived through: occurrences and spans of time, kept in SQLite, and what is told of them."""
