"""The process that holds the connection to the control server: one process, one TCP connection.

`actor` is the shell around the machine in `client/`; `node_state` keeps who we are, `reports` carries each MapResponse
to liveness and publisher, `side_requests` are made over connections of their own, `dialer` opens any of them.
Not here: whether the connection is alive (`liveness`).
"""
