"""The table of relay regions: DERPMap.

Not here: how a delta of it is folded (`netmap.documents`). Names: tailscale: tailcfg/derpmap.go.
"""

from __future__ import annotations

import msgspec

from netmap_actors.tailcfg.go_json import GoStruct, Int32

__all__ = ["DERPHomeParams", "DERPMap", "DERPNode", "DERPRegion"]


class DERPNode(GoStruct, frozen=True):
    """One relay. Port 0 means the usual one (STUN 3478, DERP 443), STUN port -1 means off."""

    name: str = ""
    region_id: Int32 = 0
    host_name: str = ""
    cert_name: str = ""
    ipv4: str = ""
    ipv6: str = ""
    stun_port: Int32 = 0
    stun_only: bool = False
    derp_port: Int32 = 0
    insecure_for_tests: bool = False
    stun_test_ip: str = ""
    can_port80: bool = False


class DERPRegion(GoStruct, frozen=True):
    """Relays that stand together; 900 to 999 are for those who run their own."""

    region_id: Int32 = 0
    region_code: str = ""
    region_name: str = ""
    latitude: float = 0
    longitude: float = 0
    avoid: bool = False
    no_measure_no_home: bool = False
    nodes: tuple[DERPNode | None, ...] | None = None


class DERPHomeParams(GoStruct, frozen=True):
    """Weights for choosing the home region; below 1 is preferred."""

    region_score: dict[int, float] | None = None


class DERPMap(GoStruct, frozen=True):
    """All regions by id."""

    home_params: DERPHomeParams | None = None
    regions: dict[int, DERPRegion | None] | None = None
    omit_default_regions: bool = msgspec.field(default=False, name="omitDefaultRegions")
