"""The process that holds the connection to the control server: one process, one TCP connection.

`actor` is the shell around the machine in `client/`; `carrier` moves its bytes, `node_state` keeps keys and
registration, `reports` sends each MapResponse to liveness and publisher, `side_requests` use connections of their own,
`dialer` opens them.
Not here: whether the connection is alive (`liveness`).
"""
