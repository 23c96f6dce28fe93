"""A command as a process: how it waits, what interrupts it, how it ends."""
