"""`netmap`: the peers, one of them, or another part of the netmap."""
