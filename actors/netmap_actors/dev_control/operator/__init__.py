"""What an operator may do with a running server: commands, scenarios, files, listings."""
