"""What a node tells about its host: Hostinfo and NetInfo.

Not here: how our own is gathered and kept stable (`control_connection.client`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

import msgspec

from netmap_actors.tailcfg.go_json import GoStruct, Int32, Int64

__all__ = ["Hostinfo", "Location", "NetInfo", "Service", "TPMInfo"]


class Service(GoStruct, frozen=True):
    """A port a node listens on: `{"Proto":"peerapi4","Port":58436}`."""

    proto: str = ""
    port: Int32 = 0
    description: str = ""


class Location(GoStruct, frozen=True):
    """Where a node stands; only of commercial exit nodes."""

    country: str = ""
    country_code: str = ""
    city: str = ""
    city_code: str = ""
    latitude: float = 0
    longitude: float = 0
    priority: Int64 = 0


class TPMInfo(GoStruct, frozen=True):
    """What the trusted platform module says of itself."""

    manufacturer: str = ""
    vendor: str = ""
    model: Int64 = 0
    firmware_version: int = 0
    spec_revision: Int64 = 0
    family_indicator: str = ""


class NetInfo(GoStruct, frozen=True):
    """What a node found out about its network; None of a tri-state means not known."""

    mapping_varies_by_dest_ip: bool | None = None
    working_ipv6: bool | None = None
    os_has_ipv6: bool | None = None
    working_udp: bool | None = None
    working_icmpv4: bool | None = None
    have_port_map: bool = False
    upnp: bool | None = None
    pmp: bool | None = None
    pcp: bool | None = None
    preferred_derp: Int32 = 0
    link_type: str = ""
    derp_latency: dict[str, float] | None = None
    """Seconds, by `<region>-v4` or `<region>-v6`."""
    firewall_mode: str = ""


class Hostinfo(GoStruct, frozen=True):
    """A node's description of itself. Every peer sees it, and hears of every change."""

    ipn_version: str = ""
    frontend_log_id: str = ""
    backend_log_id: str = ""
    os: str = ""
    os_version: str = ""
    container: bool | None = None
    env: str = ""
    distro: str = ""
    distro_version: str = ""
    distro_code_name: str = ""
    app: str = ""
    desktop: bool | None = None
    package: str = ""
    device_model: str = ""
    push_device_token: str = ""
    hostname: str = ""
    shields_up: bool = False
    sharee_node: bool = False
    no_logs_no_support: bool = False
    remote_config: bool = False
    wire_ingress: bool = False
    ingress_enabled: bool = False
    allows_update: bool = False
    machine: str = ""
    go_arch: str = ""
    go_arch_var: str = ""
    go_version: str = ""
    routable_ips: tuple[str, ...] | None = None
    request_tags: tuple[str, ...] | None = None
    wol_macs: tuple[str, ...] | None = None
    services: tuple[Service, ...] | None = None
    net_info: NetInfo | None = None
    ssh_host_keys: tuple[str, ...] | None = msgspec.field(default=None, name="sshHostKeys")
    cloud: str = ""
    userspace: bool | None = None
    userspace_router: bool | None = None
    app_connector: bool | None = None
    services_hash: str = ""
    peer_relay: bool = False
    exit_node_id: str = ""
    location: Location | None = None
    tpm: TPMInfo | None = None
    state_encrypted: bool | None = None
