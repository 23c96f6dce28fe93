"""The standard error of the children, line by line, into the log."""
