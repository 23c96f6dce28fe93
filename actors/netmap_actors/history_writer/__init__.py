"""The actor that writes the history. `recorder` decides what is written, `actor` carries it from the bus to a file."""
