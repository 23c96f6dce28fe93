"""Scenarios of what maps mean: which nodes are peers, and what says nothing of them."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.map_messages import (
    FOLD,
    add,
    addresses,
    listed,
    map_row,
    node,
    told,
)
from netmap_supervisor.devtools.client_check.scenarios.map_nodes import MAP_NODES
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    Believes,
    BelievesServer,
    Cut,
    Edit,
    KeepsSession,
    Raw,
    Step,
)

__all__ = ["MAP"]

MAP = (
    CheckScenario(
        "map/foreign-ping",
        "asks for a call to an address of somebody else",
        Shape.STEADY,
        "SHOULD never call there, and keep the connection for {look}",
        "A client that calls any URL it is told can be made to call into the network it stands in.",
        ("tailcfg.PingRequest.URL", "tailscale: control/controlclient/direct.go (calls any host)"),
        Level.SHOULD,
        "map/foreign-ping",
    ),
    # Which nodes are peers.
    map_row(
        "full-is-authoritative",
        "sends a full list of peers, in the middle of a session, with one peer that is new and one of those before",
        "MUST list those two and no other within {belief}",
        "A list in Peers that is not empty is the whole list. A policy that takes peers away may arrive so: who adds "
        "such a list to the old one goes on trusting whom it must not.",
        ("tailcfg.MapResponse.Peers", "Csontikka/esphome-tailscale#32", FOLD),
        Step("adds ash and birch", add("ash", "birch"), (*listed("ash", "birch"), BelievesServer())),
        Step(
            "sends Peers with cedar and elm",
            (Raw({"Peers": [node(1, "cedar"), node(2, "elm")]}),),
            listed("cedar", "elm", but=("ash", "birch")),
        ),
        Step(
            "sends Peers with elm",
            (Raw({"Peers": [node(2, "elm")]}),),
            listed("elm", but=("cedar",)),
        ),
        nodes=0,
    ),
    map_row(
        "full-ignores-deltas",
        "sends a full list of peers, and in the same message the removal of one of them",
        "SHOULD list all of the full list within {belief}",
        "Beside a full list the deltas say nothing: clients that apply them have another tailnet than the reference.",
        ("tailcfg.MapResponse.Peers", FOLD),
        Step(
            "sends Peers with cedar and elm, and PeersRemoved with elm",
            (Raw({"Peers": [node(1, "cedar"), node(2, "elm")], "PeersRemoved": [node(2, "elm")["ID"]]}),),
            (*listed("cedar", "elm"), KeepsSession()),
            level=Level.SHOULD,
        ),
        level=Level.SHOULD,
        nodes=0,
    ),
    map_row(
        "empty-peers-change-nothing",
        "sends lists of peers that are empty",
        "MUST go on listing the same peers, and keep the session",
        "An empty list means no change, as an absent one: read as an empty tailnet it cuts off every peer.",
        ("tailcfg.MapResponse.Peers", "juanfont/headscale#1384", FOLD),
        told("sends Peers: []", {"Peers": []}, seen="birch"),
        told(
            "sends every list empty",
            {"Peers": [], "PeersChanged": [], "PeersRemoved": [], "PeersChangedPatch": []},
            seen="cedar",
        ),
    ),
    map_row(
        "null-is-absent",
        "sends null for all that a message may have",
        "SHOULD list the same peers as before within {belief}, and keep the session",
        "Go writes null for an empty list or map wherever it is not told to leave it out, and reads null as nothing.",
        ("tailcfg.MapResponse", "tailscale/tailscale#1694"),
        told("sends Peers: null", {"Peers": None}, seen="birch", level=Level.SHOULD),
        told(
            "sends null for each list of peers",
            {"Peers": None, "PeersChanged": None, "PeersRemoved": None, "PeersChangedPatch": None},
            seen="cedar",
            level=Level.SHOULD,
        ),
        told(
            "sends null for all other fields",
            {
                "Node": None,
                "DERPMap": None,
                "DNSConfig": None,
                "PacketFilter": None,
                "PacketFilters": None,
                "UserProfiles": None,
                "OnlineChange": None,
                "PeerSeenChange": None,
                "SSHPolicy": None,
            },
            seen="elm",
            level=Level.SHOULD,
        ),
        level=Level.SHOULD,
    ),
    map_row(
        "peers-removed",
        "adds a node and removes it",
        "MUST list the new node and then no longer, each within {belief}",
        "PeersRemoved is a list of integers, the IDs of nodes. A peer that is kept goes on being trusted, and its "
        "address may be another's by then.",
        (
            "tailcfg.MapResponse.PeersRemoved (capability version 5)",
            "Csontikka/esphome-tailscale#42",
            "juanfont/headscale#1384",
            "tailscale/tailscale#20796",
        ),
        Step("says nothing", (), (BelievesServer(),)),
        Step("adds birch", add("birch"), (Believes("birch"), BelievesServer())),
        Step(
            "removes birch",
            (Edit("remove_node", {"node": "birch"}),),
            (Believes("birch", present=False), BelievesServer()),
        ),
        nodes=None,
    ),
    map_row(
        "last-peer-removed",
        "removes the only peer",
        "MUST list no peer within {belief}",
        "With the last peer the list is empty, which is written as no list at all elsewhere in a map: the removal is "
        "the only word of it.",
        ("tailcfg.MapResponse.PeersRemoved (capability version 5)", "juanfont/headscale#1384"),
        Step("adds birch", add("birch"), (Believes("birch"), BelievesServer())),
        Step(
            "removes birch",
            (Edit("remove_node", {"node": "birch"}),),
            (Believes("birch", present=False), BelievesServer()),
        ),
        nodes=0,
    ),
    map_row(
        "changed-while-away",
        "cuts the connection, and removes one node and adds another meanwhile",
        "MUST list the new node and not the old one within {back}",
        "Each session begins with nothing: its first full map is all there is. Nobody says again what was removed "
        "between two sessions.",
        ("tailcfg.MapResponse.Peers", "tailscale/tailscale#21068", "Csontikka/esphome-tailscale#32"),
        Step("adds birch", add("birch"), (Believes("birch"), BelievesServer())),
        Step(
            "resets TCP, removes birch and adds elm",
            (Cut(), Edit("remove_node", {"node": "birch"}), *add("elm")),
            (BackInSession(), *listed("elm", but=("birch",)), BelievesServer()),
            within="back",
        ),
    ),
    map_row(
        "last-peer-gone-while-away",
        "cuts the connection, and removes the only peer meanwhile",
        "MUST list no peer within {back}",
        "The first map of a new session has no Peers then. That means no change to the empty list that a session "
        "begins with, not to what the session before knew.",
        (
            "tailcfg.MapResponse.Peers",
            "tailscale/tailscale#21068",
            "juanfont/headscale#1384",
            "tailscale: control/controlclient/map.go (a mapSession begins without peers)",
        ),
        Step("adds birch", add("birch"), (Believes("birch"), BelievesServer())),
        Step(
            "resets TCP and removes birch",
            (Cut(), Edit("remove_node", {"node": "birch"})),
            (BackInSession(), Believes("birch", present=False), BelievesServer()),
            within="back",
        ),
        nodes=0,
    ),
    map_row(
        "unknown-node",
        "tells of nodes that are not there: removed, patched, online, seen; and removes one twice",
        "MUST leave the peers that are there as they are, and keep the session",
        "A node that a policy hid, or that went a moment before, is still told of. It is no peer for that, and no "
        "reason to give the session up.",
        ("tailcfg.MapResponse.PeersChangedPatch (capability version 33)", "tailcfg.PeerChange.NodeID", FOLD),
        told("removes node 999999 twice", {"PeersRemoved": [999_999, 999_999]}, seen="birch"),
        told(
            "patches node 999999",
            {"PeersChangedPatch": [{"NodeID": 999_999, "DERPRegion": 902, "Online": True}]},
            seen="cedar",
        ),
        told(
            "says that node 999999 is online and was seen",
            {"OnlineChange": {"999999": True}, "PeerSeenChange": {"999999": True}},
            seen="elm",
        ),
    ),
    *MAP_NODES,
    # What says nothing of peers.
    map_row(
        "nothing-new",
        "sends a keep-alive, and a message without anything",
        "MUST list the same peers as before, and keep the session",
        "headscale sends a message with nothing but the time when a policy hides the news that it held.",
        ("tailcfg.MapResponse.KeepAlive (capability version 4)", "headscale: hscontrol/mapper"),
        told("sends a keep-alive", {"KeepAlive": True}, seen="birch"),
        told("sends {}", {}, seen="cedar"),
    ),
    map_row(
        "keep-alive-says-nothing-else",
        "sends a keep-alive that also removes a node",
        "SHOULD go on listing the node within {belief}",
        "With KeepAlive all fields are ignored but PingRequest, ControlTime and PopBrowserURL.",
        ("tailcfg.MapResponse.KeepAlive", "tailscale: control/controlclient/direct.go"),
        Step("adds birch", add("birch"), (Believes("birch"), BelievesServer())),
        told(
            "sends KeepAlive with PeersRemoved",
            {"KeepAlive": True, "PeersRemoved": ["{id:birch}"]},
            seen="elm",
            level=Level.SHOULD,
        ),
        level=Level.SHOULD,
    ),
    map_row(
        "other-fields-alone",
        "changes the DNS configuration, the domain, a user, the packet filter, the relays, and the node itself, each "
        "in a message of its own",
        "MUST list the same peers as before after each, and keep the session",
        "What is absent from a message has not changed: a new DNS configuration is no new tailnet without peers.",
        (
            "tailcfg.MapResponse.DNSConfig (capability version 15)",
            "tailscale/tailscale#1694",
            "headscale: hscontrol/types/change (DERPMap and DNSConfig alone)",
        ),
        told(
            "sends DNSConfig alone",
            {
                "DNSConfig": {
                    "Resolvers": [{"Addr": "127.0.0.1"}],
                    "Domains": ["other.netmap.example"],
                    "Proxied": True,
                }
            },
            seen="ash",
        ),
        told("sends Domain alone", {"Domain": "other.netmap.example"}, seen="birch"),
        told(
            "sends UserProfiles alone",
            {"UserProfiles": [{"ID": 77, "LoginName": "bob@netmap.example", "DisplayName": "Bob"}]},
            seen="cedar",
        ),
        told("sends PacketFilters alone", {"PacketFilters": {"base": []}}, seen="elm"),
        told("sends DERPMap alone", {"DERPMap": {}}, seen="fir"),
        Step(
            "sends Node alone, and then adds larch",
            (
                Edit("set_capabilities", {"node": "{me}", "names": ["https://tailscale.com/cap/is-admin"]}),
                *add("larch"),
            ),
            (Believes("larch"), BelievesServer(), KeepsSession()),
        ),
    ),
    map_row(
        "unknown-fields",
        "sends fields that no client knows: in the message, in a node, in its Hostinfo, in a patch",
        "MUST take the message as if they were not there, and keep the session",
        "Servers are newer than clients: each capability version adds fields.",
        ("tailcfg.MapResponse", "tailcfg.CapabilityVersion"),
        told(
            "sends an unknown field in a message",
            {"CheckUnknown": {"Deep": [1, {"Deeper": None}]}, "CheckOther": "x"},
            seen="birch",
        ),
        Step(
            "sends elm with unknown fields",
            (
                Raw(
                    {
                        "PeersChanged": [
                            node(
                                1,
                                "elm",
                                CheckUnknown=[{"A": 1}],
                                Hostinfo={"OS": "linux", "Hostname": "elm", "CheckUnknown": {"B": [2]}},
                            )
                        ]
                    }
                ),
            ),
            (Believes("elm", addresses=addresses(1)), KeepsSession()),
        ),
        Step(
            "renames elm to oak, behind a patch with an unknown field",
            (
                Raw({"PeersChangedPatch": [{"NodeID": node(1, "elm")["ID"], "CheckUnknown": 3}]}),
                Raw({"PeersChanged": [node(1, "oak")]}),
            ),
            (*listed("oak", but=("elm",)), KeepsSession()),
        ),
    ),
    map_row(
        "large",
        "has 5000 nodes",
        "SHOULD list them all within {prompt}, and a new one within {prompt} then, in the same session",
        "A client whose buffer is too small for a whole map reads its beginning as if it were all, or asks for it "
        "again and again; that there are limits on a small device is known, that they are met in silence is the fault.",
        (
            "tailcfg.MapResponse.Peers",
            "CamM2325/microlink#4",
            "Csontikka/esphome-tailscale#45",
            "tailscale: control/tsp/map.go (takes 4 MiB at most)",
        ),
        Step("says nothing", (), (BelievesServer(),), within="prompt", level=Level.SHOULD),
        Step(
            "adds birch",
            add("birch"),
            (Believes("birch"), BelievesServer(), KeepsSession()),
            within="prompt",
            level=Level.SHOULD,
        ),
        level=Level.SHOULD,
        nodes=5000,
    ),
)
