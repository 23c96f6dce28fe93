"""The netmap in the formats of other programs: a hosts file, JSON, targets for Prometheus.

Pure: each function takes a Netmap and what is known about it, and returns values or text. Who writes them to a file or
answers a request with them is somebody else. Names and addresses come from a control server and are not trusted: what
the format cannot hold safely is left out.
"""
