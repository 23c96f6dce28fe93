"""`config`: the command, and the check of what the daemon would refuse."""
