"""Clients' connections: sockets, requests, map streams, and the faults injected into them."""
