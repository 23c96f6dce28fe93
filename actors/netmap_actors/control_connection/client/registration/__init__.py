"""Who this node is and whether the server knows it: keys, Hostinfo, registration, refresh. Pure."""
