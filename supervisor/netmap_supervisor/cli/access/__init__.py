"""The commands about who may read the netmap from elsewhere."""
