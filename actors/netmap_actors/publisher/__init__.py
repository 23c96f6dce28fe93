"""The publisher process: numbered netmap changes for subscribers on this machine and on others.

`actor` carries MapResponses into the machine in `publication/` and its output to the sockets; `front` is one pair of
sockets, `remote` a second pair over TCP behind CURVE keys, `flood_guard` bounds what clients may send.
"""
