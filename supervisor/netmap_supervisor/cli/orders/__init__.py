"""Orders to a running daemon: one command a file."""
