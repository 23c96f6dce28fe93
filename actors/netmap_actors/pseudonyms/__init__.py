"""Pseudonyms for what a tailnet must not tell strangers: keys, people, names, tags, addresses, hosts.

Within one `Pseudonyms` the same original always gets the same pseudonym. Not here: what is written where.
"""

from __future__ import annotations

from netmap_actors.pseudonyms.replacing import Pseudonyms

__all__ = ["Pseudonyms"]
