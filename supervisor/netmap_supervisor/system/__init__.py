"""The operating system as the daemon uses it: processes, signals, routes, locks, systemd, log."""
