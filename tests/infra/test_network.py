from __future__ import annotations

import json

import pytest

from infra import settings


def subnets(estate):
    return {n.removeprefix("network-"): s for n, s in estate.of("ec2/subnet:Subnet").items()}


def test_each_tier_has_a_subnet_in_each_zone_and_none_hands_out_public_addresses(dev, prod):
    assert set(subnets(dev)) == {f"{tier}-{zone}" for tier in ("public", "private", "database") for zone in "ab"}
    assert set(subnets(prod)) == {f"{tier}-{zone}" for tier in ("public", "private", "database") for zone in "abc"}
    for estate in (dev, prod):
        assert not any(s["mapPublicIpOnLaunch"] for s in subnets(estate).values())
        assert all(s["availabilityZone"] == f"us-east-1{n[-1]}" for n, s in subnets(estate).items())


@pytest.mark.parametrize(
    ("region", "chosen", "letters"),
    [
        ("eu-west-1", None, "ab"),
        ("ap-northeast-1", None, "ac"),
        ("ca-central-1", None, "ab"),
        ("us-west-1", "ca", "ca"),
    ],
)
def test_zones_are_those_that_all_accounts_see_there_or_the_ones_that_were_chosen(region, chosen, letters):
    assert settings.NetworkSettings(zones=2, zone_letters=chosen).letters_in(region) == letters


def test_a_subnet_lies_in_the_chosen_zone_and_keeps_its_own_name(lavish):
    zones = {n: s["availabilityZone"] for n, s in subnets(lavish).items() if n.startswith("private")}
    assert zones == {"private-a": "us-east-1b", "private-b": "us-east-1d", "private-c": "us-east-1f"}


def test_a_third_zone_leaves_what_is_there_as_it_is(frugal, prod):
    def lettered(estate):  # the two stacks are in different regions
        return {n: {**s, "availabilityZone": s["availabilityZone"][-1]} for n, s in subnets(estate).items()}

    assert {n: s for n, s in lettered(prod).items() if not n.endswith("-c")} == lettered(frugal)


def test_without_nat_ipv4_goes_out_from_the_public_subnets_alone(primary):
    assert not primary.of("ec2/natGateway:NatGateway")
    out = {n for n, r in primary.of("ec2/route:Route").items() if r.get("destinationCidrBlock") == "0.0.0.0/0"}
    assert out == {"network-public-out"}


def test_ipv6_goes_out_of_the_private_subnets_by_a_gateway_that_lets_nothing_in(primary):
    ways = {n: r for n, r in primary.of("ec2/route:Route").items() if r.get("destinationIpv6CidrBlock") == "::/0"}
    private = {n: r for n, r in ways.items() if n.startswith("network-private-")}
    assert {r["egressOnlyGatewayId"] for r in private.values()} == {"network-egress-id"}
    assert set(ways) - set(private) == {"network-public-out-ipv6"}
    assert ways["network-public-out-ipv6"]["gatewayId"] == "network-internet-id"


def test_the_database_has_no_ipv6_and_every_other_subnet_a_network_of_its_own(dev, prod):
    for estate in (dev, prod):
        made = subnets(estate)
        given = [s["ipv6CidrBlock"] for n, s in made.items() if not n.startswith("database")]
        assert len(set(given)) == len(given) == 2 * len(made) // 3
        assert not any(s.get("ipv6CidrBlock") for n, s in made.items() if n.startswith("database"))
    assert subnets(prod)["private-b"]["ipv6CidrBlock"] == "2001:db8:1234:1a11::/64"


def test_a_stack_may_do_without_ipv6(lavish):
    assert not lavish.of("ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway")
    assert not any(s.get("ipv6CidrBlock") for s in subnets(lavish).values())


def test_the_network_itself_keeps_all_but_postgres_from_the_database(dev):
    (acl,) = dev.of("ec2/networkAcl:NetworkAcl").values()
    private = sorted(s["cidrBlock"] for n, s in subnets(dev).items() if n.startswith("private"))
    assert acl["subnetIds"] == ["network-database-a-id", "network-database-b-id"]
    asked = [(r["cidrBlock"], r["fromPort"], r["toPort"], r["protocol"], r["action"]) for r in acl["ingress"]]
    assert sorted(asked) == [(cidr, 5432, 5432, "tcp", "allow") for cidr in private]
    answered = [(r["cidrBlock"], r["fromPort"], r["toPort"], r["protocol"], r["action"]) for r in acl["egress"]]
    assert sorted(answered) == [(cidr, 1024, 65535, "tcp", "allow") for cidr in private]


@pytest.mark.parametrize(("stack", "zones", "gateways"), [("frugal", "ab", {"a"}), ("lavish", "abc", {"a", "b", "c"})])
def test_nat_gives_every_private_subnet_a_way_out_and_the_database_none(request, stack, zones, gateways):
    estate = request.getfixturevalue(stack)
    assert set(estate.of("ec2/natGateway:NatGateway")) == {f"network-nat-{zone}" for zone in gateways}
    routes = {n: r for n, r in estate.of("ec2/route:Route").items() if r.get("destinationCidrBlock")}
    assert set(routes) == {"network-public-out", *(f"network-private-{zone}-out" for zone in zones)}
    ways = {zone: routes[f"network-private-{zone}-out"]["natGatewayId"] for zone in zones}
    assert ways == {zone: f"network-nat-{zone if zone in gateways else 'a'}-id" for zone in zones}


def test_the_default_security_group_lets_nothing_through(primary):
    (group,) = primary.of("ec2/defaultSecurityGroup:DefaultSecurityGroup").values()
    assert not {"ingress", "egress"} & set(group)


def test_interface_endpoints_are_the_ones_that_functions_inside_may_call_and_no_others(primary):
    """Computes the endpoints independently, from the grants of the functions in the VPC."""
    # Services without an interface endpoint: gateway endpoints, and services that AWS calls for the function.
    elsewhere = {"dynamodb", "ec2", "kms", "logs", "rds-db", "s3", "xray"}
    inside = {n for n, f in primary.of("lambda/function:Function").items() if f.get("vpcConfig")}
    assert inside
    granted = {
        action.split(":")[0]
        for name in inside
        for statement in primary.granted(name.removesuffix("-function")).values()
        for action in statement["Action"]
    }
    made = primary.of("ec2/vpcEndpoint:VpcEndpoint")
    kinds = {n.removeprefix("network-endpoints-") for n, e in made.items() if e["vpcEndpointType"] == "Interface"}
    assert kinds == granted - elsewhere


def test_the_gateway_endpoints_cost_nothing_and_are_always_there(primary):
    made = primary.of("ec2/vpcEndpoint:VpcEndpoint")
    kinds = {n.removeprefix("network-endpoints-"): e["vpcEndpointType"] for n, e in made.items()}
    assert kinds == {"s3": "Gateway", "dynamodb": "Gateway", "secretsmanager": "Interface", "sqs": "Interface"}


def test_an_interface_endpoint_is_paid_for_in_as_many_zones_as_the_settings_say(prod, lavish):
    for estate, zones in ((prod, 1), (lavish, 2)):
        endpoint = estate.of("ec2/vpcEndpoint:VpcEndpoint")["network-endpoints-sqs"]
        assert len(endpoint["subnetIds"]) == zones


def test_an_endpoint_carries_nothing_to_anybody_elses_account(primary):
    for endpoint in primary.of("ec2/vpcEndpoint:VpcEndpoint").values():
        (statement,) = json.loads(endpoint["policy"])["Statement"]
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
        assert all("infrafabric-" in r or r.endswith(":secret:*") for r in statement["Resource"])


def test_the_database_is_reached_by_recorder_and_migrator_on_its_port_alone(primary):
    incoming = primary.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    rules = {n: r for n, r in incoming.items() if r["securityGroupId"] == "database-group-id"}
    assert {r["referencedSecurityGroupId"] for r in rules.values()} == {
        "migrator-vpc-group-id",
        "recorder-vpc-group-id",
    }
    assert {(r["fromPort"], r["toPort"], r["ipProtocol"]) for r in rules.values()} == {(5432, 5432, "tcp")}


def test_a_function_inside_reaches_the_database_the_endpoints_and_s3_and_nothing_else(primary):
    outgoing = primary.of("vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    for function in ("migrator", "recorder"):
        mine = [r for r in outgoing.values() if r["securityGroupId"] == f"{function}-vpc-group-id"]
        reached = {(r.get("referencedSecurityGroupId") or r.get("prefixListId"), r["fromPort"]) for r in mine}
        assert reached == {
            ("database-group-id", 5432),
            ("network-endpoints-group-id", 443),
            ("pl-network-endpoints-s3", 443),
        }


def test_all_traffic_is_logged(primary):
    (log,) = primary.of("ec2/flowLog:FlowLog").values()
    assert (log["trafficType"], log["logDestinationType"]) == ("ALL", "cloud-watch-logs")
    assert "network-flow-policy" in primary.before("network-flow-log")


def test_a_stack_without_a_database_has_no_network_no_recorder_and_nothing_that_speaks_of_them(bare):
    kinds = {type_.split(":")[1].split("/")[0] for type_, _, _ in bare.resources}
    assert not kinds & {"ec2", "vpc", "rds"}
    assert "recorder-function" not in bare.of("lambda/function:Function")
    assert "Record" not in bare.granted("agents-h01")
    variables = bare.of("lambda/function:Function")["agents-h01-function"]["environment"]["variables"]
    assert "RECORD_QUEUE_URL" not in variables
    assert bare.exports["record_queue_url"] is None
    assert "database" not in bare.exports
