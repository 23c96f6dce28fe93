"""The netmap in the formats of other programs: hosts file, zone, JSON, inventory, targets, template.

Pure: values and text of a Netmap or Snapshot. Names and addresses come from a control server and are not trusted: what
the format cannot hold safely is left out.
"""
