"""Policy pack: no stack breaks a rule, and every rule detects a violation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.settings import stackfile
from infra.settings.tree import EU_REGIONS
from policy import config, over_graph
from policy.config import PROFILES, Config
from policy.rule import PROVIDER, Subject
from policy.rules import RULES

NAMED = {rule.name: rule for rule in RULES}
CONFIG = {"dev": "dev", "prod": "prod", "standby": "prod-secondary"}
Props = dict[str, Any]
Break = Callable[[Props], None]


@pytest.fixture(scope="session", params=list(CONFIG))
def stack(request):
    """Return each stack's graph with its settings."""
    estate = request.getfixturevalue(request.param)
    return estate.graph(CONFIG[request.param]), Config.of_stack(CONFIG[request.param], stackfile.REFERENCE)


@pytest.fixture(scope="session")
def subjects(prod):
    """Return prod's resources in the form that rules read."""
    return over_graph.state_of(prod.graph("prod"))


PROD = Config.of_stack("prod", stackfile.REFERENCE)
EU = replace(PROD, residency="eu", region="eu-west-1", regions=())
STATEMENT = {"Sid": "Wrong", "Effect": "Allow"}


def put(*path: Any) -> Break:
    """Return a change that sets the value at ``path[:-1]`` to ``path[-1]``."""
    *above, last, value = path

    def change(props: Props) -> None:
        node: Any = props
        for key in above:
            node = node[key]
        node[last] = value

    return change


class drop:  # noqa: N801  a change, like the functions beside it
    """Change that unsets a property: removes it, as in inputs, or empties it, as pulumi-aws writes it in the state."""

    def __init__(self, *path: Any) -> None:
        *self._above, self._last = path

    def __call__(self, props: Props) -> None:
        del self._node(props)[self._last]

    def empty(self, props: Props) -> None:
        node = self._node(props)
        node[self._last] = type(node[self._last])()  # "", [], {} or False

    def _node(self, props: Props) -> Any:
        node: Any = props
        for key in self._above:
            node = node[key]
        return node


def also(key: str, **statement: Any) -> Break:
    """Return a change that adds a statement to the document at ``key``."""

    def change(props: Props) -> None:
        document = json.loads(props[key])
        props[key] = json.dumps({**document, "Statement": [*document["Statement"], {**STATEMENT, **statement}]})

    return change


def both(**values: Any) -> Break:
    """Return a change of several inputs."""
    return lambda props: props.update(values)


def without_refusal(props: Props) -> None:
    document = json.loads(props["policy"])
    kept = [one for one in document["Statement"] if one["Effect"] != "Deny"]
    props["policy"] = json.dumps({**document, "Statement": kept})


def variables(**values: str) -> Props:
    return {"environment": {"variables": values}}


TABLE, BUCKET, DATABASE = "dynamodb/table:Table", "s3/bucket:Bucket", "rds/instance:Instance"
TEMPLATE, FUNCTION, GROUP = (
    "ec2/launchTemplate:LaunchTemplate",
    "lambda/function:Function",
    "cloudwatch/logGroup:LogGroup",
)
DISTRIBUTION, LISTENER, ROLE = "cloudfront/distribution:Distribution", "lb/listener:Listener", "iam/role:Role"
TRAIL, BALANCER, TOPIC = "cloudtrail/trail:Trail", "lb/loadBalancer:LoadBalancer", "sns/topic:Topic"
DOOR = "vpc/securityGroupIngressRule:SecurityGroupIngressRule"
GITHUB = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
# Violations that the pack must detect: rule, type of a resource in prod, and the change of its first resource.
WRONG: list[tuple[str, str, Break]] = [
    ("our-key", TOPIC, drop("kmsMasterKeyId")),
    ("our-key", GROUP, drop("kmsKeyId")),
    ("our-key", "secretsmanager/secret:Secret", drop("kmsKeyId")),
    ("our-key", TRAIL, drop("kmsKeyId")),
    ("our-key", "backup/vault:Vault", drop("kmsKeyArn")),
    ("queue-encrypted", "sqs/queue:Queue", put("sqsManagedSseEnabled", False)),
    ("table-encrypted", TABLE, drop("serverSideEncryption")),
    ("table-encrypted", TABLE, drop("replicas", 0, "kmsKeyArn")),
    ("database-encrypted", DATABASE, put("storageEncrypted", False)),
    ("database-encrypted", DATABASE, drop("kmsKeyId")),
    ("database-encrypted", DATABASE, drop("performanceInsightsKmsKeyId")),
    ("volume-encrypted", TEMPLATE, put("blockDeviceMappings", 0, "ebs", "encrypted", "false")),
    ("volume-encrypted", TEMPLATE, drop("blockDeviceMappings")),
    ("bucket-encrypted", BUCKET, put("bucket", "another")),
    ("key-rotates", "kms/key:Key", both(customerMasterKeySpec="SYMMETRIC_DEFAULT", enableKeyRotation=False)),
    ("database-private", DATABASE, put("publiclyAccessible", True)),
    ("ingress-closed", DOOR, both(cidrIpv4="0.0.0.0/0", fromPort=22, toPort=22)),
    ("ingress-closed", DOOR, both(cidrIpv6="::/0", fromPort=80, toPort=443)),
    ("ingress-apart", "ec2/securityGroup:SecurityGroup", put("ingress", [{"cidrBlocks": ["0.0.0.0/0"]}])),
    ("bucket-closed", BUCKET, put("bucket", "another")),
    ("policy-names-principals", "sqs/queuePolicy:QueuePolicy", also("policy", Principal="*", Action="sqs:SendMessage")),
    ("policy-names-principals", "s3/bucketPolicy:BucketPolicy", also("policy", Principal={"AWS": "*"})),
    ("function-invoked-by-ours", "lambda/permission:Permission", drop("sourceArn")),
    ("function-invoked-by-ours", "lambda/permission:Permission", put("principal", "*")),
    ("instance-hardened", TEMPLATE, put("metadataOptions", "httpTokens", "optional")),
    ("instance-hardened", TEMPLATE, put("networkInterfaces", 0, "associatePublicIpAddress", "true")),
    ("instance-hardened", TEMPLATE, put("keyName", "mine")),
    ("public-shielded", BALANCER, put("arn", "another")),
    ("public-shielded", "apigateway/stage:Stage", put("arn", "another")),
    ("public-shielded", DISTRIBUTION, drop("webAclId")),
    ("tls-only", BUCKET, put("bucket", "another")),
    ("tls-only", "sqs/queue:Queue", put("url", "another")),
    ("tls-only", TOPIC, put("arn", "another")),
    ("listener-tls", LISTENER, both(protocol="HTTP", defaultActions=[{"type": "forward"}])),
    ("listener-tls", LISTENER, both(protocol="HTTPS", sslPolicy="ELBSecurityPolicy-2016-08")),
    ("distribution-tls", DISTRIBUTION, put("defaultCacheBehavior", "viewerProtocolPolicy", "allow-all")),
    ("distribution-tls", DISTRIBUTION, put("viewerCertificate", "minimumProtocolVersion", "TLSv1")),
    ("database-tls", "rds/parameterGroup:ParameterGroup", put("parameters", [])),
    ("api-tls", "apigateway/domainName:DomainName", put("securityPolicy", "TLS_1_0")),
    ("actions-named", "iam/rolePolicy:RolePolicy", also("policy", Action="s3:*", Resource="arn:aws:s3:::a")),
    ("actions-named", "iam/rolePolicy:RolePolicy", also("policy", NotAction="iam:*", Resource="arn:aws:s3:::a")),
    ("resources-named", "iam/rolePolicy:RolePolicy", also("policy", Action=["s3:GetObject"], Resource=["*"])),
    ("trust-named", ROLE, also("assumeRolePolicy", Principal={"AWS": "*"}, Action="sts:AssumeRole")),
    ("trust-named", ROLE, also("assumeRolePolicy", Principal={"Federated": GITHUB})),
    ("role-bounded", ROLE, drop("permissionsBoundary")),
    ("tagged", "sqs/queue:Queue", drop("tags", "DataClass")),
    ("tagged", FUNCTION, drop("tags")),
    ("tagged", "autoscaling/group:Group", put("tags", [{"key": "Project", "value": "infrafabric"}])),
    ("tags-true", BUCKET, put("tags", "Environment", "dev")),
    ("tags-true", BUCKET, put("tags", "DataClass", "top secret")),
    ("database-zones", DATABASE, put("multiAz", False)),
    ("deletion-guarded", DATABASE, put("deletionProtection", False)),
    ("deletion-guarded", TABLE, drop("deletionProtectionEnabled")),
    ("deletion-guarded", BALANCER, drop("enableDeletionProtection")),
    ("database-backed-up", DATABASE, put("backupRetentionPeriod", 1)),
    ("database-last-snapshot", DATABASE, put("skipFinalSnapshot", True)),
    ("database-last-snapshot", DATABASE, put("replicateSourceDb", "arn:aws:rds:us-west-2:123456789012:db:other")),
    ("table-point-in-time", TABLE, put("pointInTimeRecovery", "enabled", False)),
    ("bucket-versioned", BUCKET, put("bucket", "another")),
    ("bucket-kept", BUCKET, put("forceDestroy", True)),
    ("key-kept", "kms/key:Key", put("deletionWindowInDays", 7)),
    ("logs-end", GROUP, drop("retentionInDays")),
    ("logs-last", GROUP, put("retentionInDays", 30)),
    ("trail-whole", TRAIL, put("enableLogFileValidation", False)),
    ("trail-whole", TRAIL, put("enableLogging", False)),
    ("api-logged", "apigateway/stage:Stage", drop("accessLogSettings")),
    ("balancer-logged", BALANCER, drop("accessLogs")),
    ("flows-logged", "ec2/vpc:Vpc", put("id", "vpc-other")),
    ("function-log-group", FUNCTION, drop("loggingConfig")),
    ("function-traced", FUNCTION, put("tracingConfig", "mode", "PassThrough")),
    ("class-allowed", DATABASE, put("instanceClass", "db.r8g.4xlarge")),
    ("class-allowed", TEMPLATE, put("instanceType", "t4g.2xlarge")),
    ("table-on-demand", TABLE, put("billingMode", "PROVISIONED")),
    ("storage-bounded", DATABASE, put("maxAllocatedStorage", 5000)),
    ("bucket-lifecycle", BUCKET, put("bucket", "another")),
    ("region-allowed", "s3/bucket:Bucket", put("region", "ap-south-1")),
    ("region-allowed", TABLE, put("replicas", 0, "regionName", "ap-south-1")),
]


def copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(one) for one in value] if isinstance(value, list) else value


def broken(subjects: list[Subject], kind: str, wrong: Break) -> tuple[list[Subject], str]:
    """Return the stack with its first resource of ``kind`` changed, and the resource's name.

    A table of leases holds nothing that a rule protects.
    """
    first = next(it for it in subjects if it.type == f"aws:{kind}" and "leases" not in it.name)
    props = copied(first.props)
    wrong(props)
    return [replace(it, props=props) if it is first else it for it in subjects], first.name


def test_no_stack_breaks_a_rule(stack):
    graph, told = stack
    assert [(one.rule.name, one.resource, one.text) for one in over_graph.violations(graph, told)] == []


@pytest.mark.parametrize(("rule", "kind", "wrong"), WRONG, ids=[f"{n}-{case[0]}" for n, case in enumerate(WRONG)])
def test_a_rule_sees_what_breaks_it(subjects, rule, kind, wrong):
    stack, name = broken(subjects, kind, wrong)
    found = list(NAMED[rule].violations(stack, PROD))
    assert [it.name for it, _ in found] == [name]
    assert found[0][1]


EMPTIED = [(rule, kind, wrong.empty) for rule, kind, wrong in WRONG if isinstance(wrong, drop)]


@pytest.mark.parametrize(("rule", "kind", "wrong"), EMPTIED, ids=[f"{n}-{case[0]}" for n, case in enumerate(EMPTIED)])
def test_a_rule_sees_a_property_that_is_unset_as_pulumi_aws_writes_it(subjects, rule, kind, wrong):
    """A rule over a stack reads the state, where an unset property is an empty value and not absent."""
    stack, name = broken(subjects, kind, wrong)
    found = list(NAMED[rule].violations(stack, PROD))
    assert [it.name for it, _ in found] == [name]


def test_every_stacks_state_has_the_unset_properties_that_pulumi_aws_writes(subjects):
    queue = next(it for it in subjects if it.name == "bus-h01-dlq-queue")
    assert queue.props["redrivePolicy"] == ""
    assert queue.props["tagsAll"] == queue.props["tags"]


@pytest.mark.parametrize("unset", ["", None])
def test_an_empty_redrive_policy_is_none_and_stops_no_rule(subjects, unset):
    feeding = next(it for it in subjects if it.type.endswith(":EventSourceMapping")).props["eventSourceArn"]
    queue = next(it for it in subjects if it.type == "aws:sqs/queue:Queue" and it.props["arn"] == feeding)
    bare = replace(queue, props={**queue.props, "redrivePolicy": unset})
    found = NAMED["dead-letters"].violations([bare if it is queue else it for it in subjects], PROD)
    assert [it.name for it, _ in found] == [queue.name]


def test_a_rule_that_fails_is_named_and_hides_no_other(prod):
    def fails(*_: Any) -> Any:
        raise ValueError("a bug")

    rules = (replace(NAMED["bucket-kept"], name="broken", check=fails), *RULES)
    found = over_graph.violations(prod.graph("prod"), replace(PROD, classes=("huge",)), rules)
    assert found[0].rule.name == found[0].resource == "broken"
    assert found[0].text == "could not be checked: the rule itself failed (ValueError: a bug)"
    assert {one.rule.name for one in found} == {"broken", "class-allowed"}


def test_a_queue_that_feeds_a_function_wants_a_dead_letter_queue(subjects):
    feeding = next(it for it in subjects if it.type.endswith(":EventSourceMapping")).props["eventSourceArn"]
    queue = next(it for it in subjects if it.type == "aws:sqs/queue:Queue" and it.props["arn"] == feeding)
    bare = replace(queue, props={key: value for key, value in queue.props.items() if key != "redrivePolicy"})
    found = NAMED["dead-letters"].violations([bare if it is queue else it for it in subjects], PROD)
    assert [it.name for it, _ in found] == [queue.name]


@pytest.mark.parametrize(
    ("rule", "type_", "props", "told"),
    [
        ("no-lasting-credentials", "aws:iam/accessKey:AccessKey", {"user": "me"}, PROD),
        ("no-gateway-in-dev", "aws:ec2/natGateway:NatGateway", {}, Config.of_stack("dev", stackfile.REFERENCE)),
        ("eu-resources", "aws:cloudwatch/logGroup:LogGroup", {"region": "us-east-1"}, EU),
        ("eu-resources", "aws:s3/bucket:Bucket", {"region": "eu-west-2"}, EU),
        ("eu-resources", "aws:dynamodb/table:Table", {"replicas": [{"regionName": "us-west-2"}]}, EU),
        ("eu-resources", "aws:secretsmanager/secret:Secret", {"replicas": [{"region": "us-west-2"}]}, EU),
        ("eu-resources", "aws:rds/instance:Instance", {"replicateSourceDb": "arn:aws:rds:us-east-1:1:db:a"}, EU),
        ("eu-resources", PROVIDER, {"region": "us-east-1"}, EU),
        ("eu-models", "aws:lambda/function:Function", variables(MODEL_PROVIDER="anthropic"), EU),
        (
            "eu-models",
            "aws:lambda/function:Function",
            variables(MODEL_PROVIDER="bedrock", MODEL_ID="us.anthropic.claude"),
            EU,
        ),
    ],
)
def test_a_rule_sees_what_no_stack_of_ours_has(rule, type_, props, told):
    wrong = Subject(type=type_, name="wrong", props=props)
    assert [it.name for it, _ in NAMED[rule].violations([wrong], told)] == ["wrong"]


def test_no_rule_is_without_a_case_that_breaks_it():
    elsewhere = {"dead-letters", "no-lasting-credentials", "no-gateway-in-dev", "eu-resources", "eu-models"}
    assert {case[0] for case in WRONG} | elsewhere == set(NAMED)


@pytest.mark.parametrize(
    "kind", ["s3/bucketPolicy:BucketPolicy", "sqs/queuePolicy:QueuePolicy", "sns/topicPolicy:TopicPolicy"]
)
def test_a_policy_that_takes_plain_http_is_seen_at_what_it_belongs_to(subjects, kind):
    stack, _ = broken(subjects, kind, without_refusal)
    assert len(list(NAMED["tls-only"].violations(stack, PROD))) == 1


def test_a_public_access_block_with_an_open_lock_is_none(subjects):
    stack, _ = broken(subjects, "s3/bucketPublicAccessBlock:BucketPublicAccessBlock", put("ignorePublicAcls", False))
    assert len(list(NAMED["bucket-closed"].violations(stack, PROD))) == 1


def test_a_boundary_may_allow_widely_because_it_grants_nothing(subjects):
    boundary = next(it for it in subjects if it.name == "boundary-policy")
    roles_of_others = [it for it in subjects if it.type != "aws:iam/role:Role"]
    assert boundary.name not in {it.name for it, _ in NAMED["actions-named"].violations(subjects, PROD)}
    assert [it.name for it, _ in NAMED["actions-named"].violations(roles_of_others, PROD)] == [boundary.name]


def test_a_stack_in_the_eu_keeps_every_rule(european):
    told = replace(PROD, residency="eu", region="eu-central-1", regions=("eu-central-1", "us-east-1"))
    found = over_graph.violations(european.graph("prod"), told)
    assert [(one.rule.name, one.resource, one.text) for one in found] == []


def test_what_only_prod_must_have_is_not_asked_of_dev(subjects):
    stack, _ = broken(subjects, DATABASE, put("multiAz", False))
    assert list(NAMED["database-zones"].violations(stack, replace(PROD, environment="dev"))) == []


def test_a_standby_is_the_second_copy_and_may_stand_in_one_zone(subjects):
    stack, _ = broken(subjects, DATABASE, put("multiAz", False))
    assert list(NAMED["database-zones"].violations(stack, replace(PROD, role="standby"))) == []


def test_a_profile_asks_the_rules_that_serve_it():
    asked = {name: {r.name for r in RULES if r.applies_to(replace(PROD, profile=name))} for name in PROFILES}
    assert "class-allowed" in asked["soc2"]
    assert "class-allowed" not in asked["hipaa"] | asked["gdpr"]
    assert "eu-models" in asked["gdpr"]


def test_the_pack_and_the_settings_know_the_same_regions_of_the_eu():
    assert config.EU_REGIONS == EU_REGIONS
