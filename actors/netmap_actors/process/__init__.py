"""How a pykka actor becomes an operating system process: bootstrap, base class, confinement, logging."""
