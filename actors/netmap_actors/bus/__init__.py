"""ZeroMQ for the actors: the one loop of a process, the actor's mailbox on it, and sockets with limits."""
