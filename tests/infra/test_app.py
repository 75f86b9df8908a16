from __future__ import annotations

import base64
import json

import pytest

from infra.front import user_data
from infra.settings import AppSettings


def one(estate, type_):
    (inputs,) = estate.of(type_).values()
    return inputs


def script(estate, colour):
    template = estate.of("ec2/launchTemplate:LaunchTemplate")[f"face-app-{colour}-template"]
    return base64.b64decode(template["userData"]).decode()


def test_https_is_tls_1_3_or_1_2_and_http_is_sent_there(prod):
    listeners = prod.of("lb/listener:Listener")
    https = listeners["face-app-front-https"]
    assert (https["port"], https["protocol"]) == (443, "HTTPS")
    assert https["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    (action,) = listeners["face-app-front-http"]["defaultActions"]
    assert action["redirect"] == {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"}


def test_what_asks_for_another_name_is_not_found(prod):
    (default,) = prod.of("lb/listener:Listener")["face-app-front-https"]["defaultActions"]
    assert default["fixedResponse"]["statusCode"] == "404"
    for rule in prod.of("lb/listenerRule:ListenerRule").values():
        (condition,) = rule["conditions"]
        assert condition["hostHeader"]["values"] == ["app-us-east-1.infrafabric.example", "app.infrafabric.example"]


def test_the_load_balancer_is_hardened_logged_and_protected(prod):
    balancer = one(prod, "lb/loadBalancer:LoadBalancer")
    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["desyncMitigationMode"] == "defensive"
    assert balancer["enableDeletionProtection"] is True
    assert balancer["ipAddressType"] == "dualstack"
    assert balancer["accessLogs"]["enabled"] is True
    assert "storage-logs-policy" in prod.before("face-app-front-balancer"), "it tests its way into the bucket first"
    assert "network-public-out" in prod.before("face-app-front-balancer"), "AWS makes none without an internet gateway"
    written = json.loads(prod.of("s3/bucketPolicy:BucketPolicy")["storage-logs-policy"]["policy"])["Statement"]
    (let_in,) = [s for s in written if s["Sid"] == "AccessLogsOfOurLoadBalancer"]
    bucket, prefix = balancer["accessLogs"]["bucket"], balancer["accessLogs"]["prefix"]
    assert let_in["Resource"] == f"arn:aws:s3:::{bucket}/{prefix}/AWSLogs/123456789012/*"
    assert let_in["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}


def test_a_load_balancer_that_does_not_name_itself_may_deliver_its_logs_too(prod):
    written = json.loads(prod.of("s3/bucketPolicy:BucketPolicy")["storage-logs-policy"]["policy"])["Statement"]
    (let_in,) = [s for s in written if s["Sid"] == "AccessLogsOfOurLoadBalancer"]
    assert let_in["Condition"] == {
        "StringEqualsIfExists": {"aws:SourceAccount": "123456789012"},
        "ArnLikeIfExists": {"aws:SourceArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/*"},
    }


def test_names_of_load_balancer_and_target_groups_fit_in_the_longest_stack_name(prod):
    longest = len("a" * 15) - len("prod")
    for type_ in ("lb/loadBalancer:LoadBalancer", "lb/targetGroup:TargetGroup"):
        assert all(len(i["name"]) + longest <= 32 for i in prod.of(type_).values()), type_


@pytest.mark.parametrize(
    ("stack", "weight", "sizes"), [("prod", 100, (2, 0)), ("frugal", 0, (0, 2)), ("lavish", 90, (2, 2))]
)
def test_the_weight_of_blue_decides_who_answers_and_who_runs(request, stack, weight, sizes):
    estate = request.getfixturevalue(stack)
    (action,) = estate.of("lb/listenerRule:ListenerRule")["face-app-front-weights"]["actions"]
    assert [group["weight"] for group in action["forward"]["targetGroups"]] == [weight, 100 - weight]
    groups = [estate.of("autoscaling/group:Group")[f"face-app-{colour}-group"] for colour in ("blue", "green")]
    assert tuple(group["minSize"] for group in groups) == sizes
    for group in groups:
        empty = group["maxSize"] == 0
        assert group.get("desiredCapacity") == (0 if empty else None), "scaling sets it, but for an empty group"
        assert group.get("waitForElbCapacity") == (None if empty else group["minSize"])


@pytest.mark.parametrize(("stack", "grows", "empties"), [("prod", "blue", "green"), ("frugal", "green", "blue")])
def test_traffic_moves_between_the_group_that_is_up_and_the_one_that_goes_down(request, stack, grows, empties):
    estate = request.getfixturevalue(stack)
    assert f"face-app-{grows}-group" in estate.before("face-app-front-weights")
    assert "face-app-front-weights" in estate.before(f"face-app-{empties}-group")
    assert "face-app-front-weights" not in estate.before(f"face-app-{grows}-group")
    for colour in (grows, empties):
        assert "face-app-front-checked" in estate.before(f"face-app-{colour}-group"), "targets are checked from here"
    priorities = {name: rule["priority"] for name, rule in estate.of("lb/listenerRule:ListenerRule").items()}
    assert priorities == {"face-app-front-weights": 10, "face-app-front-checked": 20}


def test_weight_can_move_between_two_colours_that_both_run(stand_up_stack):
    """A rollback is immediate only if both colours run."""
    changes = {"app.warm": True, "app.blueWeight": 0, "observability": None, "guardrails": None}
    estate = stand_up_stack("prod", changes)
    groups = estate.of("autoscaling/group:Group")
    assert {(g["minSize"], g["maxSize"], g["waitForElbCapacity"]) for g in groups.values()} == {(2, 6, 2)}
    assert {"face-app-blue-group", "face-app-green-group"} <= estate.before("face-app-front-weights")


def test_instances_reach_aws_by_the_ways_that_the_network_has(prod, frugal, lavish):
    def ways(estate):
        rules = estate.of("vpc/securityGroupEgressRule:SecurityGroupEgressRule")
        return {
            rule.get("cidrIpv4") or rule.get("cidrIpv6") for n, rule in rules.items() if n.startswith("face-app-to-aws")
        }

    assert (ways(prod), ways(frugal), ways(lavish)) == ({"::/0"}, {"::/0", "0.0.0.0/0"}, {"0.0.0.0/0"})


def test_instances_have_no_key_no_public_address_and_metadata_by_token_alone(prod):
    for template in prod.of("ec2/launchTemplate:LaunchTemplate").values():
        assert "keyName" not in template
        assert template["metadataOptions"]["httpTokens"] == "required"
        assert template["metadataOptions"]["httpPutResponseHopLimit"] == 1
        (interface,) = template["networkInterfaces"]
        assert interface["associatePublicIpAddress"] == "false"
        (disk,) = template["blockDeviceMappings"]
        assert (disk["ebs"]["encrypted"], disk["ebs"]["volumeType"]) == ("true", "gp3")
        assert disk["ebs"]["kmsKeyId"].endswith("key/keys-data")


def test_the_data_key_lets_auto_scaling_encrypt_and_lend_and_nobody_else(prod):
    roles = {g["serviceLinkedRoleArn"] for g in prod.of("autoscaling/group:Group").values()}
    (role,) = roles
    written = json.loads(prod.of("kms/key:Key")["keys-data"]["policy"])["Statement"]
    lend = next(s for s in written if s["Sid"] == "AttachVolumesOfInstances")
    assert (lend["Principal"], lend["Action"]) == ({"AWS": role}, "kms:CreateGrant")
    assert lend["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


@pytest.mark.parametrize(
    ("kind", "image"),
    [("t4g.small", "arm64"), ("m7gd.large", "arm64"), ("t3.small", "x86_64"), ("g5.xlarge", "x86_64")],
)
def test_the_image_follows_the_instance_type(kind, image):
    assert AppSettings(instance_type=kind).architecture == image


def test_an_instance_checks_the_digest_before_it_unpacks(lavish):
    green = script(lavish, "green")
    assert f"{'ab' * 32}  /opt/app/artifact.tar" in green
    assert "s3://infrafabric-prod-assets-123456789012-us-east-1/app/navidocs-2.tar" in green
    assert green.index("sha256sum --check --strict") < green.index("tar --extract")
    assert user_data.placeholder_digest() in script(lavish, "blue"), "what is not released yet runs the placeholder"


def test_without_nat_the_application_reaches_sts_and_systems_manager_by_their_names_for_ipv6(prod, lavish):
    by_ipv6, by_nat = script(prod, "blue"), script(lavish, "blue")
    assert "\nAWS_ENDPOINT_URL_STS=https://sts.us-east-1.api.aws\n" in by_ipv6
    assert '"Endpoint": "ssm.us-east-1.api.aws"' in by_ipv6
    assert "api.aws" not in by_nat


def test_user_data_takes_nothing_that_would_break_out_of_its_line():
    with pytest.raises(ValueError, match="user data cannot contain"):
        user_data.render(
            region="r", bucket="b", key="k", sha256="s", environment={"A": "x\nUser=root"}, over_ipv6=False
        )


def test_the_placeholder_is_stored_under_its_digest(prod):
    stored = prod.of("s3/bucketObjectv2:BucketObjectv2")["face-app-placeholder"]
    assert stored["key"] == f"app/placeholder-{user_data.placeholder_digest()[:16]}.tar"
    assert base64.b64decode(stored["contentBase64"]) == user_data.placeholder()


def test_an_instance_may_fetch_artifacts_and_become_one_tenant_and_nothing_else(prod):
    granted = prod.granted("face-app")
    assert set(granted) == {"BecomeOneTenant", "ReadAppArtifacts", "UseDataKeyThroughS3"}
    assert granted["ReadAppArtifacts"]["Resource"] == [
        "arn:aws:s3:::infrafabric-prod-assets-123456789012-us-east-1/app/*"
    ]


def test_a_tenants_session_reaches_its_own_prefix_and_carries_the_tag(prod):
    granted = prod.granted("face-app-tenant")
    own = "tenants/${aws:PrincipalTag/tenant}/*"
    assert granted["OwnTenantsObjects"]["Resource"] == [
        f"arn:aws:s3:::infrafabric-prod-results-123456789012-us-east-1/{own}"
    ]
    assert granted["ListOwnTenant"]["Condition"] == {"StringLike": {"s3:prefix": own}}
    trust = json.loads(prod.of("iam/role:Role")["face-app-tenant-role"]["assumeRolePolicy"])
    (statement,) = trust["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::123456789012:role/infrafabric-prod-app"}
    assert statement["Condition"] == {
        "StringLike": {"aws:RequestTag/tenant": "?*"},
        "StringNotLike": {"aws:RequestTag/tenant": "*/*"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["tenant"]},
    }


def test_the_application_is_reached_from_the_load_balancer_alone(prod):
    into = prod.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    rules = [rule for rule in into.values() if rule["securityGroupId"] == "face-app-instances-id"]
    assert [(r["fromPort"], r["referencedSecurityGroupId"]) for r in rules] == [(8080, "face-app-front-group-id")]
