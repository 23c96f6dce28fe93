"""This node's identity and registration: keys, Hostinfo, register, refresh. Pure."""
