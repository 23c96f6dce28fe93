"""Where an attempt takes place: a server, the client with its log, the peers command, what the check itself does."""
