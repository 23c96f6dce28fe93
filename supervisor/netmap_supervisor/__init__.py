"""netmap-supervisor: a control client that is right, or says that it is stale."""
