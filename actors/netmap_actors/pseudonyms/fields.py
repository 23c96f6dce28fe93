"""What the members of documents hold: tables by name, for the control server's JSON and for our own.

A text in a member that no table has is replaced by what it looks like (`originals`). Names are compared without case
and underscores. Sources: tailscale: tailcfg/tailcfg.go; our own: docs/reference.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ARBITRARY", "KEYS", "OURS", "STRUCTS", "TAILCFG", "folded"]


def folded(member: str) -> str:
    """The name of a member as the tables have it."""
    return member.replace("_", "").casefold()


def _rows(table: dict[str, str]) -> dict[str, str]:
    return {member: kind for kind, members in table.items() for member in members.split()}


TAILCFG: Final = _rows(
    {
        "number": "id nodeid user userid sharer peersremoved loginid",
        "stable": "stableid node",
        "name": """
            name computedname computednamewithhost hostname domain domains certdomains magicdnssuffix searchpaths
            exitnodefilteredset certname city country citycode countrycode
        """,
        "login": "loginname userlogin groups",
        "person": "displayname",
        "tag": "tags requesttags",
        "address": "srcips ip dsts srcs",
        "capability": "cap caps capability capabilities",
        "region": "regioncode regionname",
        "bytes": "keysignature payload nodekeysignature",
        "prose": "health title text label message description",
        "token": """
            os osversion distro distroversion distrocodename goversion goarch goarchvar ipnversion package env cloud
            latestversion severity compress linktype firewallmode proto hostinfo.app pingrequest.types
        """,
        "machine": "machine",
        "unix": "localuser",
        "place": "latitude longitude",
        "amount": "sessionduration sleepseconds",
    }
)
"""Members in tailcfg; `parent.member` before `member`."""

KEYS: Final = {
    "onlinechange": "stable",
    "peerseenchange": "stable",
    "routes": "name",
    "capmap": "capability",
    "packetfilters": "chunk",
    "displaymessages": "prose",
    "regions": "region_id",
    "regionscore": "region_id",
    "derplatency": "region_id",
    "sshusers": "unix",
    "serviceips": "name",
}
"""Members whose own members are named by data, and by what kind."""

ARBITRARY: Final = frozenset({"capmap"})
"""Of these, those with values of any form."""

STRUCTS: Final = frozenset(
    {
        "node", "peers", "peerschanged", "peerschangedpatch", "hostinfo", "netinfo", "services", "derpmap", "nodes",
        "dnsconfig", "resolvers", "fallbackresolvers", "nameservers", "extrarecords", "packetfilter", "dstports",
        "capgrant", "ports", "userprofiles", "sshpolicy", "rules", "principals", "action", "onrecordingfailure",
        "tkainfo", "debug", "controldialplan", "candidates", "clientversion", "pingrequest", "primaryaction",
        "homeparams", "location", "login", "user",
    }
)  # fmt: skip
"""Members that are structures: the names of their members, even new ones, are the protocol's."""

OURS: Final = _rows(
    {
        "number": "nodeid userid",
        "stable": "stableid",
        "name": "name peer domain hostname oldname newname",
        "login": "loginname user",
        "person": "displayname",
        "tag": "tags requesttags",
        "control": "control.url controlurl",
        "same": "actors.name",
        "token": "actor event level kind state code stage version layer timestamp",
    }
)
"""Members of the status, of the history's answers and of the log; a text in any other one is a sentence."""
