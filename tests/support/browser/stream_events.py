"""Nodes and events as /events tells them."""

from __future__ import annotations


def node(stable_id: str, name: str = "", **fields: object) -> dict[str, object]:
    return {
        "stable_id": stable_id,
        "name": name,
        "addresses": ["100.64.0.1/32"],
        "allowed_ips": ["100.64.0.1/32"],
        "online": True,
        "last_seen": None,
        "tags": [],
        "routes": [],
        "os": "linux",
        "user": "alice",
        "key": f"nodekey:{stable_id}",
        "key_expiry": None,
        "expired": False,
        "hostname": "",
    } | fields


def snapshot(*peers: dict[str, object], state: str = "fresh", age_s: float | None = 1.0) -> dict[str, object]:
    netmap = {"domain": "tail.example", "self": node("self", "me.tail.example"), "peers": list(peers)}
    return {"type": "snapshot", "epoch": 1, "seq": 1, "state": state, "age_s": age_s, "netmap": netmap}
