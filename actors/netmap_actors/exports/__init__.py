"""The netmap in the formats of other programs: a hosts file, JSON, targets for Prometheus.

Pure: values and text of a Netmap or Snapshot. Names and addresses come from a control server and are not trusted: what
the format cannot hold safely is left out.
"""
