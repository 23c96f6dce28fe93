"""The client's side of the control protocol: from the first byte on a connection to the map session.

Not here: the protocol's layers (`protocol`), the connection below (`transport`) and the process around
(`control_connection`).
"""
