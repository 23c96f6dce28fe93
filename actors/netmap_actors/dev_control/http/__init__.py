"""Clients' connections: sockets, requests, map streams, and faults applied to them."""
