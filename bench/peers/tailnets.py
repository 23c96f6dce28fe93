"""Tailnets of any size as the MapResponses that tell of them, small nodes and real ones; the same at each call."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "headscale-session.jsonl"


def node(rng: random.Random, number: int) -> dict[str, Any]:
    """A node as small as testcontrol's fake ones."""
    address = f"100.{64 + (number >> 16)}.{(number >> 8) & 255}.{number & 255}/32"
    return {
        "ID": number,
        "StableID": f"n{number:08x}BENCH",
        "Name": "",
        "User": number,
        **_keys(rng),
        "KeyExpiry": "0001-01-01T00:00:00Z",
        "Addresses": [address],
        "AllowedIPs": [address],
        "Hostinfo": {},
        "Created": "0001-01-01T00:00:00Z",
        "MachineAuthorized": True,
        "Online": True,
    }


def real_node(rng: random.Random, number: int) -> dict[str, Any]:
    """One as a headscale sent it of a running tailscaled, with keys, name and addresses of its own."""
    address = f"100.{64 + (number >> 16)}.{(number >> 8) & 255}.{number & 255}/32"
    addresses = [address, f"fd7a:115c:a1e0::{number:x}/128"]
    name = f"machine-{number}"
    given = {
        "ID": number,
        "StableID": str(number),
        "Name": f"{name}.tail.example.",
        "User": 1 + number % 50,
        **_keys(rng),
        "Addresses": addresses,
        "AllowedIPs": addresses,
        "Endpoints": [f"192.0.2.{rng.randrange(256)}:{rng.randrange(1024, 65536)}" for _ in range(3)],
    }
    hostinfo = {"Hostname": name, "BackendLogID": rng.randbytes(32).hex()}
    return _PATTERN | given | {"Hostinfo": _PATTERN["Hostinfo"] | hostinfo}


def _keys(rng: random.Random) -> dict[str, str]:
    kinds = {"Key": "node", "Machine": "m", "DiscoKey": "disco"}
    return {field: f"{kind}key:{rng.randbytes(32).hex()}" for field, kind in kinds.items()}


def _recorded_peers() -> list[dict[str, Any]]:
    lines = map(json.loads, RECORDED.read_text().splitlines())
    return [peer for line in lines for peer in line.get("map_response", {}).get("Peers") or ()]


_PATTERN = max(_recorded_peers(), key=lambda peer: len(json.dumps(peer)))


def full_map(peers: int) -> bytes:
    """The first MapResponse of a session: self is node 1, the peers follow."""
    rng = random.Random(peers)
    nodes = [node(rng, number) for number in range(1, peers + 2)]
    return compact({"Node": nodes[0], "Peers": nodes[1:], "Domain": "bench"})


def all_peers(count: int, *, real_size: bool) -> bytes:
    """A later MapResponse which says that these are all peers there are. Their IDs leave room for self."""
    rng = random.Random(count)
    make = real_node if real_size else node
    return compact({"Peers": [make(rng, number) for number in range(1_000, 1_000 + count)]})


def compact(document: object) -> bytes:
    """JSON without spaces."""
    return json.dumps(document, separators=(",", ":")).encode()
