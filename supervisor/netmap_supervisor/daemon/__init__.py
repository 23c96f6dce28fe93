"""The daemon: the Supervisor actor around its machine (`core`), the children as processes, operators' requests."""
