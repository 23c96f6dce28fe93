"""The client's side of the control protocol, from the first byte on a connection to the map session. Pure.

Not here: the protocol's layers (`protocol`), TCP (`transport`), the process (`control_connection.actor`).
"""
