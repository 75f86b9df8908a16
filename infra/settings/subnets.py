"""Subnet layout of a VPC: a pure function of the VPC's range and the number of zones.

Every zone owns a quarter of the range, used or not, so that a zone added later takes a free quarter and no existing
subnet is renumbered. A zone splits its quarter by halves::

    quarter │ private (1/2) │ public (1/4) │ database (1/8) │ kept free (1/8) │

AWS gives a VPC 256 IPv6 networks (a /56 of /64s). Each zone owns sixteen of the 256, for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

SLOTS = 4  # quarters of the range: at most three zones, and one quarter kept free
# AWS's largest VPC is a /16; in a VPC smaller than a /23 the database subnet would be smaller than AWS's /28.
WIDEST, NARROWEST = 16, 23


IPV6_NETWORKS_PER_ZONE = 16
IPV6_TIERS = ("public", "private")  # the database subnets have no IPv6, because the database opens no connections


@dataclass(frozen=True)
class Zone:
    """Subnets of one availability zone, as CIDR blocks."""

    public: str
    private: str
    database: str


def split(cidr: str, zones: int) -> tuple[Zone, ...]:
    """Return the subnets of the first ``zones`` zones of the VPC ``cidr``.

    Raises:
        ValueError: ``cidr`` is no network address, too small or too large, or ``zones`` exceeds the quarters.
    """
    network = check(cidr)
    if not 1 <= zones < SLOTS:
        raise ValueError(f"{zones} zones: must be 1 to {SLOTS - 1}")
    quarters = list(network.subnets(prefixlen_diff=2))
    return tuple(_zone(quarter) for quarter in quarters[:zones])


def ipv6(vpc: str, zone: int, tier: str) -> str:
    """Return the /64 of ``tier`` in the zone with index ``zone``, within the /56 that AWS gave ``vpc``.

    Raises:
        ValueError: ``vpc`` is no /56, or the zone or tier is unknown.
    """
    network = IPv6Network(vpc)
    if network.prefixlen != 56 or not 0 <= zone < SLOTS or tier not in IPV6_TIERS:
        raise ValueError(
            f"{vpc}, zone {zone}, tier {tier}: must be a /56, a zone below {SLOTS}, and a tier of {IPV6_TIERS}"
        )
    start = int(network.network_address) + ((zone * IPV6_NETWORKS_PER_ZONE + IPV6_TIERS.index(tier)) << 64)
    return str(IPv6Network((start, 64)))


def check(cidr: str) -> IPv4Network:
    """Return ``cidr`` as a network that is large enough for every subnet.

    Raises:
        ValueError: ``cidr`` is not a private network of an allowed size; the message names the allowed values.
    """
    try:
        network = IPv4Network(cidr)
    except ValueError as error:
        raise ValueError(f"{error}; a network address such as 10.0.0.0/16 is allowed") from None
    if not network.is_private:
        raise ValueError("only a private range is allowed: within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    if not WIDEST <= network.prefixlen <= NARROWEST:
        size = "small" if network.prefixlen > NARROWEST else "large"
        raise ValueError(f"a /{network.prefixlen} is too {size} for its subnets: /{WIDEST} to /{NARROWEST} is allowed")
    return network


def _zone(quarter: IPv4Network) -> Zone:
    private, rest = quarter.subnets(prefixlen_diff=1)
    public, rest = rest.subnets(prefixlen_diff=1)
    database, _free = rest.subnets(prefixlen_diff=1)
    return Zone(public=str(public), private=str(private), database=str(database))
