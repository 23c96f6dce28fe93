"""Scenarios of what maps say of one peer: its name, its addresses, whether it is online."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.map_messages import (
    FOLD,
    add,
    addresses,
    key_of,
    listed,
    map_row,
    node,
    told,
)
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    Believes,
    BelievesServer,
    Edit,
    KeepsSession,
    Raw,
    Step,
)

__all__ = ["MAP_NODES"]

_BIRCH = {"NodeID": "{id:birch}"}
_FAR_AWAY = "2035-01-02T03:04:05Z"

MAP_NODES = (
    map_row(
        "peers-changed",
        "sends a node that is new, and the same node with another name and other addresses",
        "MUST list it each time as it is now, once, within {belief}",
        "An entry of PeersChanged is the whole node. Its number is what it is known by, not its name or address.",
        ("tailcfg.MapResponse.PeersChanged (capability version 5)", "tailscale/tailscale#20644", FOLD),
        Step(
            "sends birch",
            (Raw({"PeersChanged": [node(1, "birch")]}),),
            (Believes("birch", addresses=addresses(1)), KeepsSession()),
        ),
        Step(
            "sends birch with other addresses",
            (Raw({"PeersChanged": [node(1, "birch", home=2)]}),),
            (Believes("birch", addresses=addresses(2)), KeepsSession()),
        ),
        Step(
            "sends birch by the name of elm",
            (Raw({"PeersChanged": [node(1, "elm", home=2)]}),),
            (Believes("elm", addresses=addresses(2)), Believes("birch", present=False), KeepsSession()),
        ),
    ),
    map_row(
        "node-renamed",
        "renames a node",
        "MUST list it by its new name only within {belief}",
        "A name that stays leads to a node that it is no longer given to.",
        ("tailcfg.Node.Name", "tailscale/tailscale#20644"),
        Step("adds birch", add("birch"), (Believes("birch"), BelievesServer())),
        Step(
            "renames birch to larch",
            (Edit("rename", {"node": "birch", "name": "larch"}),),
            (*listed("larch", but=("birch",)), BelievesServer()),
        ),
    ),
    map_row(
        "address-reused",
        "gives the addresses of a node to a new one, and removes the old node then",
        "MUST list the new node with these addresses, and the old one no longer, within {belief}",
        "The removal concerns the old node only: whoever looks peers up by address must not lose the new owner.",
        ("tailcfg.MapResponse.PeersRemoved", "tailscale/tailscale#21061", "tailscale/tailscale#21104"),
        Step(
            "sends birch",
            (Raw({"PeersChanged": [node(1, "birch")]}),),
            (Believes("birch", addresses=addresses(1)),),
        ),
        Step(
            "sends elm with the addresses of birch, then removes birch",
            (
                Raw({"PeersChanged": [node(2, "elm", home=1)]}),
                Raw({"PeersRemoved": [node(1, "birch")["ID"]]}),
            ),
            (
                Believes("elm", addresses=addresses(1)),
                Believes("birch", present=False),
                KeepsSession(),
            ),
        ),
    ),
    map_row(
        "all-kinds-at-once",
        "removes one node, adds two and patches another, all in one message",
        "MUST list the peers with all of that applied within {belief}",
        "Servers put into one message what happened since the last one.",
        ("tailcfg.MapResponse", FOLD),
        Step(
            "sends ash, birch and cedar",
            (Raw({"PeersChanged": [node(3, "cedar"), node(1, "ash"), node(2, "birch")]}),),
            listed("ash", "birch", "cedar"),
        ),
        Step(
            "removes ash, takes birch offline, adds oak and elm",
            (
                Raw(
                    {
                        "PeersRemoved": [node(1, "ash")["ID"]],
                        "PeersChanged": [node(5, "oak"), node(4, "elm")],
                        "PeersChangedPatch": [{"NodeID": node(2, "birch")["ID"], "Online": False}],
                    }
                ),
            ),
            (
                *listed("cedar", "elm", "oak", but=("ash",)),
                Believes("birch", online=False),
                KeepsSession(),
            ),
        ),
    ),
    map_row(
        "patch-endpoints",
        "sends patches of a node: its endpoints, its home relay, its keys and when they expire",
        "MUST keep the peer and the session",
        "Patches are the common form of news. A client that cannot read one loses its session each minute.",
        (
            "tailcfg.PeerChange (capability version 33)",
            "tailscale/tailscale-rs#123",
            "tailscale/tailscale#5105",
        ),
        Step("adds birch", add("birch"), (Believes("birch"), BelievesServer())),
        told(
            "sends a patch with Endpoints",
            {"PeersChangedPatch": [_BIRCH | {"Endpoints": ["198.51.100.7:41641", "[2001:db8::7]:41641"]}]},
            seen="cedar",
        ),
        told(
            "sends a patch with DERPRegion and Cap",
            {"PeersChangedPatch": [_BIRCH | {"DERPRegion": 902, "Cap": 131}]},
            seen="elm",
        ),
        told(
            "sends a patch with Key, DiscoKey and KeyExpiry",
            {
                "PeersChangedPatch": [
                    _BIRCH
                    | {
                        "Key": key_of("nodekey", 7),
                        "DiscoKey": key_of("discokey", 7),
                        "KeyExpiry": _FAR_AWAY,
                    }
                ]
            },
            seen="larch",
        ),
    ),
    map_row(
        "patch-online",
        "sends patches that take a node offline and back, alone and with its endpoints, relay and key",
        "MUST show it offline and online again, each within {belief}",
        "Servers tell in this form who comes and goes; a client that reads only whole nodes shows what was at the "
        "beginning of its session.",
        (
            "tailcfg.PeerChange.Online (capability version 33)",
            "tailscale/tailscale-rs#41",
            "CamM2325/microlink#24",
        ),
        Step("adds birch", add("birch"), (Believes("birch", online=True),)),
        Step(
            "sends a patch with Online: false",
            (Raw({"PeersChangedPatch": [_BIRCH | {"Online": False}]}),),
            (Believes("birch", online=False), KeepsSession()),
        ),
        Step(
            "sends a patch with Online: true, Endpoints, DERPRegion, Key and KeyExpiry",
            (
                Raw(
                    {
                        "PeersChangedPatch": [
                            _BIRCH
                            | {
                                "Online": True,
                                "Endpoints": ["198.51.100.8:41641"],
                                "DERPRegion": 902,
                                "Key": key_of("nodekey", 8),
                                "KeyExpiry": _FAR_AWAY,
                            }
                        ]
                    }
                ),
            ),
            (Believes("birch", online=True), KeepsSession()),
        ),
    ),
    map_row(
        "online-change",
        "takes a node offline and back by OnlineChange",
        "MUST show it offline and online again, each within {belief}",
        "The older form of the same news, which servers still send; its keys are IDs written as texts.",
        (
            "tailcfg.MapResponse.OnlineChange (capability version 16)",
            "tailscale/tailscale#1711",
            "tailscale/tailscale-rs#41",
        ),
        Step("adds birch", add("birch"), (Believes("birch", online=True),)),
        Step(
            "sends OnlineChange with false",
            (Raw({"OnlineChange": {"{id:birch}": False}}),),
            (Believes("birch", online=False), KeepsSession()),
        ),
        Step(
            "sends OnlineChange with true",
            (Raw({"OnlineChange": {"{id:birch}": True}}),),
            (Believes("birch", online=True), KeepsSession()),
        ),
    ),
    map_row(
        "peer-seen-change",
        "says by PeerSeenChange that a node is gone, and that it was seen",
        "MUST go on listing the node, and keep the session",
        'It concerns LastSeen. The text of tailcfg calls false "gone", but the node is a peer until it is removed.',
        ("tailcfg.MapResponse.PeerSeenChange", "tailscale/tailscale-rs#41", FOLD),
        Step("adds birch", add("birch"), (Believes("birch"), BelievesServer())),
        told("sends PeerSeenChange with false", {"PeerSeenChange": {"{id:birch}": False}}, seen="cedar"),
        told("sends PeerSeenChange with true", {"PeerSeenChange": {"{id:birch}": True}}, seen="elm"),
    ),
    map_row(
        "sparse-node",
        "sends a node that has no more than it needs, and a name without the dot at its end",
        "SHOULD list it within {belief}, and keep the session",
        "Most fields of a node are left out when there is nothing to say: no endpoints, no relay, no Hostinfo.",
        ("tailcfg.Node",),
        Step(
            "sends fir",
            (
                Raw(
                    {
                        "PeersChanged": [
                            {
                                name: value
                                for name, value in node(1, "fir", Name="fir.dev.netmap.example").items()
                                if name
                                in ("ID", "StableID", "Name", "User", "Key", "Addresses", "AllowedIPs")
                            }
                        ]
                    }
                ),
            ),
            (Believes("fir", addresses=addresses(1)), KeepsSession()),
            level=Level.SHOULD,
        ),
        level=Level.SHOULD,
    ),
)
