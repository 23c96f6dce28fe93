"""X.509 certificates."""
