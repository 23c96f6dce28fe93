"""`export`: the netmap as a file for other programs, once or kept current."""
