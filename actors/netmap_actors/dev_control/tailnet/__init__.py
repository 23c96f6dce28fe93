"""The server's tailnet: nodes, policy, who sees whom, what each client was told, simulated life."""
