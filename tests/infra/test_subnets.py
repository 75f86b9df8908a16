from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import subnets

SMALLEST_IN_AWS = 28

# Private networks of every allowed size within 10.0.0.0/8.
ranges = st.builds(
    lambda length, number: str(list(_cut(length))[number % 2 ** min(length - 8, 8)]),
    st.integers(subnets.WIDEST, subnets.NARROWEST),
    st.integers(0, 255),
)


def _cut(length: int) -> list[IPv4Network]:
    first = IPv4Network(f"10.0.0.0/{length}")
    step = first.num_addresses
    return [IPv4Network((int(first.network_address) + n * step, length)) for n in range(256)]


def every(zones: tuple[subnets.Zone, ...]) -> list[IPv4Network]:
    return [IPv4Network(cidr) for zone in zones for cidr in (zone.public, zone.private, zone.database)]


@given(ranges, st.integers(1, 3))
def test_subnets_lie_in_the_vpc_and_never_overlap(cidr, zones):
    made = every(subnets.split(cidr, zones))
    assert all(subnet.subnet_of(IPv4Network(cidr)) for subnet in made)
    assert not any(one.overlaps(other) for one, other in combinations(made, 2))


@given(ranges, st.integers(1, 2))
def test_a_zone_that_is_added_later_renumbers_nothing(cidr, zones):
    assert subnets.split(cidr, zones + 1)[:zones] == subnets.split(cidr, zones)


@given(ranges)
def test_no_subnet_is_smaller_than_aws_allows_and_zones_are_alike(cidr):
    zones = subnets.split(cidr, 3)
    assert max(subnet.prefixlen for subnet in every(zones)) <= SMALLEST_IN_AWS
    shapes = {tuple(subnet.prefixlen for subnet in every((zone,))) for zone in zones}
    assert len(shapes) == 1, "a zone has the same room as any other"


def test_a_sixteen_is_laid_out_as_documented():
    first, second = subnets.split("10.0.0.0/16", 2)
    assert first == subnets.Zone(public="10.0.32.0/20", private="10.0.0.0/19", database="10.0.48.0/21")
    assert second == subnets.Zone(public="10.0.96.0/20", private="10.0.64.0/19", database="10.0.112.0/21")


@pytest.mark.parametrize(
    ("cidr", "said"),
    [
        ("10.0.0.0/24", "a /24 is too small for its subnets: /16 to /23 is allowed"),
        ("10.0.0.0/8", "a /8 is too large for its subnets: /16 to /23 is allowed"),
        ("10.0.1.0/16", "10.0.1.0/16 has host bits set; a network address such as 10.0.0.0/16 is allowed"),
        ("8.8.0.0/16", "only a private range is allowed: within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"),
    ],
)
def test_a_range_that_cannot_be_laid_out_is_refused_with_what_is_allowed(cidr, said):
    with pytest.raises(ValueError, match="allowed") as refusal:
        subnets.split(cidr, 2)
    assert str(refusal.value) == said


def test_a_fourth_zone_has_no_place():
    with pytest.raises(ValueError, match="must be 1 to 3"):
        subnets.split("10.0.0.0/16", 4)


@given(st.integers(0, subnets.SLOTS - 1), st.sampled_from(subnets.IPV6_TIERS))
def test_an_ipv6_network_depends_on_its_own_zone_and_tier_alone(zone, tier):
    vpc = IPv6Network("2001:db8:1:ff00::/56")
    made = IPv6Network(subnets.ipv6(str(vpc), zone, tier))
    assert made.prefixlen == 64
    assert made.subnet_of(vpc)


def test_no_two_ipv6_networks_are_the_same():
    made = [subnets.ipv6("2001:db8:1:ff00::/56", z, t) for z in range(subnets.SLOTS) for t in subnets.IPV6_TIERS]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    "asked", [("2001:db8::/48", 0, "public"), ("2001:db8::/56", 4, "public"), ("2001:db8::/56", 0, "database")]
)
def test_what_has_no_ipv6_network_is_refused(asked):
    with pytest.raises(ValueError, match="must be a /56"):
        subnets.ipv6(*asked)
