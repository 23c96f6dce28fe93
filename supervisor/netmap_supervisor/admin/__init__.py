"""How commands reach the daemon: the admin socket, requests, replies, the status report."""
