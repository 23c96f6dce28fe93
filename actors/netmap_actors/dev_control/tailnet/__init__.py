"""The server's tailnet: nodes, policy, visibility, the netmap of each client, simulated changes."""
