"""The faults the server commits on request: catalogue, parameters, malformed bytes, lost packets."""
