"""The DERP relays of a tailnet: built in, or from an operator's file, checked before they are sent.

Not here: who is at home in which region (`tailnet`).
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

import msgspec

from netmap_actors.dev_control.tailnet.json_types import encode_json
from netmap_actors.errors import ConfigurationError

__all__ = ["DerpMap", "built_in_derp_map", "parse_derp_map"]

_Port = Annotated[int, msgspec.Meta(ge=-1, le=0xFFFF)]
_RegionId = Annotated[int, msgspec.Meta(ge=1, le=0xFFFF)]
_CLOSED_PORT = 1
"""tcpmux (RFC 1078), which nobody runs any more and no client of a relay asks for."""


class DerpMap(msgspec.Struct, frozen=True):
    """A DERPMap that clients can read."""

    json: bytes
    regions: tuple[int, ...]
    """Ids a node may be at home in; none where the map has none."""


class _Relay(msgspec.Struct):
    """What is looked at in a tailcfg.DERPNode; the rest goes through as it is."""

    Name: str
    RegionID: _RegionId
    HostName: str
    IPv4: str = ""
    IPv6: str = ""
    STUNPort: _Port = 0
    DERPPort: _Port = 0


class _Region(msgspec.Struct):
    """The same of a tailcfg.DERPRegion."""

    RegionID: _RegionId
    RegionCode: str
    RegionName: str = ""
    Nodes: list[_Relay] | None = None
    Avoid: bool = False
    NoMeasureNoHome: bool = False


class _Document(msgspec.Struct):
    Regions: dict[str, _Region | None]
    OmitDefaultRegions: bool = False
    """Any other field of a tailcfg.DERPMap is let through."""


def parse_derp_map(text: bytes) -> DerpMap:
    """A DERP map in tailcfg's form, `{"Regions": {"1": {"RegionID": 1, …}}}`. Raises ConfigurationError."""
    try:
        known = msgspec.json.decode(text, type=_Document)
        whole: dict[str, Any] = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"cannot use the DERP map: {error}") from None
    for name, region in known.Regions.items():
        if region is not None:
            _check(name, region)
    homes = (region for region in known.Regions.values() if region is not None and not region.NoMeasureNoHome)
    return DerpMap(encode_json(whole), tuple(sorted(region.RegionID for region in homes)))


def _check(name: str, region: _Region) -> None:
    if name != str(region.RegionID):
        raise _wrong(name, f"its RegionID is {region.RegionID}")
    seen = set()
    for relay in region.Nodes or ():
        if relay.RegionID != region.RegionID:
            raise _wrong(name, f"its node {relay.Name!r} says RegionID {relay.RegionID}")
        if relay.Name in seen:
            raise _wrong(name, f"two of its nodes are called {relay.Name!r}")
        seen.add(relay.Name)
        if not relay.HostName and not relay.IPv4 and not relay.IPv6:
            raise _wrong(name, f"its node {relay.Name!r} has neither HostName nor address")
        for text, version in ((relay.IPv4, 4), (relay.IPv6, 6)):
            if text not in ("", "none") and not _is_address(text, version):
                raise _wrong(name, f"{text!r} of its node {relay.Name!r} is no IPv{version} address")


def _wrong(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"cannot use the DERP map: region {name!r}: {why}")


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def built_in_derp_map() -> DerpMap:
    """Three regions on a closed port of the client's own machine.

    They refuse at once wherever the client runs. The names are addresses, and there is one of each family, as clients
    look up the name for a family that has none (tailscale: derp/derphttp/derphttp_client.go).
    """
    regions = {
        str(region_id): {
            "RegionID": region_id,
            "RegionCode": code,
            "RegionName": name,
            "Nodes": [
                {
                    "Name": f"{region_id}a",
                    "RegionID": region_id,
                    "HostName": "127.0.0.1",
                    "IPv4": "127.0.0.1",
                    "IPv6": "::1",
                    "STUNPort": _CLOSED_PORT,
                    "DERPPort": _CLOSED_PORT,
                }
            ],
        }
        for region_id, code, name in (
            (901, "ams", "Amsterdam"),
            (902, "syd", "Sydney"),
            (903, "nyc", "New York"),
        )
    }
    return DerpMap(encode_json({"Regions": regions}), tuple(map(int, regions)))
