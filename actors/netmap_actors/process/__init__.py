"""How a pykka actor becomes an operating system process: bootstrap, base class, logging, sockets it shares."""
