"""The actors of netmap-supervisor and the rooms they are built from.

Nothing is imported here: a subscriber loads only the rooms it needs.
"""

__version__ = "0.1.0"
"""Of both packages: what is installed, and what this process runs. To find it, importlib.metadata loads what reads
e-mail and zip files."""
